"""Attention by features of queries and keys, whose cost grows with the tokens alone.

Where the weight of a key is a product of features, phi(q) . phi(k), the sums over all keys,
phi(K)^T V, are taken once, and every query reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import sonnet as snt
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model import ops
from senformer.model.attention.dense import input_projection, output_projection
from senformer.model.attention.heads import HeadGroup, map_heads, merge_heads, split_heads
from senformer.model.compute.recomputation import Residuals

Features: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""From queries and keys `[group, tokens, ...]` to their features `[group, tokens, features]`."""


class FeatureAttention(snt.Module):
    """Enformer's query, key, value and output, for a kind that knows no positions.

    They have the names and shapes of `DenseAttention`, so these weights of a trained Enformer are
    its start. A product of features has no place for a relative position: Enformer's relative keys
    and position bias are left behind. It drops out no weights, since it computes none.
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

    def position_features(self, tokens: int) -> None:
        """None: it knows no positions."""
        return None  # AutoGraph wants a statement

    def __call__(
        self,
        x: tf.Tensor,
        position_features: None = None,
        dropout_seeds: tf.Tensor | None = None,
        residuals: Residuals | None = None,
    ) -> tf.Tensor:
        """Attend; `x` and the result are `[batch, tokens, channels]`. It has no dropout."""
        del position_features, dropout_seeds
        heads = self.config.num_heads
        for_query, for_key, for_value = ops.for_readers(x, 3)
        attended = self.attend(
            split_heads(self.query(for_query), heads),
            split_heads(self.key(for_key), heads),
            split_heads(self.value(for_value), heads),
            residuals,
        )
        return self.output(merge_heads(attended))

    def attend(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend with all heads; kinds differ in this.

        Args:
            query: `[batch, heads, tokens, key_size]`, not scaled.
            key: `[batch, heads, tokens, key_size]`.
            value: `[batch, heads, tokens, value_size]`.
            residuals: Keeps the result for a recomputed block.

        Returns:
            `[batch, heads, tokens, value_size]`.
        """
        raise NotImplementedError


def attend_by_features(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    features: Features,
    *,
    residuals: Residuals | None = None,
) -> tf.Tensor:
    """phi(Q) (phi(K)^T V), each row divided by phi(Q) times the sum of phi(K).

    For the gradient it keeps its arguments; features are computed again.

    Args:
        query: `[batch, heads, tokens, ...]`, what features of queries are computed from.
        key: `[batch, heads, tokens, ...]`, likewise of keys.
        value: `[batch, heads, tokens, value_size]`.
        features: Of queries and keys, positive.
        residuals: Keeps the result for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Katharopoulos et al. 2020, section 3.2; Choromanski et al. 2021, section 2.2.
    """
    residuals = residuals or Residuals()

    def attend_heads(
        group: HeadGroup, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor]:
        of_query, of_key = features(query, key)
        sums = tf.matmul(of_key, value, transpose_a=True)  # [group, features, value_size]
        total = tf.reduce_sum(of_key, axis=1, keepdims=True)  # [group, 1, features]
        return (of_query @ sums / tf.matmul(of_query, total, transpose_b=True),)

    def gradients_of_heads(
        group: HeadGroup, *arguments_and_upstream: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        *arguments, upstream = arguments_and_upstream
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(arguments)
            (output,) = attend_heads(group, *arguments)
        return tuple(tape.gradient(output, arguments, output_gradients=upstream))

    @tf.custom_gradient
    def attention(*arguments: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list]]:
        shapes = [x.shape[2:] for x in arguments]
        [output] = residuals.keep(lambda: map_heads(attend_heads, arguments, shapes[2:]))

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            gradients = map_heads(gradients_of_heads, [*arguments, upstream], shapes)
            return [tf.cast(g, x.dtype) for g, x in zip(gradients, arguments, strict=True)]

        return tf.cast(output, arguments[2].dtype), gradient

    return attention(query, key, value)
