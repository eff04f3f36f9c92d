import numpy as np
import pytest
import tensorflow as tf

from senformer import layers

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape)


def apply(function, *arrays, **options):
    return function(*(tf.constant(a, tf.float32) for a in arrays), **options).numpy()


def test_attention_pool_is_the_softmax_weighted_mean_of_each_pair():
    x, weights = normal(2, 10, 6), normal(6, 6)
    pairs = x.reshape(2, 5, 2, 6)
    logits = pairs @ weights
    shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    expected = (pairs * shares).sum(axis=2)
    np.testing.assert_allclose(apply(layers.attention_pool, x, weights), expected, atol=1e-5)


def test_max_pool_is_the_larger_of_each_pair():
    x = normal(2, 10, 6)
    expected = x.reshape(2, 5, 2, 6).max(axis=2)
    np.testing.assert_allclose(apply(layers.max_pool, x), expected, rtol=1e-6)


def test_conv1d_is_a_sum_of_shifted_products():
    x, weights, bias = normal(2, 9, 3), normal(5, 3, 4), normal(4)
    padded = np.pad(x, [(0, 0), (2, 2), (0, 0)])
    expected = bias + sum(padded[:, i : i + 9] @ weights[i] for i in range(5))
    np.testing.assert_allclose(apply(layers.conv1d, x, weights, bias), expected, atol=1e-5)


def test_layer_norm_has_mean_offset_and_deviation_scale():
    x, scale, offset = 3 + 5 * normal(4, 7, 16), normal(16), normal(16)
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + layers.EPSILON)
    expected = (x - x.mean(axis=-1, keepdims=True)) / deviation * scale + offset
    np.testing.assert_allclose(apply(layers.layer_norm, x, scale, offset), expected, atol=1e-4)


def test_batch_norm_uses_the_statistics_it_is_given():
    x, mean, scale, offset = normal(4, 7, 3), normal(3), normal(3), normal(3)
    variance = np.abs(normal(3))
    expected = (x - mean) / np.sqrt(variance + layers.EPSILON) * scale + offset
    ours = apply(layers.batch_norm, x, mean, variance, scale, offset)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_gelu_is_the_sigmoid_approximation():
    x = normal(100)
    np.testing.assert_allclose(apply(layers.gelu, x), x / (1 + np.exp(-1.702 * x)), atol=1e-6)


@pytest.mark.parametrize(("tokens", "first"), [(10, 3), (11, 3), (4, 0)])
def test_crop_keeps_the_centre(tokens, first):
    x = np.arange(tokens, dtype=np.float32)[None, :, None]
    cropped = layers.crop(tf.constant(x), 4).numpy()[0, :, 0]
    np.testing.assert_array_equal(cropped, np.arange(first, first + 4))


def test_crop_names_a_sequence_that_is_too_short():
    with pytest.raises(ValueError, match="3 tokens are fewer than target_length=4"):
        layers.crop(tf.zeros([1, 3, 2]), 4)


def test_dropout_is_a_function_of_its_seed_and_keeps_the_mean():
    x = tf.ones([200, 200])
    seed = tf.constant([1, 2])
    once, again = layers.dropout(x, 0.4, seed), layers.dropout(x, 0.4, seed)
    other = layers.dropout(x, 0.4, layers.fold_in(seed, 1))
    np.testing.assert_array_equal(once, again)
    assert (once.numpy() != other.numpy()).any()
    assert float(tf.reduce_mean(once)) == pytest.approx(1, abs=0.02)
    assert float(tf.reduce_mean(tf.cast(once == 0, tf.float32))) == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shape", [[4, 6], [3, 5]])  # an even and an odd number of values
def test_factors_of_dropout_are_what_dropout_multiplies_with(shape, compiled):
    seed = tf.constant([3, 4])
    x = tf.reshape(tf.range(1, 1 + np.prod(shape), dtype=tf.float32), shape)
    dropped = tf.function(lambda x: layers.dropout(x, 0.4, seed), jit_compile=compiled)(x)
    factors = tf.function(lambda: layers.dropout_factors(shape, 0.4, seed), jit_compile=compiled)()
    assert 0 < np.count_nonzero(factors) < x.shape.num_elements()
    np.testing.assert_allclose(dropped, x * factors, rtol=1e-6)


def test_dropout_passes_the_gradient_of_what_it_keeps():
    x, seed = tf.Variable(tf.random.normal([8, 9])), tf.constant([5, 6])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layers.dropout(x, 0.25, seed))
    factors = layers.dropout_factors([8, 9], 0.25, seed)
    np.testing.assert_allclose(tape.gradient(total, x), factors, rtol=1e-6)


def test_values_are_dropped_independently_of_their_neighbours():
    # Two values share the bits of one random number; half of it must say nothing of the other.
    dropped = layers.dropout_factors([10**6], 0.5, tf.constant([7, 8])).numpy() == 0
    assert np.corrcoef(dropped[::2], dropped[1::2])[0, 1] == pytest.approx(0, abs=0.005)
    assert dropped.mean() == pytest.approx(0.5, abs=0.002)


def test_no_seed_means_no_dropout():
    x = tf.ones([3, 3])
    assert layers.dropout(x, 0.4, None) is x
    assert layers.dropout_factors([3, 3], 0.4, None) is None
    assert layers.fold_in(None, 3) is None
