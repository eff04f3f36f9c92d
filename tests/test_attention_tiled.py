import numpy as np
import pytest
import tensorflow as tf

from senformer.attention.dense import DenseAttention, relative_attention
from senformer.attention.tiled import TiledAttention, tiled_relative_attention
from senformer.config import preset

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
BFLOAT16_TOLERANCE = 1e-2

# tokens, rows per tile: one tile, whole tiles, a last tile that is padded, a default
SIZES = [(48, 48), (64, 16), (100, 32), (33, None)]


def arrays(tokens, *, batch=2, heads=3, key_size=8, value_size=12, seed=0):
    """Query, key, value, relative key and the two biases."""
    generator = np.random.default_rng(seed)
    shapes = [
        [batch, heads, tokens, key_size],
        [batch, heads, tokens, key_size],
        [batch, heads, tokens, value_size],
        [heads, 2 * tokens - 1, key_size],
        [1, heads, 1, key_size],
        [1, heads, 1, key_size],
    ]
    return [tf.constant(generator.normal(size=shape), tf.float32) for shape in shapes]


def output_and_gradients(function, inputs):
    """The output, and the gradients of a weighted sum of it."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = function(*inputs)
        weights = tf.cos(tf.range(output.shape[-1] * output.shape[-2], dtype=tf.float32))
        weights = tf.reshape(weights, output.shape[-2:])
        loss = tf.reduce_sum(tf.cast(output, tf.float32) * weights)
    return output, *tape.gradient(loss, inputs)


def assert_all_close(ours, expected):
    tolerances = [OUTPUT_TOLERANCE] + [GRADIENT_TOLERANCE] * (len(expected) - 1)
    for mine, theirs, tolerance in zip(ours, expected, tolerances, strict=True):
        assert np.abs(mine - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize(("tokens", "rows"), SIZES)
@pytest.mark.parametrize("compiled", [False, True])
def test_output_and_gradients_equal_dense(tokens, rows, compiled):
    inputs = arrays(tokens)
    function = tf.function(
        lambda *inputs: output_and_gradients(
            lambda *x: tiled_relative_attention(*x, rows_per_tile=rows), inputs
        ),
        jit_compile=compiled,
    )
    assert_all_close(function(*inputs), output_and_gradients(relative_attention, inputs))


def test_outside_of_a_graph_it_is_the_same():
    inputs = arrays(64)
    assert_all_close(
        output_and_gradients(lambda *x: tiled_relative_attention(*x, rows_per_tile=16), inputs),
        output_and_gradients(relative_attention, inputs),
    )


def with_dropout(*inputs, rate=0.3):
    return tiled_relative_attention(
        *inputs, dropout_rate=rate, dropout_seed=tf.constant([3, 4]), rows_per_tile=16
    )


def factors_of_dropout(function, tokens, rate=0.3):
    """What each weight was multiplied with: with the identity as value, weights show."""
    query, key, _, *others = arrays(tokens)
    every = tf.eye(tokens, batch_shape=[2, 3])
    weights = relative_attention(query, key, every, *others)
    kept = function(query, key, every, *others)
    return tf.round(kept / weights * (1 - rate)) / (1 - rate)


def attention_with_factors(query, key, value, relative_key, content_bias, position_bias, factors):
    """Enformer's attention in plain operations, its weights times given factors."""
    tokens = query.shape[2]
    distance = tf.range(tokens)[tf.newaxis] - tf.range(tokens)[:, tf.newaxis]
    relative = tf.gather(relative_key, distance + tokens - 1, axis=1)  # [heads, query, key, size]
    logits = tf.einsum("bhqd,bhkd->bhqk", query + content_bias, key)
    logits += tf.einsum("bhqd,hqkd->bhqk", query + position_bias, relative)
    return tf.matmul(tf.nn.softmax(logits) * factors, value)


@pytest.mark.parametrize("compiled", [False, True])
def test_dropout_takes_the_same_weights_forward_and_backward(compiled):
    function = tf.function(with_dropout, jit_compile=compiled)  # which draws in its own way
    factors = factors_of_dropout(function, 64)
    assert abs(np.mean(factors.numpy() == 0) - 0.3) < 0.02
    inputs = arrays(64)
    expected = output_and_gradients(lambda *x: attention_with_factors(*x, factors), inputs)
    assert_all_close(output_and_gradients(function, inputs), expected)


def test_every_tile_head_and_sequence_drops_other_weights():
    factors = factors_of_dropout(with_dropout, 64).numpy()
    tiles = factors.reshape(2 * 3 * 4, -1)
    assert len(np.unique(tiles, axis=0)) == len(tiles)


def test_the_batch_may_be_unknown():
    inputs = arrays(32, batch=3)
    unknown = [[None, *x.shape[1:]] for x in inputs[:3]] + [x.shape for x in inputs[3:]]
    function = tf.function(
        lambda *inputs: output_and_gradients(
            lambda *x: tiled_relative_attention(*x, rows_per_tile=16), inputs
        ),
        input_signature=[tf.TensorSpec(shape, tf.float32) for shape in unknown],
    )
    assert_all_close(function(*inputs), output_and_gradients(relative_attention, inputs))


def test_bfloat16_stays_near_float32():
    inputs = [tf.cast(x, tf.bfloat16) for x in arrays(48)]
    ours = output_and_gradients(lambda *x: tiled_relative_attention(*x, rows_per_tile=16), inputs)
    assert {x.dtype for x in ours} == {tf.bfloat16}
    exact = output_and_gradients(relative_attention, [tf.cast(x, tf.float32) for x in inputs])
    for mine, theirs in zip(ours, exact, strict=True):
        error = np.abs(tf.cast(mine, tf.float32) - theirs).max()
        assert error <= BFLOAT16_TOLERANCE * np.abs(theirs).max()


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
    np.testing.assert_allclose(tiled(x), dense(x), atol=1e-4)
