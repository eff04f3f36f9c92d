"""Enformer: convolutional trunk, transformer, heads. Which attention it has, the config says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from senformer import layers
from senformer.attention import KINDS
from senformer.config import ModelConfig
from senformer.parameters import (
    BatchNorm,
    Conv1D,
    LayerNorm,
    Linear,
    truncated_normal,
)

_STEM_WIDTH = 15
_TOWER_WIDTH = 5
_POOL_SCALE = 2.0
_FINAL_DROPOUT_SHARE = 1 / 8


class Enformer(snt.Module):
    """Predicts the coverage of every track in 128-bp bins from DNA.

    All variables exist once it is made, so that they can be counted, loaded or listed before any
    sequence is seen.

    Args:
        config: The model's sizes and attention.
        seed: Seed of the initial weights.

    Attributes:
        predict_on_batch: Compiled evaluation mode: `[batch, length, 4]` to every head's tracks.

    Source: Avsec et al. 2021; google-deepmind/deepmind-research, `enformer/enformer.py`.
    """

    def __init__(self, config: ModelConfig, *, seed: int = 0, name: str = "enformer") -> None:
        super().__init__(name=name)
        generator = tf.random.Generator.from_seed(seed)
        widths = (config.stem_channels, *config.tower_channels)
        self.config = config
        self.stem = Stem(config, generator)
        self.tower = [
            TowerBlock(inputs, outputs, config.pooling, generator, name=f"tower_{i}")
            for i, (inputs, outputs) in enumerate(itertools.pairwise(widths))
        ]
        self.transformer = [
            TransformerBlock(config, layer, generator)
            for layer in range(config.num_transformer_layers)
        ]
        self.final_pointwise = ConvBlock(
            config.channels, 2 * config.channels, 1, generator, name="final_pointwise"
        )
        self.heads = {
            head: Linear(
                truncated_normal(generator, [2 * config.channels, num_tracks]),
                with_bias=True,
                name=f"head_{head}",
            )
            for head, num_tracks in config.tracks.items()
        }
        self.predict_on_batch = tf.function(lambda sequence: self(tf.cast(sequence, tf.float32)))

    def __call__(
        self,
        sequence: tf.Tensor,
        is_training: bool = False,
        dropout_seed: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Predict every head.

        Args:
            sequence: float32 `[batch, length, 4]`, one-hot ACGT, zeros for N.
            is_training: Normalise by the batch's statistics, update the moving ones, drop out.
            dropout_seed: int32 `[2]` that fixes the dropout; by default a random one.

        Returns:
            For each head, float32 `[batch, target_length, tracks]`, coverage per bin.

        Raises:
            ValueError: If the model does not take this shape or length.
        """
        if is_training and dropout_seed is None:
            dropout_seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        embedding = self.transform(self.embed(sequence, is_training), is_training, dropout_seed)
        return {head: self.predict_head(head, embedding) for head in self.heads}

    def embed(self, sequence: tf.Tensor, is_training: bool = False) -> tf.Tensor:
        """Stem and tower: `[batch, length, 4]` to `[batch, tokens, channels]`.

        Raises:
            ValueError: If the model does not take this shape or length.
        """
        _check_sequence(sequence, self.config)
        x = self.stem(sequence, is_training)
        for block in self.tower:
            x = block(x, is_training)
        return x

    def transform(
        self,
        tokens: tf.Tensor,
        is_training: bool = False,
        dropout_seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Transformer, crop and last layer: `[batch, tokens, C]` to `[batch, bins, 2 C]`."""
        x = tokens
        for layer, block in enumerate(self.transformer):
            x = block(x, layers.fold_in(dropout_seed, layer))
        x = layers.crop(x, self.config.target_length)
        x = self.final_pointwise(x, is_training)
        x = layers.dropout(
            x,
            self.config.dropout_rate * _FINAL_DROPOUT_SHARE,
            layers.fold_in(dropout_seed, len(self.transformer)),
        )
        return layers.gelu(x)

    def predict_head(self, head: str, embedding: tf.Tensor) -> tf.Tensor:
        """One head: `[batch, bins, 2 C]` to coverage `[batch, bins, tracks]`."""
        return tf.nn.softplus(self.heads[head](embedding))


class ConvBlock(snt.Module):
    """Normalise, GELU, convolve."""

    def __init__(
        self, inputs: int, outputs: int, width: int, generator: tf.random.Generator, *, name: str
    ) -> None:
        super().__init__(name=name)
        self.batch_norm = BatchNorm(inputs, name="batch_norm")
        self.conv = Conv1D(truncated_normal(generator, [width, inputs, outputs]), name="conv")

    def __call__(self, x: tf.Tensor, is_training: bool) -> tf.Tensor:
        """`[batch, length, inputs]` to `[batch, length, outputs]`."""
        return self.conv(layers.gelu(self.batch_norm(x, is_training)))


class Pool(snt.Module):
    """Halve the sequence, by attention over each pair or by its maximum."""

    def __init__(self, channels: int, pooling: str, *, name: str = "pool") -> None:
        super().__init__(name=name)
        self.w = None
        if pooling == "attention":
            self.w = tf.Variable(_POOL_SCALE * tf.eye(channels), name="w")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """`[batch, length, channels]` to `[batch, length / 2, channels]`."""
        return layers.max_pool(x) if self.w is None else layers.attention_pool(x, self.w)


class Stem(snt.Module):
    """The first convolution over the bases, a residual pointwise block, a pool."""

    def __init__(self, config: ModelConfig, generator: tf.random.Generator) -> None:
        super().__init__(name="stem")
        channels = config.stem_channels
        self.conv = Conv1D(truncated_normal(generator, [_STEM_WIDTH, 4, channels]), name="conv")
        self.pointwise = ConvBlock(channels, channels, 1, generator, name="pointwise")
        self.pool = Pool(channels, config.pooling)

    def __call__(self, sequence: tf.Tensor, is_training: bool) -> tf.Tensor:
        """`[batch, length, 4]` to `[batch, length / 2, channels / 2]`."""
        x = self.conv(sequence)
        return self.pool(x + self.pointwise(x, is_training))


class TowerBlock(snt.Module):
    """Convolve to the next width, a residual pointwise block, a pool."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        pooling: str,
        generator: tf.random.Generator,
        *,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.conv_block = ConvBlock(inputs, outputs, _TOWER_WIDTH, generator, name="conv_block")
        self.pointwise = ConvBlock(outputs, outputs, 1, generator, name="pointwise")
        self.pool = Pool(outputs, pooling)

    def __call__(self, x: tf.Tensor, is_training: bool) -> tf.Tensor:
        """`[batch, length, inputs]` to `[batch, length / 2, outputs]`."""
        x = self.conv_block(x, is_training)
        return self.pool(x + self.pointwise(x, is_training))


class TransformerBlock(snt.Module):
    """Attention and a two-layer perceptron, each normalised before and added to its input."""

    def __init__(self, config: ModelConfig, layer: int, generator: tf.random.Generator) -> None:
        super().__init__(name=f"transformer_{layer}")
        channels = config.channels
        self.dropout_rate = config.dropout_rate
        self.attention_norm = LayerNorm(channels, name="attention_norm")
        self.attention = KINDS[config.attention](config, layer, generator, "attention")
        self.mlp_norm = LayerNorm(channels, name="mlp_norm")
        self.mlp_in = Linear(
            truncated_normal(generator, [channels, 2 * channels]), with_bias=True, name="mlp_in"
        )
        self.mlp_out = Linear(
            truncated_normal(generator, [2 * channels, channels]), with_bias=True, name="mlp_out"
        )

    def __call__(self, x: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """`[batch, tokens, channels]` to the same. No seed, no dropout."""
        attended = self.attention(self.attention_norm(x), layers.fold_in(dropout_seed, 0))
        x += layers.dropout(attended, self.dropout_rate, layers.fold_in(dropout_seed, 1))
        hidden = self.mlp_in(self.mlp_norm(x))
        hidden = layers.dropout(hidden, self.dropout_rate, layers.fold_in(dropout_seed, 2))
        hidden = self.mlp_out(tf.nn.relu(hidden))
        return x + layers.dropout(hidden, self.dropout_rate, layers.fold_in(dropout_seed, 3))


def attention_variables(model: Enformer) -> Sequence[tf.Variable]:
    """The variables of the attention layers: what the study trained."""
    return [
        variable for block in model.transformer for variable in block.attention.trainable_variables
    ]


def _check_sequence(sequence: tf.Tensor, config: ModelConfig) -> None:
    if sequence.shape.rank != 3 or sequence.shape[-1] != 4:
        raise ValueError(f"sequence has shape {sequence.shape}, expected [batch, length, 4]")
    if sequence.shape[1] is None:
        raise ValueError("sequence has no static length, expected [batch, length, 4]")
    config.num_tokens(sequence.shape[1])
