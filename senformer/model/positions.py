"""Enformer's relative-position features: functions of the distance between two tokens."""

from __future__ import annotations

import tensorflow as tf

from senformer.config import GAMMA_SCALINGS

NUM_BASES = 6
"""Groups of features: exponential, central mask and gamma, each symmetric and signed."""

_SHORTEST_HALF_LIFE_LOG2 = 3.0
_GAMMA_FLOOR = 1e-8


def relative_position_features(
    tokens: int, num_features: int, gamma_scaling: str = "per_feature"
) -> tf.Tensor:
    """Compute the features of every relative position in a sequence of `tokens`.

    Enformer's attention projects these features to relative keys. The characteristic lengths scale
    with `tokens`: the same distance has different features in a longer sequence. The exponential
    features have half-lives log-spaced from 8 to `tokens` tokens; the central masks are one within
    `2**i - 1` tokens.

    Args:
        tokens: Sequence length in tokens of 128 bp, at least 2.
        num_features: Number of features, a multiple of six.
        gamma_scaling: Divisor of a gamma density: its own maximum (`per_feature`, as in Enformer),
            or the maximum of all densities at the same position (`per_position`, the default of
            enformer-pytorch).

    Returns:
        float32 `[2 * tokens - 1, num_features]`, from relative position `-(tokens - 1)` to
        `tokens - 1`. The second half of the features is the first half times the sign.

    Raises:
        ValueError: If `num_features` is not a multiple of six or `tokens` is below 2.

    Source: Avsec et al. 2021, Methods, "Relative positional encodings";
        google-deepmind/deepmind-research, `enformer/attention_module.py`.
    """
    if num_features % NUM_BASES or num_features < NUM_BASES:
        raise ValueError(f"{num_features=}, expected a positive multiple of {NUM_BASES}")
    if tokens < 2:
        raise ValueError(f"{tokens=}, expected at least 2")
    positions = tf.range(-(tokens - 1), tokens, dtype=tf.float32)
    distances = tf.abs(positions)[:, tf.newaxis]  # [2 tokens - 1, 1]
    num_per_basis = num_features // NUM_BASES
    log2_tokens = tf.math.log(float(tokens)) / tf.math.log(2.0)
    half_lives = tf.pow(2.0, tf.linspace(_SHORTEST_HALF_LIFE_LOG2, log2_tokens, num_per_basis))
    exponential = tf.exp(-tf.math.log(2.0) / half_lives * distances)
    widths = tf.pow(2.0, tf.range(1, num_per_basis + 1, dtype=tf.float32)) - 1
    central_mask = tf.cast(widths > distances, tf.float32)
    gamma = _gamma(distances, num_per_basis, tokens, gamma_scaling)
    symmetric = tf.concat([exponential, central_mask, gamma], axis=-1)
    return tf.concat([symmetric, tf.sign(positions)[:, tf.newaxis] * symmetric], axis=-1)


def _gamma(distances: tf.Tensor, num_features: int, tokens: int, gamma_scaling: str) -> tf.Tensor:
    """Compute gamma densities with evenly spaced means, scaled to at most one."""
    standard_deviation = tokens / (2 * num_features)
    means = tf.linspace(tokens / num_features, float(tokens), num_features)
    means = tf.cast(means, tf.float32)
    concentration = (means / standard_deviation) ** 2
    rate = means / standard_deviation**2
    log_density = (
        tf.math.xlogy(concentration - 1, distances)
        - rate * distances
        - tf.math.lgamma(concentration)
        + concentration * tf.math.log(rate)
    )
    density = tf.exp(log_density) + _GAMMA_FLOOR
    axis = GAMMA_SCALINGS.index(gamma_scaling)  # [positions, features]
    return density / tf.reduce_max(density, axis=axis, keepdims=True)
