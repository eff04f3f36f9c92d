import functools

import numpy as np
import pytest
import tensorflow as tf
from attention_reference import assert_all_close, output_and_gradients, relative_arrays

from senformer.config import preset
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.performer import (
    NUM_FEATURES,
    PerformerAttention,
    orthogonal_directions,
    performer_attention,
    projections,
)
from senformer.model.compute import device, xla

SIZE = 8


def reference(query, key, value, content_bias, directions, stabiliser=1e-6):
    """FAVOR+ as it is published, every product written down, in float64."""
    query, key, value, content_bias, directions = (
        tf.cast(x, tf.float64) for x in (query, key, value, content_bias, directions)
    )

    def features(x, axes, logit=0):
        x /= x.shape[-1] ** 0.25
        projected = tf.einsum("bhtd,md->bhtm", x, directions) + logit
        largest = tf.reduce_max(projected, axis=axes, keepdims=True)
        half_square = tf.reduce_sum(x**2, axis=-1, keepdims=True) / 2
        return tf.exp(projected - half_square - largest) + stabiliser

    logit = tf.reduce_sum(content_bias * key, axis=-1, keepdims=True)
    weights = tf.einsum("bhqm,bhkm->bhqk", features(query, [3]), features(key, [2, 3], logit))
    return tf.matmul(weights / tf.reduce_sum(weights, axis=-1, keepdims=True), value)


def estimate(directions):
    def attention(*inputs):
        return performer_attention(*inputs, directions)

    return attention


def kernel(query, key, directions):
    """The estimate of exp(q . k / sqrt(size)) for pairs of rows, in float64."""
    of_query, of_key = (
        np.exp(np.subtract(*(part.numpy() for part in projections(tf.constant(x), directions))))
        for x in (query, key)
    )
    return (of_query * of_key).mean(axis=-1)


def independent_directions(num_features, size, *, seed):
    return np.random.default_rng(seed).normal(size=[num_features, size])


def estimates(draw, num_features, num_seeds, num_pairs=32):
    """Of each seed and pair, over the true value: `[seeds, pairs]`."""
    query, key = np.random.default_rng(0).normal(scale=0.4, size=[2, num_pairs, SIZE])
    exact = np.exp((query * key).sum(axis=-1) * SIZE**-0.5)
    drawn = [draw(num_features, SIZE, seed=seed) for seed in range(num_seeds)]
    return np.stack([kernel(query, key, directions) for directions in drawn]) / exact


@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_output_and_gradients_equal_a_float64_reference(device_type):
    query, key, value, _, content_bias, _ = relative_arrays(40)
    inputs = [query, key, value, content_bias]
    directions = orthogonal_directions(20, SIZE, seed=0)
    with device.traced_for(device_type):
        function = xla.program(estimate(directions))
    expected = functools.partial(reference, directions=directions)
    assert_all_close(output_and_gradients(function, inputs), output_and_gradients(expected, inputs))


def test_the_expected_product_of_features_is_the_softmax_kernel():
    of_seeds = estimates(orthogonal_directions, 2 * SIZE, num_seeds=1500)
    standard_error = of_seeds.std(axis=0) / len(of_seeds) ** 0.5
    assert (np.abs(of_seeds.mean(axis=0) - 1) < 5 * standard_error).all()
    assert standard_error.max() < 0.05


def test_the_error_falls_with_the_square_root_of_the_features():
    numbers = SIZE * 2 ** np.arange(8)
    errors = [
        np.square(estimates(orthogonal_directions, number, num_seeds=200) - 1).mean() ** 0.5
        for number in numbers
    ]
    slope, _ = np.polyfit(np.log(numbers), np.log(errors), 1)
    assert -0.6 < slope < -0.4


def test_orthogonal_directions_vary_less_than_independent_ones():
    orthogonal, independent = (
        estimates(draw, SIZE, num_seeds=1500).var(axis=0).mean()
        for draw in (orthogonal_directions, independent_directions)
    )
    assert orthogonal < independent


def test_directions_are_orthogonal_in_sets_and_each_is_a_normal_vector():
    drawn = np.stack([orthogonal_directions(SIZE + 3, SIZE, seed=seed) for seed in range(2000)])
    products = drawn[:, :SIZE] @ drawn[:, :SIZE].transpose(0, 2, 1)
    assert np.abs(products[:, ~np.eye(SIZE, dtype=bool)]).max() < 1e-4
    assert np.abs(drawn.mean(axis=0)).max() < 0.1  # without the signs of R's diagonal, 0.8
    of_pairs = np.einsum("smd,sme->mde", drawn, drawn) / len(drawn)
    np.testing.assert_allclose(of_pairs, np.broadcast_to(np.eye(SIZE), of_pairs.shape), atol=0.2)


def test_the_layer_estimates_what_enformers_weights_do_without_positions():
    config = preset("enformer_tiny", attention="performer")
    generator = tf.random.Generator.from_seed(0)
    dense = DenseAttention(config, 0, generator, "attention")
    layer = PerformerAttention(config, 0, generator, "attention")
    dense.output.w.assign(tf.eye(config.channels))
    dense.position_bias.assign(tf.zeros_like(dense.position_bias))
    dense.relative_key.w.assign(tf.zeros_like(dense.relative_key.w))
    dense.query.w.assign(dense.query.w / 2)  # of larger norms the estimate is too rough to tell
    dense.key.w.assign(dense.key.w / 2)
    given = {v.name: v for v in dense.variables}
    for variable in layer.variables:
        variable.assign(given[variable.name])
    x = tf.random.stateless_normal([2, 128, config.channels], [1, 2])
    exact = dense(x, dense.position_features(128)).numpy()
    even = tf.reduce_mean(dense.value(x), axis=1, keepdims=True).numpy()
    assert np.abs(layer(x) - exact).mean() < 0.3 * np.abs(even - exact).mean()


def test_the_seed_and_the_layer_decide_the_directions():
    def directions(seed, layer):
        config = preset("enformer_tiny", attention="performer", random_block_seed=seed)
        generator = tf.random.Generator.from_seed(0)
        return PerformerAttention(config, layer, generator, "attention").directions

    assert directions(1, 0).shape == (NUM_FEATURES, 32)
    np.testing.assert_array_equal(directions(1, 1), directions(2, 0))
    assert (directions(1, 0) != directions(2, 0)).all()
