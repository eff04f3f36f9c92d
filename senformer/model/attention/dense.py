"""Enformer's own attention: every token to every token, with relative positions."""

from __future__ import annotations

import sonnet as snt
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model import ops
from senformer.model.attention.heads import merge_heads, split_heads
from senformer.model.compute.recomputation import Residuals
from senformer.model.dropout import dropout, shared_by_examples
from senformer.model.layers import Linear, variance_scaling
from senformer.model.positions import relative_position_features

_QKV_SCALE = 2.0


class DenseAttention(snt.Module):
    """Multi-head self-attention with Transformer-XL's relative positions, as in Enformer.

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
        """`[2 tokens - 1, features]`; see `positions.relative_position_features`."""
        config = self.config
        num_features = config.num_relative_position_features
        if not config.relative_positions:
            return tf.zeros([2 * tokens - 1, num_features])
        return relative_position_features(tokens, num_features, config.gamma_scaling)

    def __call__(
        self,
        x: tf.Tensor,
        position_features: tf.Tensor,
        dropout_seeds: tf.Tensor | None = None,
        residuals: Residuals | None = None,
    ) -> tf.Tensor:
        """Attend; `x` and the result are `[batch, tokens, channels]`. No seeds, no dropout.

        The first seed drops positional features, the others attention weights.
        """
        features_seed = weights_seeds = None
        if dropout_seeds is not None:
            features_seed = shared_by_examples(dropout_seeds[0])
            weights_seeds = dropout_seeds[1:]
        config = self.config
        features = dropout(position_features, config.positional_dropout_rate, features_seed)
        for_query, for_key, for_value = ops.for_readers(x, 3)
        attended = self.attend(
            self._scaled_query(for_query),
            split_heads(self.key(for_key), config.num_heads),
            split_heads(self.value(for_value), config.num_heads),
            self._relative_key(features),
            weights_seeds,
            residuals,
        )
        return self.output(merge_heads(attended))

    def weights(self, x: tf.Tensor, position_features: tf.Tensor) -> tf.Tensor:
        """How much each query attends to each key: what a pattern would take away, for instance.

        Args:
            x: `[batch, tokens, channels]`, as the layer is called with.
            position_features: From `position_features`.

        Returns:
            float32 `[batch, heads, tokens, tokens]`, which sum to 1 over the last axis. It takes
            4 bytes per pair of tokens and head: 75 MB for 196,608 bp and 8 heads.
        """
        return relative_weights(
            self._scaled_query(x),
            split_heads(self.key(x), self.config.num_heads),
            self._relative_key(position_features),
            self.content_bias,
            self.position_bias,
        )

    def _scaled_query(self, x: tf.Tensor) -> tf.Tensor:
        return split_heads(self.query(x), self.config.num_heads) * self.config.key_size**-0.5

    def _relative_key(self, features: tf.Tensor) -> tf.Tensor:
        return split_heads(self.relative_key(features)[tf.newaxis], self.config.num_heads)[0]

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        relative_key: tf.Tensor,
        dropout_seeds: tf.Tensor | None,
        residuals: Residuals | None,
    ) -> tf.Tensor:
        """Attend with all heads; see `relative_attention`.

        Kinds with the same parameters differ from this one here alone.
        """
        del residuals  # its gradient needs all weights, which are too large to keep
        return relative_attention(
            query,
            key,
            value,
            relative_key,
            self.content_bias,
            self.position_bias,
            dropout_rate=self.config.attention_dropout_rate,
            dropout_seed=None if dropout_seeds is None else dropout_seeds[0],
        )


def input_projection(
    generator: tf.random.Generator, inputs: int, outputs: int, name: str
) -> Linear:
    """What makes queries, keys or values, as Enformer starts it: without a bias."""
    weights = variance_scaling(generator, [inputs, outputs], _QKV_SCALE)
    return Linear(weights, with_bias=False, name=name)


def query_bias(
    generator: tf.random.Generator, num_heads: int, key_size: int, name: str
) -> tf.Variable:
    """What is added to the scaled query of each head, as Enformer starts it: not at zero."""
    shape = [1, num_heads, 1, key_size]
    return tf.Variable(variance_scaling(generator, shape, _QKV_SCALE), name=name)


def output_projection(channels: int) -> Linear:
    """What mixes the heads, as Enformer starts it: at zero, so that a new layer adds nothing."""
    return Linear(tf.zeros([channels, channels]), with_bias=True, name="output")


def relative_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    relative_key: tf.Tensor,
    content_bias: tf.Tensor,
    position_bias: tf.Tensor,
    *,
    dropout_rate: float = 0.0,
    dropout_seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """Attention of every query to every key, by content and by relative position.

    Args:
        query: `[batch, heads, tokens, key_size]`, already scaled.
        key: `[batch, heads, tokens, key_size]`.
        value: `[batch, heads, tokens, value_size]`.
        relative_key: `[heads, 2 tokens - 1, key_size]`, from position `-(tokens - 1)` on.
        content_bias: `[1, heads, 1, key_size]`, added to the query that meets the keys.
        position_bias: `[1, heads, 1, key_size]`, added to the query that meets the positions.
        dropout_rate: Share of attention weights that is dropped.
        dropout_seed: int32 `[2]`, or `[3]` for a part of a batch, or none for no dropout.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Dai et al. 2019, section 3.3; Avsec et al. 2021, Methods.
    """
    weights = relative_weights(query, key, relative_key, content_bias, position_bias)
    weights = dropout(weights, dropout_rate, dropout_seed)
    return tf.cast(tf.matmul(weights, tf.cast(value, tf.float32)), value.dtype)


def relative_weights(
    query: tf.Tensor,
    key: tf.Tensor,
    relative_key: tf.Tensor,
    content_bias: tf.Tensor,
    position_bias: tf.Tensor,
) -> tf.Tensor:
    """The weights of `relative_attention`, float32 `[batch, heads, tokens, tokens]`."""
    query, key, relative_key = (tf.cast(x, tf.float32) for x in (query, key, relative_key))
    content = tf.matmul(query + content_bias, key, transpose_b=True)
    position = tf.matmul(query + position_bias, relative_key[tf.newaxis], transpose_b=True)
    return tf.nn.softmax(content + relative_shift(position))


def relative_shift(logits: tf.Tensor) -> tf.Tensor:
    """Turn logits by relative position into logits by key.

    Row `i` of the input holds positions `-(tokens - 1)` to `tokens - 1`; key `j` of query `i` is
    at position `j - i`. Padding one column and reading the rows one element shorter shifts each
    row by its index, without a gather.

    Args:
        logits: `[batch, heads, tokens, 2 tokens - 1]`.

    Returns:
        `[batch, heads, tokens, tokens]`.

    Source: Dai et al. 2019, appendix B.
    """
    heads, tokens, positions = logits.shape[1:]
    padded = tf.pad(logits, [[0, 0], [0, 0], [0, 0], [1, 0]])
    padded = tf.reshape(padded, [-1, heads, positions + 1, tokens])
    # Slices, not subscripts: the gradient of a subscript takes far longer on a CPU.
    shifted = tf.slice(padded, [0, 0, 1, 0], [-1, -1, -1, -1])
    shifted = tf.reshape(shifted, [-1, heads, tokens, positions])
    return tf.slice(shifted, [0, 0, 0, 0], [-1, -1, -1, tokens])
