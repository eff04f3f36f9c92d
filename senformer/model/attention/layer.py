"""Define the attention layer that all kinds implement, and make the layer of a model's kind."""

from __future__ import annotations

import pkgutil

import sonnet as snt
import tensorflow as tf

from senformer.attention_kinds import attention_kind
from senformer.config import ModelConfig
from senformer.model import ops
from senformer.model.attention.heads import (
    AttentionInputs,
    WeightDropout,
    merge_heads,
    split_heads,
)
from senformer.model.compute.recomputation import Residuals
from senformer.model.layers import Linear, variance_scaling

NUM_DROPOUT_SEEDS = 3
"""Number of dropout seeds that a layer takes: one for position features, two for weights."""

_QKV_SCALE = 2.0


def make_attention(
    config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
) -> AttentionLayer:
    """Make one layer's attention, of the kind that the model's config names.

    Args:
        config: The model's config.
        layer: Index of the transformer layer, from 0; some kinds draw a pattern for each layer.
        generator: Draws the initial weights.
        name: Name of the module.

    Raises:
        ValueError: If the kind is unknown.
    """
    layer_class = pkgutil.resolve_name(attention_kind(config.attention).layer)
    return layer_class(config, layer, generator, name)


class AttentionLayer(snt.Module):
    """Project tokens to queries, keys and values, attend, and project the result.

    A kind of attention is a subclass that creates its projections and implements `attend`.

    Attributes:
        config: The model's config.
        query: Projection to queries; `key`, `value` and `output` likewise.
    """

    config: ModelConfig
    query: Linear
    key: Linear
    value: Linear
    output: Linear

    def position_features(self, tokens: int) -> tf.Tensor | None:
        """Return the position features shared by all layers, or None if the kind uses none."""
        return None

    def __call__(
        self,
        x: tf.Tensor,
        position_features: tf.Tensor | None = None,
        dropout_seeds: tf.Tensor | None = None,
        residuals: Residuals | None = None,
    ) -> tf.Tensor:
        """Attend from every token.

        Args:
            x: `[batch, tokens, channels]`.
            position_features: Result of `position_features`.
            dropout_seeds: int32 `[3, 2]`, or None for no dropout.
                The first seed drops position features, the others drop attention weights.
            residuals: Keeps the result for a recomputed block.

        Returns:
            `[batch, tokens, channels]`.
        """
        features_seed = weight_dropout = None
        if dropout_seeds is not None:
            features_seed = dropout_seeds[0]
            if self.config.attention_dropout_rate:
                weight_dropout = WeightDropout(
                    self.config.attention_dropout_rate, dropout_seeds[1:]
                )
        inputs = self.project(x, position_features, features_seed)
        return self.output(merge_heads(self.attend(inputs, weight_dropout, residuals)))

    def project(
        self,
        x: tf.Tensor,
        position_features: tf.Tensor | None = None,
        features_seed: tf.Tensor | None = None,
    ) -> AttentionInputs:
        """Project tokens `[batch, tokens, channels]` to queries, keys and values."""
        layers = (self.query, self.key, self.value)
        readers = ops.for_readers(x, len(layers))
        return AttentionInputs(
            *(
                split_heads(layer(reader), self.config.num_heads)
                for layer, reader in zip(layers, readers, strict=True)
            )
        )

    def attend(
        self,
        inputs: AttentionInputs,
        dropout: WeightDropout | None,
        residuals: Residuals | None,
    ) -> tf.Tensor:
        """Attend with all heads; each kind implements this.

        Args:
            inputs: Result of `project`.
            dropout: Dropout of the attention weights, or None.
            residuals: Keeps the result for a recomputed block.

        Returns:
            `[batch, heads, tokens, value_size]`.
        """
        raise NotImplementedError


def input_projection(
    generator: tf.random.Generator, inputs: int, outputs: int, name: str
) -> Linear:
    """Make a projection to queries, keys or values with Enformer's initial weights, no bias."""
    weights = variance_scaling(generator, [inputs, outputs], _QKV_SCALE)
    return Linear(weights, with_bias=False, name=name)


def query_bias(
    generator: tf.random.Generator, num_heads: int, key_size: int, name: str
) -> tf.Variable:
    """Make a bias `[1, heads, 1, key_size]` of queries with Enformer's initial values."""
    shape = [1, num_heads, 1, key_size]
    return tf.Variable(variance_scaling(generator, shape, _QKV_SCALE), name=name)


def output_projection(channels: int) -> Linear:
    """Make a projection of merged heads that starts at zero, so that a new layer adds nothing."""
    return Linear(tf.zeros([channels, channels]), with_bias=True, name="output")
