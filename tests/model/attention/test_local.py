import functools

import numpy as np
import pytest
import tensorflow as tf
from attention_reference import (
    assert_all_close,
    output_and_gradients,
    plain_attention,
    relative_arrays,
)

from senformer.config import preset
from senformer.model.attention import block_gather
from senformer.model.attention.bigbird_relative import block_sparse_relative_attention
from senformer.model.attention.block_gather import window_blocks
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.local import LocalAttention
from senformer.model.attention.relative_pattern import listed_relative_attention
from senformer.model.compute import device, xla

# tokens, block size: one block, two that are all, one chunk of rows and several
SIZES = [(16, 16), (16, 8), (104, 8), (448, 8)]


def local(tokens, block_size):
    def attention(*inputs):
        listed = window_blocks(3, tokens // block_size)
        return listed_relative_attention(*inputs, listed, block_size=block_size)

    return attention


def in_window(tokens, block_size):
    block = np.arange(tokens) // block_size
    return np.abs(block[:, np.newaxis] - block) <= 1


@pytest.mark.parametrize(("tokens", "block_size"), SIZES)
@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_output_and_gradients_equal_a_float64_reference(
    tokens, block_size, device_type, monkeypatch
):
    monkeypatch.setattr(block_gather, "GPU_CHUNK_BYTES", 1e6)  # one chunk of rows and several
    inputs = relative_arrays(tokens)
    with device.traced_for(device_type):
        function = xla.program(local(tokens, block_size))
    expected = functools.partial(plain_attention, mask=in_window(tokens, block_size))
    assert_all_close(output_and_gradients(function, inputs), output_and_gradients(expected, inputs))


def test_it_is_bigbirds_window_where_no_end_is_seen():
    query, key, *others = relative_arrays(80)
    # One more feature, which lowers every logit with a key of the two ends.
    is_end = np.isin(np.arange(80) // 8, [0, 9])[:, np.newaxis]
    key = tf.concat([key, tf.broadcast_to(is_end * np.float32(-1e4), [2, 3, 80, 1])], axis=-1)
    query = tf.concat([query, tf.ones([2, 3, 80, 1])], axis=-1)
    value, *of_heads = others
    inputs = [
        query,
        key,
        value,
        *(tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[0, 1]]) for x in of_heads),
    ]
    none = np.zeros([3, 8, 0], np.int32)
    sparse = block_sparse_relative_attention(*inputs, none, block_size=8)
    middle = np.s_[:, :, 16:-16]  # the blocks whose window has no end
    np.testing.assert_allclose(local(80, 8)(*inputs)[middle], sparse[middle], atol=1e-5)


def test_the_layer_has_the_variables_of_dense_and_its_function_within_the_window():
    config = preset("enformer_tiny", attention="local")
    generator = tf.random.Generator.from_seed(0)
    dense = DenseAttention(config, 0, generator, "attention")
    layer = LocalAttention(config, 0, generator, "attention")
    assert [v.name for v in layer.variables] == [v.name for v in dense.variables]
    dense.output.w.assign(tf.eye(config.channels))
    for mine, theirs in zip(layer.variables, dense.variables, strict=True):
        mine.assign(theirs)
    two, three = (
        tf.random.stateless_normal([2, n * config.block_size, config.channels], [1, 2])
        for n in (2, 3)
    )
    features = dense.position_features(two.shape[1])
    np.testing.assert_allclose(layer(two, features), dense(two, features), atol=1e-4)
    features = dense.position_features(three.shape[1])
    assert np.abs(layer(three, features) - dense(three, features)).max() > 1e-2


def test_tokens_that_are_no_whole_blocks_are_refused():
    config = preset("enformer_tiny", attention="local")
    layer = LocalAttention(config, 0, tf.random.Generator.from_seed(0), "attention")
    with pytest.raises(ValueError, match=r"tokens=40, expected a multiple of block_size=16 of at"):
        layer(tf.zeros([1, 40, config.channels]), layer.position_features(40))
