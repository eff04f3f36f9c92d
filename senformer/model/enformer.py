"""Enformer: a convolutional trunk, a transformer with attention of any kind, and output heads."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import sonnet as snt
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model import ops
from senformer.model.attention.layer import NUM_DROPOUT_SEEDS, make_attention
from senformer.model.compute import xla
from senformer.model.compute.recomputation import Residuals, recompute
from senformer.model.dropout import dropout, relu_and_dropout, split_seed
from senformer.model.frozen_trunk import frozen_trunk, is_faster
from senformer.model.layers import LayerNorm, Linear, truncated_normal
from senformer.model.trunk import (
    Block,
    ConvBlock,
    Stem,
    TowerBlock,
    embed_differentiably,
    embed_in_windows,
)

Array: TypeAlias = "tf.Tensor | np.ndarray"
"""Input of a model: a TensorFlow or NumPy array of any numeric or boolean type."""

_FINAL_DROPOUT_SHARE = 1 / 8
_SEEDS_PER_BLOCK = NUM_DROPOUT_SEEDS + 3  # after attention, within and after the MLP


class Enformer(snt.Module):
    """Predict the coverage of every track in 128-bp bins from DNA.

    The constructor creates all variables, so that they can be counted, loaded or listed before the
    first prediction.

    Args:
        config: The model's sizes and attention.
        seed: Seed of the initial weights.

    Attributes:
        predict_on_batch: Compiled evaluation mode: `[batch, length, 4]` to the tracks of every
            head. Each new length is compiled at its first call.

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
        self.predict_on_batch = xla.program(lambda sequence: self(sequence))

    @property
    def trunk(self) -> list[Stem | TowerBlock]:
        """Return stem and tower blocks in the order in which they are applied."""
        return [self.stem, *self.tower]

    def trunk_in_evaluation(self) -> list[Block]:
        """Return the trunk's blocks as functions of their input that use the moving statistics."""
        return [functools.partial(block, is_training=False) for block in self.trunk]

    def __call__(
        self,
        sequence: Array,
        is_training: bool = False,
        dropout_seed: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Predict the tracks of every head.

        Args:
            sequence: `[batch, length, 4]`, one-hot ACGT, zeros for N.
            is_training: Whether to normalise by the batch's statistics, update the moving
                statistics and apply dropout.
            dropout_seed: int32 `[2]` that determines the dropout; random by default.

        Returns:
            For each head, float32 `[batch, target_length, tracks]`, coverage per bin.

        Raises:
            ValueError: If the model does not accept this shape or length.
        """
        if is_training and dropout_seed is None:
            dropout_seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        embedding = self.transform(self.embed(sequence, is_training), is_training, dropout_seed)
        return {head: self.predict_head(head, embedding) for head in self.heads}

    def embed(
        self,
        sequence: Array,
        is_training: bool = False,
        trained: Sequence[tf.Variable] = (),
        *,
        input_is_trained: bool = False,
    ) -> tf.Tensor:
        """Compute stem and tower: `[batch, length, 4]` to `[batch, tokens, channels]`.

        In training, the batch norms need the whole sequence. In evaluation, the trunk reads the
        sequence in windows, so that memory does not grow with its length, and uses a faster form
        of the convolutions where there is one.

        Args:
            sequence: `[batch, length, 4]`.
            is_training: Whether to normalise by the batch's statistics and update the moving
                statistics.
            trained: Variables that need a gradient. If non-empty, each block is recomputed in the
                backward pass.
            input_is_trained: Whether the sequence needs a gradient in evaluation.

        Raises:
            ValueError: If the model does not accept this shape or length.
        """
        x = tf.cast(sequence, self.config.compute_dtype)
        _check_channels("sequence", x, 4, axis="length")
        if x.shape[1] is None:
            raise ValueError("sequence has no static length, expected [batch, length, 4]")
        self.config.num_tokens(x.shape[1])
        if is_training:
            for block in self.trunk:
                run = functools.partial(_train_trunk_block, block)
                x_is_trained = bool(trained) and block is not self.stem
                x = recompute(run, x, trained, input_is_trained=x_is_trained)
            return x
        if input_is_trained:
            return embed_differentiably(self.trunk_in_evaluation(), x)
        if is_faster(self.config.compute_dtype):
            return embed_in_windows(frozen_trunk(self.stem, self.tower), x)
        return embed_in_windows(self.trunk_in_evaluation(), x)

    def transform(
        self,
        tokens: Array,
        is_training: bool = False,
        dropout_seed: tf.Tensor | None = None,
        trained: Sequence[tf.Variable] = (),
        *,
        input_is_trained: bool = False,
    ) -> tf.Tensor:
        """Compute transformer, crop and last layer: `[batch, tokens, C]` to `[batch, bins, 2 C]`.

        Args:
            tokens: Result of `embed`.
            is_training: Whether the last layer normalises by the batch's statistics.
            dropout_seed: int32 `[2]`, or None for no dropout.
            trained: Variables that need a gradient. If non-empty, each block is recomputed in the
                backward pass.
            input_is_trained: Whether the tokens need a gradient although `trained` has no variable
                of the trunk.

        Raises:
            ValueError: If the tokens have another shape.
        """
        x = tf.cast(tokens, self.config.compute_dtype)
        _check_channels("tokens", x, self.config.channels)
        trained_refs = {variable.ref() for variable in trained}
        x_is_trained = input_is_trained or any(
            variable.ref() in trained_refs
            for block in self.trunk
            for variable in block.trainable_variables
        )
        features = self.position_features(x)
        num_layers = len(self.transformer)
        seeds: Sequence[tf.Tensor | None] = [None] * (num_layers + 1)
        if dropout_seed is not None:
            all_seeds = split_seed(dropout_seed, num_layers * _SEEDS_PER_BLOCK + 1)
            seeds = [*tf.split(all_seeds[:-1], num_layers), all_seeds[-1]]
        for layer, block in enumerate(self.transformer):
            target_length = self.config.target_length if layer == num_layers - 1 else None
            run = functools.partial(
                block,
                position_features=features,
                dropout_seeds=seeds[layer],
                target_length=target_length,
            )
            x = recompute(run, x, trained, input_is_trained=x_is_trained)
            x_is_trained = x_is_trained or bool(trained)
        x = self.final_pointwise(x, is_training)
        return ops.gelu(dropout(x, self.config.dropout_rate * _FINAL_DROPOUT_SHARE, seeds[-1]))

    def position_features(self, tokens: tf.Tensor) -> tf.Tensor | None:
        """Compute the relative-position features shared by all blocks of the transformer.

        Args:
            tokens: `[batch, tokens, channels]`, result of `embed`.

        Returns:
            `[2 tokens - 1, features]`, or None if the attention uses none.
        """
        features = self.transformer[0].attention.position_features(tokens.shape[1])
        if features is None:
            return None
        # A constant would be copied into the program of each layer.
        [features] = xla.hold_back([features], until=[tokens])
        return features

    def predict_head(self, head: str, embedding: Array) -> tf.Tensor:
        """Compute one head: `[batch, bins, 2 C]` to coverage `[batch, bins, tracks]`.

        Args:
            head: A key of `heads`.
            embedding: Result of `transform`.

        Raises:
            ValueError: If the embedding has another shape.
        """
        return tf.nn.softplus(self.head_logits(head, embedding))

    def head_logits(self, head: str, embedding: Array) -> tf.Tensor:
        """Compute `predict_head` without its softplus, for a loss that applies it."""
        x = tf.cast(embedding, tf.float32)
        _check_channels("embedding", x, 2 * self.config.channels)
        return self.heads[head](x)


class TransformerBlock(snt.Module):
    """Attention and a two-layer MLP, each with a layer norm before it and a skip connection."""

    def __init__(self, config: ModelConfig, layer: int, generator: tf.random.Generator) -> None:
        super().__init__(name=f"transformer_{layer}")
        channels = config.channels
        self.dropout_rate = config.dropout_rate
        self.attention_norm = LayerNorm(channels, name="attention_norm")
        self.attention = make_attention(config, layer, generator, "attention")
        self.mlp_norm = LayerNorm(channels, name="mlp_norm")
        self.mlp_in = Linear(
            truncated_normal(generator, [channels, 2 * channels]), with_bias=True, name="mlp_in"
        )
        self.mlp_out = Linear(
            truncated_normal(generator, [2 * channels, channels]), with_bias=True, name="mlp_out"
        )

    def __call__(
        self,
        x: tf.Tensor,
        residuals: Residuals | None = None,
        *,
        position_features: tf.Tensor | None,
        dropout_seeds: tf.Tensor | None = None,
        target_length: int | None = None,
    ) -> tf.Tensor:
        """Compute `[batch, tokens, channels]` to the same, or to the central tokens only.

        Args:
            x: The tokens.
            residuals: Values that the block saves for its recomputation.
            position_features: Result of `Enformer.position_features`.
            dropout_seeds: int32 `[6, 2]`, or None for no dropout.
            target_length: Number of central tokens to compute after attention; all by default.
        """
        residuals = residuals or Residuals()
        if position_features is not None:
            # Otherwise forward pass and recomputation would share the relative keys and hold them.
            [position_features] = xla.hold_back([position_features], until=[x])
        rate = self.dropout_rate
        attention_seeds = attended_seed = hidden_seed = mlp_seed = None
        if dropout_seeds is not None:
            attention_seeds = dropout_seeds[:NUM_DROPOUT_SEEDS]
            attended_seed, hidden_seed, mlp_seed = tf.unstack(dropout_seeds[NUM_DROPOUT_SEEDS:])
        attended = self.attention(
            self.attention_norm(x, residuals), position_features, attention_seeds, residuals
        )
        x = residuals.keep_value(x + dropout(attended, rate, attended_seed))
        if target_length is not None:
            x = ops.crop(x, target_length)
        hidden = self.mlp_in(self.mlp_norm(x, residuals))
        hidden = relu_and_dropout(hidden, rate, hidden_seed, residuals)
        return x + dropout(self.mlp_out(hidden), rate, mlp_seed)


def attention_variables(model: Enformer) -> Sequence[tf.Variable]:
    """Return the variables of the attention layers, which the study trained."""
    return [
        variable for block in model.transformer for variable in block.attention.trainable_variables
    ]


def _train_trunk_block(block: Stem | TowerBlock, x: tf.Tensor, residuals: Residuals) -> tf.Tensor:
    return block(x, True, residuals.is_recomputing)


def _check_channels(name: str, x: tf.Tensor, channels: int, *, axis: str = "tokens") -> None:
    if x.shape.rank != 3 or x.shape[-1] != channels:
        raise ValueError(f"{name} has shape {x.shape}, expected [batch, {axis}, {channels}]")
