"""Performer's attention: the softmax by positive random features (FAVOR+)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.attention.dense import query_bias
from senformer.model.attention.feature_attention import FeatureAttention, attend_by_features
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import compiled

NUM_FEATURES = 256
"""Random features of a layer, as in the Long-Range Arena."""

_STABILISER = 1e-6


class PerformerAttention(FeatureAttention):
    """Enformer's attention by content, of which random features estimate the softmax.

    Of Enformer's weights it has the content bias too. The directions of a layer are drawn from the
    model's seed, as random blocks are, and stay.

    Source: Choromanski et al. 2021; google-research/google-research,
        `performer/fast_attention/tensorflow/fast_attention.py`.
    """

    def __init__(
        self, config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
    ) -> None:
        super().__init__(config, layer, generator, name)
        self.content_bias = query_bias(generator, config.num_heads, config.key_size, "content_bias")
        self.directions = orthogonal_directions(
            NUM_FEATURES, config.key_size, seed=config.random_block_seed + layer
        )

    def attend(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend with all heads; see `performer_attention`."""
        return performer_attention(
            query, key, value, self.content_bias, self.directions, residuals=residuals
        )


def performer_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    content_bias: tf.Tensor,
    directions: np.ndarray,
    *,
    residuals: Residuals | None = None,
) -> tf.Tensor:
    """Softmax attention without positions, estimated in time and memory linear in the tokens.

    Features are exponentials less their largest, of each query, and of all keys of a head; a small
    number keeps them off zero. A query or key of a large norm has features of a large variance: the
    estimate is as good as the norms are small. What the content bias adds to a key's logit is the
    same for all queries, so it is a factor of the key's features, and exact.

    Args:
        query: `[batch, heads, tokens, size]`; scaled here, with the key, by `size ** -0.5`.
        key: `[batch, heads, tokens, size]`.
        value: `[batch, heads, tokens, value_size]`.
        content_bias: `[1, heads, 1, size]`, added to the scaled query.
        directions: float32 `[features, size]`, see `orthogonal_directions`.
        residuals: Keeps the result for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Choromanski et al. 2021, lemma 1 and section 2.4; the stabiliser, the published code.
    """

    def features(query: tf.Tensor, key_and_logit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        key, logit = tf.split(key_and_logit, [-1, 1], axis=-1)
        of_query, half_square_of_query = projections(query, directions)
        of_key, half_square_of_key = projections(key, directions)
        return (
            _stable_features(of_query, half_square_of_query, largest_over=[-1]),
            _stable_features(of_key + logit, half_square_of_key, largest_over=[-2, -1]),
        )

    key = tf.cast(key, tf.float32)
    logit = tf.reduce_sum(key * content_bias, axis=-1, keepdims=True)
    key_and_logit = tf.concat([key, logit], axis=-1)
    return attend_by_features(query, key_and_logit, value, features, residuals=residuals)


def projections(x: tf.Tensor, directions: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """What the logarithm of a feature is the difference of.

    With `exp(projection - half_square) / sqrt(features)` as features, the expected product of those
    of a query and a key is `exp(query . key / sqrt(size))`.

    Args:
        x: Queries or keys `[..., tokens, size]`, not scaled.
        directions: `[features, size]`.

    Returns:
        The projections `[..., tokens, features]` and the half squares `[..., tokens, 1]`.

    Source: Choromanski et al. 2021, lemma 1.
    """
    x *= x.shape[-1] ** -0.25
    projection = tf.matmul(x, tf.constant(directions, x.dtype), transpose_b=True)
    return projection, tf.reduce_sum(tf.square(x), axis=-1, keepdims=True) / 2


def orthogonal_directions(num_features: int, size: int, *, seed: int) -> np.ndarray:
    """Draw directions that are orthogonal in sets of `size`, each distributed as a normal vector.

    Orthogonal ones cover the space more evenly than independent ones, so the estimate varies less.

    Args:
        num_features: How many.
        size: Of a query or key.
        seed: Seed of the draw.

    Returns:
        float32 `[num_features, size]`.

    Source: Choromanski et al. 2021, section 2.4; that the signs of R's diagonal make a uniformly
        distributed Q, Mezzadri 2007, which the published code leaves out.
    """
    generator = np.random.RandomState(seed)
    sets = []
    for _ in range(math.ceil(num_features / size)):
        q, r = np.linalg.qr(generator.normal(size=[size, size]))
        sets.append(q.T * np.sign(np.diag(r))[:, np.newaxis])
    norms = np.linalg.norm(generator.normal(size=[num_features, size]), axis=1, keepdims=True)
    return (np.concatenate(sets)[:num_features] * norms).astype(np.float32)


def _stable_features(
    projection: tf.Tensor, half_square: tf.Tensor, largest_over: list[int]
) -> tf.Tensor:
    largest = tf.reduce_max(projection, axis=largest_over, keepdims=True)
    return _features(projection, half_square + largest)


@tf.custom_gradient
def _features(
    projection: tf.Tensor, shift: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Exponentials of what is left of projections `[..., features]` after a shift `[..., 1]`."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_projection = upstream * _exponentials(projection, shift, 0.0)
        return of_projection, -tf.reduce_sum(of_projection, axis=-1, keepdims=True)

    return _exponentials(projection, shift, _STABILISER), gradient


@compiled  # one pass over memory
def _exponentials(projection: tf.Tensor, shift: tf.Tensor, more: float) -> tf.Tensor:
    return (tf.exp(projection - shift) + more) * projection.shape[-1] ** -0.5
