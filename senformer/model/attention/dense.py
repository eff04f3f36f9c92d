"""Attend as Enformer does: every token to every token, with relative positions."""

from __future__ import annotations

import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.attention.heads import AttentionInputs, WeightDropout, split_heads
from senformer.model.attention.layer import (
    AttentionLayer,
    input_projection,
    output_projection,
    query_bias,
)
from senformer.model.attention.relative_logits import shift_to_keys
from senformer.model.compute.recomputation import Residuals
from senformer.model.dropout import dropout as drop_out
from senformer.model.positions import relative_position_features


class DenseAttention(AttentionLayer):
    """Attend with multiple heads and Transformer-XL's relative positions, as in Enformer.

    Source: Avsec et al. 2021; Dai et al. 2019 (Transformer-XL), section 3.3.
    """

    def __init__(
        self, config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
    ) -> None:
        super().__init__(name=name)
        del layer  # the same in every layer
        self.config = config
        channels, heads = config.channels, config.num_heads
        key_channels = heads * config.key_size

        self.query = input_projection(generator, channels, key_channels, "query")
        self.key = input_projection(generator, channels, key_channels, "key")
        self.value = input_projection(generator, channels, channels, "value")
        self.relative_key = input_projection(
            generator, config.num_relative_position_features, key_channels, "relative_key"
        )
        self.content_bias = query_bias(generator, heads, config.key_size, "content_bias")
        self.position_bias = query_bias(generator, heads, config.key_size, "position_bias")
        self.output = output_projection(channels)

    def position_features(self, tokens: int) -> tf.Tensor:
        """Return `[2 tokens - 1, features]`; see `positions.relative_position_features`."""
        config = self.config
        num_features = config.num_relative_position_features
        if not config.relative_positions:
            return tf.zeros([2 * tokens - 1, num_features])
        return relative_position_features(tokens, num_features, config.gamma_scaling)

    def project(
        self,
        x: tf.Tensor,
        position_features: tf.Tensor | None = None,
        features_seed: tf.Tensor | None = None,
    ) -> AttentionInputs:
        """Project tokens to scaled queries, keys and values, and features to relative keys."""
        config = self.config
        features = drop_out(position_features, config.positional_dropout_rate, features_seed)
        relative_key = split_heads(self.relative_key(features)[tf.newaxis], config.num_heads)[0]
        inputs = super().project(x)
        bias_shape = [config.num_heads, config.key_size]
        return inputs._replace(
            query=inputs.query * config.key_size**-0.5,
            relative_key=relative_key,
            content_bias=tf.reshape(self.content_bias, bias_shape),
            position_bias=tf.reshape(self.position_bias, bias_shape),
        )

    def attend(
        self, inputs: AttentionInputs, dropout: WeightDropout | None, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend to all keys; the gradient keeps all weights, which are too large for residuals."""
        return dense_attention(inputs, dropout)

    def weights(self, x: tf.Tensor, position_features: tf.Tensor) -> tf.Tensor:
        """Compute how much each query attends to each key.

        Args:
            x: `[batch, tokens, channels]`, the layer's input.
            position_features: Result of `position_features`.

        Returns:
            float32 `[batch, heads, tokens, tokens]`; the last axis sums to 1. It takes 4 bytes per
            pair of tokens and head: 75 MB for 196,608 bp and 8 heads.
        """
        return dense_weights(self.project(x, position_features))


def dense_attention(inputs: AttentionInputs, dropout: WeightDropout | None = None) -> tf.Tensor:
    """Attend from every query to every key, by content and by relative position.

    Args:
        inputs: Queries, already scaled, keys, values and relative positions.
        dropout: Dropout of the weights, by the first seed.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Dai et al. 2019, section 3.3; Avsec et al. 2021, Methods.
    """
    weights = dense_weights(inputs)
    if dropout is not None:
        weights = drop_out(weights, dropout.rate, dropout.seeds[0])
    attended = tf.matmul(weights, tf.cast(inputs.value, tf.float32))
    return tf.cast(attended, inputs.value.dtype)


def dense_weights(inputs: AttentionInputs) -> tf.Tensor:
    """Compute the weights of `dense_attention`, float32 `[batch, heads, tokens, tokens]`."""
    query, key, relative_key = (
        tf.cast(x, tf.float32) for x in (inputs.query, inputs.key, inputs.relative_key)
    )
    content_query = query + inputs.content_bias[:, tf.newaxis]
    position_query = query + inputs.position_bias[:, tf.newaxis]
    content = tf.matmul(content_query, key, transpose_b=True)
    position = tf.matmul(position_query, relative_key[tf.newaxis], transpose_b=True)
    position = tf.pad(position, [[0, 0], [0, 0], [0, 0], [1, 0]])  # as `shift_to_keys` expects
    return tf.nn.softmax(content + shift_to_keys(position))
