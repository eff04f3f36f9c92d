"""Attend by features of queries and keys, at a cost that grows linearly with the tokens.

If the weight of a key is a product of features, phi(q) . phi(k), the sums over all keys,
phi(K)^T V, are computed once and shared by all queries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.attention.heads import AttentionInputs, HeadGroup, map_heads
from senformer.model.attention.layer import AttentionLayer, input_projection, output_projection
from senformer.model.compute.recomputation import Residuals

Features: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Maps queries and keys `[group, tokens, ...]` to their features `[group, tokens, features]`."""


class FeatureAttention(AttentionLayer):
    """Hold Enformer's query, key, value and output projections, for kinds without positions.

    They have the names and shapes of `DenseAttention`, so these weights of a trained Enformer fit.
    A product of features cannot use a relative position, so Enformer's relative keys and position
    bias are not used. There are no weights to drop, so these kinds ignore dropout.
    """

    def __init__(
        self, config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
    ) -> None:
        super().__init__(name=name)
        del layer  # the same in every layer
        self.config = config
        channels = config.channels
        key_channels = config.num_heads * config.key_size
        self.query = input_projection(generator, channels, key_channels, "query")
        self.key = input_projection(generator, channels, key_channels, "key")
        self.value = input_projection(generator, channels, channels, "value")
        self.output = output_projection(channels)


def attend_by_features(
    inputs: AttentionInputs, features: Features, residuals: Residuals | None = None
) -> tf.Tensor:
    """Compute phi(Q) (phi(K)^T V), each row divided by phi(Q) times the sum of phi(K).

    The gradient needs only the inputs; it recomputes the features.

    Args:
        inputs: Queries and keys `[batch, heads, tokens, ...]`, as `features` takes them, and values
            `[batch, heads, tokens, value_size]`.
        features: Computes positive features of queries and keys.
        residuals: Keeps the result for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Katharopoulos et al. 2020, section 3.2; Choromanski et al. 2021, section 2.2.
    """
    residuals = residuals or Residuals()

    def attend(
        group: HeadGroup, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor]:
        query_features, key_features = features(query, key)
        sums = tf.matmul(key_features, value, transpose_a=True)  # [group, features, value_size]
        total = tf.reduce_sum(key_features, axis=1, keepdims=True)  # [group, 1, features]
        normaliser = tf.matmul(query_features, total, transpose_b=True)
        return (query_features @ sums / normaliser,)

    def gradient(group: HeadGroup, *tensors_and_upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
        *tensors, upstream = tensors_and_upstream
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tensors)
            (output,) = attend(group, *tensors)
        return tuple(tape.gradient(output, tensors, output_gradients=upstream))

    @tf.custom_gradient
    def attention(*tensors: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        shapes = [x.shape[2:] for x in tensors]
        [output] = residuals.keep(lambda: map_heads(attend, tensors, shapes[2:]))

        def backward(upstream: tf.Tensor) -> list[tf.Tensor]:
            gradients = map_heads(gradient, [*tensors, upstream], shapes)
            return [tf.cast(x, y.dtype) for x, y in zip(gradients, tensors, strict=True)]

        return tf.cast(output, inputs.value.dtype), backward

    return attention(inputs.query, inputs.key, inputs.value)
