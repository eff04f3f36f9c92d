import functools

import numpy as np
import pytest
import tensorflow as tf
from attention_reference import assert_matches, make_inputs, make_tiny_layer

from senformer.config import preset
from senformer.model.attention.layer import make_attention
from senformer.model.attention.performer import (
    NUM_FEATURES,
    orthogonal_directions,
    performer_attention,
    projections,
)
from senformer.model.compute import device, xla

SIZE = 8


def reference(inputs, directions, stabiliser=1e-6):
    """Compute FAVOR+ as it is published, every product written down, in float64."""
    query, key, value, _, content_bias, _ = inputs
    query, key, value, content_bias, directions = (
        tf.cast(x, tf.float64) for x in (query, key, value, content_bias, directions)
    )

    def features(x, axes, logit=0):
        x /= x.shape[-1] ** 0.25
        projected = tf.einsum("bhtd,md->bhtm", x, directions) + logit
        largest = tf.reduce_max(projected, axis=axes, keepdims=True)
        half_square = tf.reduce_sum(x**2, axis=-1, keepdims=True) / 2
        return tf.exp(projected - half_square - largest) + stabiliser

    logit = tf.reduce_sum(content_bias[:, tf.newaxis] * key, axis=-1, keepdims=True)
    weights = tf.einsum("bhqm,bhkm->bhqk", features(query, [3]), features(key, [2, 3], logit))
    return tf.matmul(weights / tf.reduce_sum(weights, axis=-1, keepdims=True), value)


def kernel(query, key, directions):
    """Estimate exp(q . k / sqrt(size)) for pairs of rows, in float64."""
    query_features, key_features = (
        np.exp(np.subtract(*(part.numpy() for part in projections(tf.constant(x), directions))))
        for x in (query, key)
    )
    return (query_features * key_features).mean(axis=-1)


def independent_directions(num_features, size, *, seed):
    return np.random.default_rng(seed).normal(size=[num_features, size])


def estimates(draw, num_features, num_seeds, num_pairs=32):
    """Estimate the kernel of each pair by each seed, over the true value: `[seeds, pairs]`."""
    query, key = np.random.default_rng(0).normal(scale=0.4, size=[2, num_pairs, SIZE])
    exact = np.exp((query * key).sum(axis=-1) * SIZE**-0.5)
    drawn = [draw(num_features, SIZE, seed=seed) for seed in range(num_seeds)]
    return np.stack([kernel(query, key, directions) for directions in drawn]) / exact


@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_performer_matches_float64(device_type):
    directions = orthogonal_directions(20, SIZE, seed=0)
    with device.traced_for(device_type):
        attend = xla.program(lambda inputs: performer_attention(inputs, directions))
    inputs = make_inputs(40)._replace(relative_key=None, position_bias=None)
    assert_matches(attend, inputs, functools.partial(reference, directions=directions))


def test_features_estimate_the_softmax_kernel():
    by_seed = estimates(orthogonal_directions, 2 * SIZE, num_seeds=1500)
    standard_error = by_seed.std(axis=0) / len(by_seed) ** 0.5
    assert (np.abs(by_seed.mean(axis=0) - 1) < 5 * standard_error).all()
    assert standard_error.max() < 0.05


def test_error_falls_with_the_root_of_the_features():
    numbers = SIZE * 2 ** np.arange(8)
    errors = [
        np.square(estimates(orthogonal_directions, number, num_seeds=200) - 1).mean() ** 0.5
        for number in numbers
    ]
    slope, _ = np.polyfit(np.log(numbers), np.log(errors), 1)
    assert -0.6 < slope < -0.4


def test_orthogonal_directions_lower_the_variance():
    orthogonal, independent = (
        estimates(draw, SIZE, num_seeds=1500).var(axis=0).mean()
        for draw in (orthogonal_directions, independent_directions)
    )
    assert orthogonal < independent


def test_directions_are_orthogonal_normal_vectors():
    drawn = np.stack([orthogonal_directions(SIZE + 3, SIZE, seed=seed) for seed in range(2000)])
    products = drawn[:, :SIZE] @ drawn[:, :SIZE].transpose(0, 2, 1)
    assert np.abs(products[:, ~np.eye(SIZE, dtype=bool)]).max() < 1e-4
    assert np.abs(drawn.mean(axis=0)).max() < 0.1  # without the signs of R's diagonal, 0.8
    covariance = np.einsum("smd,sme->mde", drawn, drawn) / len(drawn)
    np.testing.assert_allclose(
        covariance, np.broadcast_to(np.eye(SIZE), covariance.shape), atol=0.2
    )


def test_layer_estimates_dense_without_positions():
    dense, layer = make_tiny_layer("dense"), make_tiny_layer("performer")
    dense.position_bias.assign(tf.zeros_like(dense.position_bias))
    dense.relative_key.w.assign(tf.zeros_like(dense.relative_key.w))
    dense.query.w.assign(dense.query.w / 2)  # with larger norms the estimate is too rough
    dense.key.w.assign(dense.key.w / 2)
    by_name = {v.name: v for v in dense.variables}
    for variable in layer.variables:
        variable.assign(by_name[variable.name])
    x = tf.random.stateless_normal([2, 128, layer.config.channels], [1, 2])
    exact = dense(x, dense.position_features(128)).numpy()
    even = tf.reduce_mean(dense.value(x), axis=1, keepdims=True).numpy()
    assert np.abs(layer(x) - exact).mean() < 0.3 * np.abs(even - exact).mean()


def test_seed_and_layer_decide_the_directions():
    def directions(seed, layer):
        config = preset("enformer_tiny", attention="performer", random_block_seed=seed)
        generator = tf.random.Generator.from_seed(0)
        return make_attention(config, layer, generator, "attention").directions

    assert directions(1, 0).shape == (NUM_FEATURES, 32)
    np.testing.assert_array_equal(directions(1, 1), directions(2, 0))
    assert (directions(1, 0) != directions(2, 0)).all()
