import functools

import numpy as np
import pytest
import tensorflow as tf
from attention_reference import (
    BFLOAT16_TOLERANCE,
    assert_all_close,
    factors_of_dropout,
    output_and_gradients,
    plain_attention,
    relative_arrays,
)

from senformer.config import preset
from senformer.model.attention.dense import DenseAttention, relative_attention
from senformer.model.attention.tiled import TiledAttention, tiled_relative_attention
from senformer.model.compute import device, xla

# tokens, rows per tile: one tile, whole tiles, a last tile that is padded, a default
SIZES = [(48, 48), (64, 16), (100, 32), (33, None)]

in_four_tiles = functools.partial(
    tiled_relative_attention, rows_per_tile=16, dropout_seed=tf.constant([3, 4])
)


@pytest.mark.parametrize(("tokens", "rows"), SIZES)
@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_output_and_gradients_equal_dense(tokens, rows, device_type):
    inputs = relative_arrays(tokens)
    with device.traced_for(device_type):
        function = xla.program(functools.partial(tiled_relative_attention, rows_per_tile=rows))
    ours = output_and_gradients(function, inputs)
    assert_all_close(ours, output_and_gradients(relative_attention, inputs))
    assert_all_close(ours, output_and_gradients(plain_attention, inputs))


def test_outside_of_a_graph_it_is_the_same():
    inputs = relative_arrays(64)
    assert_all_close(
        output_and_gradients(in_four_tiles, inputs), output_and_gradients(plain_attention, inputs)
    )


def test_dropout_takes_the_same_weights_forward_and_backward():
    function = tf.function(in_four_tiles)
    inputs = relative_arrays(64)
    factors = factors_of_dropout(function, inputs, 0.3)
    assert abs(np.mean(factors.numpy() == 0) - 0.3) < 0.02
    assert_all_close(
        output_and_gradients(functools.partial(function, dropout_rate=0.3), inputs),
        output_and_gradients(functools.partial(plain_attention, factors=factors), inputs),
    )


def test_every_tile_head_and_sequence_drops_other_weights():
    factors = factors_of_dropout(in_four_tiles, relative_arrays(64), 0.3).numpy()
    tiles = factors.reshape(2 * 3 * 4, -1)
    assert len(np.unique(tiles, axis=0)) == len(tiles)


def test_the_batch_may_be_unknown():
    inputs = relative_arrays(64, batch=3)
    unknown = [[None, *x.shape[1:]] for x in inputs[:3]] + [x.shape for x in inputs[3:]]
    function = tf.function(
        lambda *inputs: output_and_gradients(in_four_tiles, inputs),
        input_signature=[tf.TensorSpec(shape, tf.float32) for shape in unknown],
    )
    assert_all_close(function(*inputs), output_and_gradients(plain_attention, inputs))


def test_bfloat16_stays_near_float32():
    inputs = [tf.cast(x, tf.bfloat16) for x in relative_arrays(64)]
    ours = output_and_gradients(in_four_tiles, inputs)
    assert {x.dtype for x in ours} == {tf.bfloat16}
    exact = output_and_gradients(plain_attention, inputs)
    assert_all_close(ours, exact, BFLOAT16_TOLERANCE, BFLOAT16_TOLERANCE)


def test_it_has_the_variables_and_the_function_of_dense():
    config = preset("enformer_tiny")
    generator = tf.random.Generator.from_seed(0)
    dense = DenseAttention(config, 0, generator, "attention")
    tiled = TiledAttention(config, 0, generator, "attention")
    assert [v.name for v in tiled.variables] == [v.name for v in dense.variables]
    dense.output.w.assign(tf.eye(config.channels))
    for mine, theirs in zip(tiled.variables, dense.variables, strict=True):
        mine.assign(theirs)
    x = tf.random.stateless_normal([2, 40, config.channels], [1, 2])
    features = dense.position_features(x.shape[1])
    np.testing.assert_allclose(tiled(x, features), dense(x, features), atol=1e-4)
