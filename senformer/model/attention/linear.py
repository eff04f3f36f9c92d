"""The linear transformer's attention: a softmax replaced by a product of simple features."""

from __future__ import annotations

import tensorflow as tf

from senformer.model.attention.feature_attention import FeatureAttention, attend_by_features
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import compiled


class LinearAttention(FeatureAttention):
    """Enformer's projections, with elu(q) + 1 times elu(k) + 1 as the weight of a key.

    Source: Katharopoulos et al. 2020; idiap/fast-transformers,
        `attention/linear_attention.py`.
    """

    def attend(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend with all heads; see `linear_attention`."""
        return linear_attention(query, key, value, residuals=residuals)


def linear_attention(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *, residuals: Residuals | None = None
) -> tf.Tensor:
    """Attention whose weights are products of elu + 1 of query and key.

    No estimate of a softmax: another function, whose weights are seldom far from even.

    Args:
        query: `[batch, heads, tokens, size]`, not scaled.
        key: `[batch, heads, tokens, size]`.
        value: `[batch, heads, tokens, value_size]`.
        residuals: Keeps the result for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Katharopoulos et al. 2020, equations 5 to 7.
    """

    def features(query: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _elu_plus_one(query), _elu_plus_one(key)

    return attend_by_features(query, key, value, features, residuals=residuals)


@compiled  # one pass over memory
def _elu_plus_one(x: tf.Tensor) -> tf.Tensor:
    # Not elu(x) + 1, which is zero from -17 on; then a row of weights might have no sum.
    return tf.nn.relu(x) + tf.exp(tf.minimum(x, 0))
