import numpy as np
import pytest
import tensorflow as tf

from senformer.model import ops

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape)


def apply(function, *arrays, **options):
    return function(*(tf.constant(a, tf.float32) for a in arrays), **options).numpy()


def test_pools_match_their_definitions():
    x, weights = normal(2, 10, 6), normal(6, 6)
    pairs = x.reshape(2, 5, 2, 6)
    np.testing.assert_allclose(apply(ops.max_pool, x), pairs.max(axis=2), rtol=1e-6)
    logits = pairs @ weights
    shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    expected = (pairs * shares).sum(axis=2)
    np.testing.assert_allclose(apply(ops.attention_pool, x, weights), expected, atol=1e-5)


def test_for_readers_sums_gradients():
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        first, second, third = ops.for_readers(x, 3)
        y = tf.reduce_sum(first**2 + 3 * second + first * third)
    np.testing.assert_array_equal(third, x)
    np.testing.assert_allclose(tape.gradient(y, x), 2 * x + 3 + 2 * x)


@pytest.mark.parametrize("width", [1, 5])
def test_conv1d_matches_definition(width):
    x, weights, bias = normal(2, 9, 3), normal(width, 3, 4), normal(4)
    padded = np.pad(x, [(0, 0), (width // 2, width // 2), (0, 0)])
    expected = bias + sum(padded[:, i : i + 9] @ weights[i] for i in range(width))
    np.testing.assert_allclose(apply(ops.conv1d, x, weights, bias), expected, atol=1e-5)


def test_layer_norm_matches_float64_reference():
    def by_definition(x, scale, offset):
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        return (x - mean) / tf.sqrt(variance + ops.EPSILON) * scale + offset

    arrays = [3 + 5 * normal(4, 7, 16), normal(16), normal(16)]
    weights = normal(4, 7, 16)

    def output_and_gradients(function, dtype):
        inputs = [tf.constant(a, dtype) for a in arrays]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs)
            total = tf.reduce_sum(y * tf.constant(weights, dtype))
        return [y, *tape.gradient(total, inputs)]

    found = output_and_gradients(ops.layer_norm, tf.float32)
    expected = output_and_gradients(by_definition, tf.float64)
    for array, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, reference, rtol=1e-4, atol=1e-4)


def test_batch_norm_matches_definition():
    x, mean, scale, offset = normal(4, 7, 3), normal(3), normal(3), normal(3)
    variance = np.abs(normal(3))
    expected = (x - mean) / np.sqrt(variance + ops.EPSILON) * scale + offset
    found = apply(ops.batch_norm, x, mean, variance, scale, offset)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_gelu_matches_definition():
    x = normal(100)
    np.testing.assert_allclose(apply(ops.gelu, x), x / (1 + np.exp(-1.702 * x)), atol=1e-6)


@pytest.mark.parametrize(("tokens", "first"), [(10, 3), (11, 3), (4, 0)])
def test_crop_keeps_the_center(tokens, first):
    x = np.arange(tokens, dtype=np.float32)[None, :, None]
    cropped = ops.crop(tf.constant(x), 4).numpy()[0, :, 0]
    np.testing.assert_array_equal(cropped, np.arange(first, first + 4))


def test_crop_rejects_short_sequences():
    with pytest.raises(ValueError, match="3 tokens are fewer than target_length=4"):
        ops.crop(tf.zeros([1, 3, 2]), 4)
