import itertools

import numpy as np
import pytest
import tensorflow as tf

from senformer.model.compute import winograd


def convolution_in_float64(x: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    width, length = len(weights), x.shape[1]
    before = (width - 1) // 2
    padded = np.pad(x.astype(np.float64), [(0, 0), (before, width - 1 - before), (0, 0)])
    return bias + sum(padded[:, k : k + length] @ weights[k] for k in range(width))


@pytest.mark.parametrize("width", [2, 3, 4, 5])
@pytest.mark.parametrize("length", [1, 4, 7, 64, 101])
def test_convolve_matches_definition(width: int, length: int) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=[2, length, 12]).astype(np.float32)
    weights = generator.normal(size=[width, 12, 6]).astype(np.float32)
    bias = generator.normal(size=6).astype(np.float32)
    filters = winograd.transform_filters(tf.constant(weights))
    actual = winograd.convolve(tf.constant(x), filters, tf.constant(bias))
    expected = convolution_in_float64(x, weights, bias)
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


def test_winograd_needs_two_fifths_of_the_products() -> None:
    filters = winograd.transform_filters(tf.zeros([5, 3, 2]))
    assert filters.shape[0] * 5 == 2 * (5 * winograd.OUTPUTS_PER_TILE)


def test_rounding_is_below_twice_that_of_a_sum() -> None:
    """The rounding of a sum, unlike that of a convolution, does not depend on the processor."""
    generator = tf.random.Generator.from_seed(0)
    x, weights = generator.normal([1, 200, 768]), generator.normal([5, 768, 768], stddev=0.016)
    bias = tf.zeros([768])
    expected = convolution_in_float64(x.numpy(), weights.numpy(), bias.numpy())
    fast = winograd.convolve(x, winograd.transform_filters(weights), bias)
    padded = np.pad(x.numpy(), [(0, 0), (2, 2), (0, 0)])
    summed, filters = np.zeros([1, 200, 768], np.float32), weights.numpy()
    for place, channel in itertools.product(range(5), range(768)):
        term = padded[:, place : place + 200, channel, np.newaxis]
        summed += term * filters[place, channel]
    assert np.std(fast - expected) < 2 * np.std(summed - expected)


def test_gradient_matches_convolution() -> None:
    generator = tf.random.Generator.from_seed(0)
    x, weights = generator.normal([2, 30, 8]), generator.normal([5, 8, 4])
    upstream = generator.normal([2, 30, 4])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, weights])
        filters = winograd.transform_filters(weights)
        fast = tf.reduce_sum(upstream * winograd.convolve(x, filters, tf.zeros([4])))
        plain = tf.reduce_sum(upstream * tf.nn.conv1d(x, weights, stride=1, padding="SAME"))
    for array in (x, weights):
        expected = tape.gradient(plain, array)
        largest = np.abs(expected).max()
        np.testing.assert_allclose(tape.gradient(fast, array), expected, atol=1e-5 * largest)
