"""What the transformer asks of an attention layer, and how it gets the layer of a model's kind."""

from __future__ import annotations

import pkgutil
from typing import Protocol

import tensorflow as tf

from senformer.attention_kinds import attention_kind
from senformer.config import ModelConfig
from senformer.model.compute.recomputation import Residuals

NUM_DROPOUT_SEEDS = 3
"""Seeds that a layer is given, int32 `[3, 2]`, for what it drops out."""


class AttentionLayer(Protocol):
    """Tokens in, tokens out, and its variables."""

    trainable_variables: tuple[tf.Variable, ...]

    def position_features(self, tokens: int) -> tf.Tensor | None:
        """What it knows of relative positions, alike in all layers; none where it knows nothing."""

    def __call__(
        self,
        x: tf.Tensor,
        position_features: tf.Tensor | None,
        dropout_seeds: tf.Tensor | None = None,
        residuals: Residuals | None = None,
    ) -> tf.Tensor:
        """`[batch, tokens, channels]` to the same; dropout only where seeds are given."""


def make_attention(
    config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
) -> AttentionLayer:
    """One layer's attention, of the kind that a model's config names.

    Args:
        config: The model.
        layer: Its place in the transformer, from 0; a kind may draw something of its own for each.
        generator: Draws the initial weights.
        name: Of the module.

    Raises:
        ValueError: If there is no such kind.
    """
    layer_class = pkgutil.resolve_name(attention_kind(config.attention).layer)
    return layer_class(config, layer, generator, name)
