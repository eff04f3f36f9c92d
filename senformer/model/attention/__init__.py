"""The kinds of attention: one file each, one signature, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.attention.bigbird import BigBirdAttention
from senformer.model.attention.bigbird_relative import BigBirdRelativeAttention
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.tiled import TiledAttention
from senformer.model.speed.recomputation import Memory


class Attention(Protocol):
    """What the transformer needs of an attention: tokens in, tokens out, and its variables."""

    trainable_variables: tuple[tf.Variable, ...]

    def __call__(
        self,
        x: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
        memory: Memory | None = None,
    ) -> tf.Tensor:
        """`[batch, tokens, channels]` to the same; dropout only where a seed is given."""


KINDS: Mapping[str, Callable[[ModelConfig, int, tf.random.Generator, str], Attention]] = {
    "dense": DenseAttention,
    "tiled": TiledAttention,
    "bigbird": BigBirdAttention,
    "bigbird_relative": BigBirdRelativeAttention,
}
"""Attention kinds by name; each is made from a model's config, its layer, a generator, a name."""
