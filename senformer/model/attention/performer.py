"""Attend as Performer does: positive random features (FAVOR+) estimate the softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.attention.feature_attention import FeatureAttention, attend_by_features
from senformer.model.attention.heads import AttentionInputs, WeightDropout
from senformer.model.attention.layer import query_bias
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import compiled

NUM_FEATURES = 256
"""Random features of a layer, as in the Long-Range Arena."""

_STABILISER = 1e-6


class PerformerAttention(FeatureAttention):
    """Estimate Enformer's attention by content with random features.

    It also has Enformer's content bias. The model's seed and the layer determine the random
    directions, which are not trained.

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
        self, inputs: AttentionInputs, dropout: WeightDropout | None, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend to all keys by random features; `dropout` is not used."""
        config = self.config
        content_bias = tf.reshape(self.content_bias, [config.num_heads, config.key_size])
        inputs = inputs._replace(content_bias=content_bias)
        return performer_attention(inputs, self.directions, residuals)


def performer_attention(
    inputs: AttentionInputs, directions: np.ndarray, residuals: Residuals | None = None
) -> tf.Tensor:
    """Estimate softmax attention without positions, in time and memory linear in the tokens.

    Features are exponentials, divided by the largest of each query and by the largest of all keys
    of a head, plus a small stabiliser that keeps them above zero. The estimate is good if the norms
    of queries and keys are small, because the variance of the features grows with the norm. The
    content bias adds the same to a key's logit for all queries; it is a factor of the key's
    features, and exact.

    Args:
        inputs: Queries, keys, values and the content bias of the scaled queries. Queries and keys
            are scaled here.
        directions: float32 `[features, size]`, see `orthogonal_directions`.
        residuals: Keeps the result for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Choromanski et al. 2021, lemma 1 and section 2.4; the stabiliser, the published code.
    """

    def features(query: tf.Tensor, key_and_logit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        key, logit = tf.split(key_and_logit, [-1, 1], axis=-1)
        query_projection, query_half_square = projections(query, directions)
        key_projection, key_half_square = projections(key, directions)
        return (
            _stable_features(query_projection, query_half_square, largest_over=[-1]),
            _stable_features(key_projection + logit, key_half_square, largest_over=[-2, -1]),
        )

    key = tf.cast(inputs.key, tf.float32)
    logit = tf.reduce_sum(key * inputs.content_bias[:, tf.newaxis], axis=-1, keepdims=True)
    inputs = inputs._replace(key=tf.concat([key, logit], axis=-1))
    return attend_by_features(inputs, features, residuals)


def projections(x: tf.Tensor, directions: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """Project onto random directions: a feature is `exp(projection - half_square)`.

    Divided by `sqrt(features)`, the features of a query and a key have the expected product
    `exp(query . key / sqrt(size))`.

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

    Orthogonal directions cover the space more evenly than independent directions, so the estimate
    has a smaller variance.

    Args:
        num_features: Number of directions.
        size: Size of a query or key.
        seed: Seed of the draw.

    Returns:
        float32 `[num_features, size]`.

    Source: Choromanski et al. 2021, section 2.4. The signs of R's diagonal make Q uniformly
        distributed (Mezzadri 2007); the published code omits them.
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
    """Compute features divided by their largest value over some axes."""
    largest = tf.reduce_max(projection, axis=largest_over, keepdims=True)
    return _features(projection, half_square + largest)


@tf.custom_gradient
def _features(
    projection: tf.Tensor, shift: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Compute exponentials of projections `[..., features]` minus a shift `[..., 1]`."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        projection_gradient = upstream * _exponentials(projection, shift, 0.0)
        return projection_gradient, -tf.reduce_sum(projection_gradient, axis=-1, keepdims=True)

    return _exponentials(projection, shift, _STABILISER), gradient


@compiled  # one pass over memory
def _exponentials(projection: tf.Tensor, shift: tf.Tensor, stabiliser: float) -> tf.Tensor:
    return (tf.exp(projection - shift) + stabiliser) * projection.shape[-1] ** -0.5
