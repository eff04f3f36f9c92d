"""Attend as the linear transformer does: a product of simple features replaces the softmax."""

from __future__ import annotations

import tensorflow as tf

from senformer.model.attention.feature_attention import FeatureAttention, attend_by_features
from senformer.model.attention.heads import AttentionInputs, WeightDropout
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import compiled


class LinearAttention(FeatureAttention):
    """Attend with Enformer's projections and elu(q) + 1 times elu(k) + 1 as the weight of a key.

    Source: Katharopoulos et al. 2020; idiap/fast-transformers,
        `attention/linear_attention.py`.
    """

    def attend(
        self, inputs: AttentionInputs, dropout: WeightDropout | None, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend to all keys by features; `dropout` is not used."""
        return linear_attention(inputs, residuals)


def linear_attention(inputs: AttentionInputs, residuals: Residuals | None = None) -> tf.Tensor:
    """Attend with weights that are products of elu + 1 of query and key.

    These weights do not estimate a softmax; they differ little from key to key.

    Args:
        inputs: Queries, not scaled, keys and values.
        residuals: Keeps the result for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Katharopoulos et al. 2020, equations 5 to 7.
    """
    return attend_by_features(
        inputs, lambda query, key: (_elu_plus_one(query), _elu_plus_one(key)), residuals
    )


@compiled  # one pass over memory
def _elu_plus_one(x: tf.Tensor) -> tf.Tensor:
    # elu(x) + 1 is zero below -17, and a query's weights might then sum to zero; this is not.
    return tf.nn.relu(x) + tf.exp(tf.minimum(x, 0))
