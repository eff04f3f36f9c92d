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
from slow_cases import BIGBIRD_SIZES

from senformer.config import RANDOM_BLOCK_PLANS, preset
from senformer.model.attention import block_gather
from senformer.model.attention.bigbird_relative import (
    BigBirdRelativeAttention,
    block_sparse_relative_attention,
)
from senformer.model.attention.dense import DenseAttention, relative_attention
from senformer.model.attention.layer import make_attention
from senformer.model.attention.random_blocks import random_blocks
from senformer.model.compute import device, xla


def allowed(drawn, block_size):
    """Which keys each query attends to, `[heads, tokens, tokens]`."""
    heads, rows, _ = drawn.shape
    mask = np.zeros([heads, rows + 2, rows + 2], bool)
    mask[:, [0, -1]] = mask[:, :, [0, -1]] = True
    for head in range(heads):
        for row in range(rows):
            mask[head, row + 1, row : row + 3] = True
            mask[head, row + 1, drawn[head, row]] = True
    return mask.repeat(block_size, axis=1).repeat(block_size, axis=2)


def sparse(drawn, block_size, dropout_seeds=None):
    def attention(*inputs, dropout_rate=0.0):
        return block_sparse_relative_attention(
            *inputs,
            drawn,
            block_size=block_size,
            dropout_rate=dropout_rate,
            dropout_seeds=dropout_seeds,
        )

    return attention


def masked(drawn, block_size, **options):
    return functools.partial(plain_attention, mask=allowed(drawn, block_size), **options)


@pytest.mark.parametrize(("tokens", "block_size", "num_random"), BIGBIRD_SIZES)
@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_output_and_gradients_equal_a_float64_reference(
    tokens, block_size, num_random, device_type, monkeypatch
):
    monkeypatch.setattr(block_gather, "GPU_CHUNK_BYTES", 1e6)  # one chunk of rows and several
    drawn = random_blocks(tokens, num_heads=3, block_size=block_size, num_random=num_random)
    inputs = relative_arrays(tokens)
    with device.traced_for(device_type):
        function = xla.program(sparse(drawn, block_size))
    assert_all_close(
        output_and_gradients(function, inputs),
        output_and_gradients(masked(drawn, block_size), inputs),
    )


def test_a_pattern_of_all_blocks_is_dense_attention():
    missing = np.array([[[3], [2], [1]]] * 3)  # what ends and window leave of five blocks
    inputs = relative_arrays(40)
    assert_all_close(
        output_and_gradients(sparse(missing, 8), inputs),
        output_and_gradients(relative_attention, inputs),
    )


def test_a_block_that_a_row_names_twice_counts_once():
    drawn = np.array([[[0, 4], [4, 4], [3, 1], [5, 5]]] * 3)  # ends, window, the same twice
    inputs = relative_arrays(48)
    assert_all_close(
        output_and_gradients(sparse(drawn, 8), inputs),
        output_and_gradients(masked(drawn, 8), inputs),
    )


def test_dropout_takes_the_same_weights_forward_and_backward():
    drawn = random_blocks(216, num_heads=3, block_size=8, num_random=2)
    inputs = relative_arrays(216)
    function = tf.function(sparse(drawn, 8, tf.constant([[3, 4], [5, 6]])))
    factors = factors_of_dropout(function, inputs, 0.3)
    of_allowed = factors.numpy()[np.broadcast_to(allowed(drawn, 8), factors.shape)]
    assert abs(np.mean(of_allowed == 0) - 0.3) < 0.02
    assert_all_close(
        output_and_gradients(functools.partial(function, dropout_rate=0.3), inputs),
        output_and_gradients(masked(drawn, 8, factors=factors), inputs),
    )


def test_the_batch_may_be_unknown():
    drawn = random_blocks(48, num_heads=3, block_size=8)
    inputs = relative_arrays(48, batch=3)
    unknown = [[None, *x.shape[1:]] for x in inputs[:3]] + [x.shape for x in inputs[3:]]
    function = tf.function(
        lambda *inputs: output_and_gradients(sparse(drawn, 8), inputs),
        input_signature=[tf.TensorSpec(shape, tf.float32) for shape in unknown],
    )
    assert_all_close(function(*inputs), output_and_gradients(masked(drawn, 8), inputs))


def test_bfloat16_stays_near_float32():
    drawn = random_blocks(104, num_heads=3, block_size=8)
    inputs = [tf.cast(x, tf.bfloat16) for x in relative_arrays(104)]
    ours = output_and_gradients(sparse(drawn, 8), inputs)
    assert {x.dtype for x in ours} == {tf.bfloat16}
    exact = output_and_gradients(masked(drawn, 8), inputs)
    assert_all_close(ours, exact, BFLOAT16_TOLERANCE, BFLOAT16_TOLERANCE)


@pytest.mark.parametrize("attention", ["bigbird", "bigbird_relative"])
@pytest.mark.parametrize("plan", RANDOM_BLOCK_PLANS)
def test_without_random_blocks_global_blocks_and_window_are_left(attention, plan):
    config = preset("senformer_tiny", attention=attention, num_random_blocks=0)
    config = config.replace(random_block_plan=plan)
    layer = make_attention(config, 0, tf.random.Generator.from_seed(0), "attention")
    layer.output.w.assign(tf.eye(config.channels))
    x = tf.random.stateless_normal([1, 64 * 16, config.channels], [1, 2])
    with tf.GradientTape() as tape:  # 1,024 tokens, for which the published code has another plan
        tape.watch(x)
        of_block = layer(x, layer.position_features(64 * 16))[0, 30 * 16 : 31 * 16]
    read = tf.reduce_max(tf.abs(tape.gradient(of_block, x)), axis=-1)
    blocks = np.flatnonzero(tf.reduce_max(tf.reshape(read, [64, 16]), axis=-1))
    assert blocks.tolist() == [0, 29, 30, 31, 63]


def test_it_has_the_variables_of_dense_and_its_function_where_the_pattern_is_full():
    config = preset("senformer_tiny", attention="bigbird_relative", num_random_blocks=1)
    config = config.replace(random_block_plan="uniform")
    generator = tf.random.Generator.from_seed(0)
    dense = DenseAttention(config, 0, generator, "attention")
    sparse = BigBirdRelativeAttention(config, 0, generator, "attention")
    assert [v.name for v in sparse.variables] == [v.name for v in dense.variables]
    dense.output.w.assign(tf.eye(config.channels))
    for mine, theirs in zip(sparse.variables, dense.variables, strict=True):
        mine.assign(theirs)
    x = tf.random.stateless_normal([2, 5 * config.block_size, config.channels], [1, 2])
    features = dense.position_features(x.shape[1])
    sparse.fixed_random_blocks = np.array([[[3], [2], [1]]] * config.num_heads)
    np.testing.assert_allclose(sparse(x, features), dense(x, features), atol=1e-4)
    sparse.fixed_random_blocks = np.array([[[3], [2], [2]]] * config.num_heads)
    assert np.abs(sparse(x, features) - dense(x, features)).max() > 1e-2
