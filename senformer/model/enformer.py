"""Enformer: convolutional trunk, transformer, heads. Which attention it has, the config says."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
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
"""What a model takes: TensorFlow's arrays or NumPy's, of any type of number or truth value."""

_FINAL_DROPOUT_SHARE = 1 / 8
_SEEDS_PER_BLOCK = NUM_DROPOUT_SEEDS + 3  # after attention, within and after the perceptron


class Enformer(snt.Module):
    """Predicts the coverage of every track in 128-bp bins from DNA.

    All variables exist once it is made, so that they can be counted, loaded or listed before any
    sequence is seen.

    Args:
        config: The model's sizes and attention.
        seed: Seed of the initial weights.

    Attributes:
        predict_on_batch: Compiled evaluation mode: `[batch, length, 4]` to every head's tracks.
            For one length after another; a new one is compiled first.

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
        """Stem and tower, in the order in which they are applied."""
        return [self.stem, *self.tower]

    def trunk_in_evaluation(self) -> list[Block]:
        """The trunk's blocks as functions of their input alone, with the moving statistics."""
        return [functools.partial(block, is_training=False) for block in self.trunk]

    def __call__(
        self,
        sequence: Array,
        is_training: bool = False,
        dropout_seed: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Predict every head.

        Args:
            sequence: `[batch, length, 4]`, one-hot ACGT, zeros for N.
            is_training: Normalise by the batch's statistics, update the moving ones, drop out.
            dropout_seed: int32 `[2]` that fixes the dropout, or `[3]` where the batch is part of a
                larger one, see `dropout`; by default a random one.

        Returns:
            For each head, float32 `[batch, target_length, tracks]`, coverage per bin.

        Raises:
            ValueError: If the model does not take this shape or length.
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
        """Stem and tower: `[batch, length, 4]` to `[batch, tokens, channels]`.

        In training the batch norms need the whole sequence; in evaluation it is read in windows,
        so that memory does not grow with its length, and in fewer operations where that is faster.

        Args:
            sequence: `[batch, length, 4]`.
            is_training: Normalise by the batch's statistics, update the moving ones.
            trained: Variables that want a gradient. With any, a block keeps little for it.
            input_is_trained: In evaluation, whether the sequence wants a gradient.

        Raises:
            ValueError: If the model does not take this shape or length.
        """
        sequence = _as_sequence(sequence, self.config)
        if is_training:
            return self._embed_in_training(sequence, trained)
        if input_is_trained:
            return embed_differentiably(self.trunk_in_evaluation(), sequence)
        if is_faster(self.config.compute_dtype):
            return embed_in_windows(frozen_trunk(self.stem, self.tower), sequence)
        return embed_in_windows(self.trunk_in_evaluation(), sequence)

    def transform(
        self,
        tokens: Array,
        is_training: bool = False,
        dropout_seed: tf.Tensor | None = None,
        trained: Sequence[tf.Variable] = (),
        *,
        input_is_trained: bool = False,
    ) -> tf.Tensor:
        """Transformer, crop and last layer: `[batch, tokens, C]` to `[batch, bins, 2 C]`.

        Args:
            tokens: From `embed`.
            is_training: Normalise the last layer by the batch's statistics.
            dropout_seed: int32 `[2]`, or `[3]` for a part of a batch, or none for no dropout.
            trained: Variables that want a gradient. With any, a block keeps little for it.
            input_is_trained: Whether the tokens want one though no variable of the trunk does.

        Raises:
            ValueError: If the tokens have another shape.
        """
        x = tf.cast(tokens, self.config.compute_dtype)
        _expect_channels("tokens", x, self.config.channels)
        tokens_are_trained = input_is_trained or _any_is_trained(self.trunk, trained)
        features = self.position_features(x)
        *block_seeds, last_seed = _dropout_seeds(dropout_seed, len(self.transformer))
        for layer, block in enumerate(self.transformer):
            is_last = layer == len(self.transformer) - 1
            run = functools.partial(
                _run_in_transformer,
                block,
                features,
                block_seeds[layer],
                self.config.target_length if is_last else None,
            )
            x = _kept_or_recomputed(
                run, x, trained, tokens_are_trained or (bool(trained) and layer > 0)
            )
        x = self.final_pointwise(x, is_training)
        x = dropout(
            x,
            self.config.dropout_rate * _FINAL_DROPOUT_SHARE,
            last_seed,
        )
        return ops.gelu(x)

    def position_features(self, tokens: tf.Tensor) -> tf.Tensor | None:
        """What the blocks of the transformer take of relative positions, the same for all.

        Args:
            tokens: `[batch, tokens, channels]`, from `embed`.

        Returns:
            `[2 tokens - 1, features]`, or none for attention that knows no positions.
        """
        features = self.transformer[0].attention.position_features(tokens.shape[1])
        if features is None:
            return None
        # Not a constant, of which each layer's program would have a copy.
        [features] = xla.hold_back([features], until=[tokens])
        return features

    def predict_head(self, head: str, embedding: Array) -> tf.Tensor:
        """One head: `[batch, bins, 2 C]` to coverage `[batch, bins, tracks]`.

        Args:
            head: A key of `heads`.
            embedding: From `transform`.

        Raises:
            ValueError: If the embedding has another shape.
        """
        return tf.nn.softplus(self.head_logits(head, embedding))

    def head_logits(self, head: str, embedding: Array) -> tf.Tensor:
        """`predict_head` before its softplus, for a loss that applies it."""
        x = tf.cast(embedding, tf.float32)
        _expect_channels("embedding", x, 2 * self.config.channels)
        return self.heads[head](x)

    def _embed_in_training(self, sequence: tf.Tensor, trained: Sequence[tf.Variable]) -> tf.Tensor:
        x = sequence
        for block in self.trunk:
            run = functools.partial(_train_in_trunk, block)
            x = _kept_or_recomputed(run, x, trained, bool(trained) and block is not self.stem)
        return x


class TransformerBlock(snt.Module):
    """Attention and a two-layer perceptron, each normalised before and added to its input."""

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
        position_features: tf.Tensor | None,
        dropout_seeds: tf.Tensor | None = None,
        residuals: Residuals | None = None,
        target_length: int | None = None,
    ) -> tf.Tensor:
        """`[batch, tokens, channels]` to the same, or to the central tokens that are wanted.

        Args:
            x: The tokens.
            position_features: From the attention layer, the same for all blocks.
            dropout_seeds: int32 `[6, 2]`, or `[6, 3]` for a part of a batch, or none for no
                dropout.
            residuals: What the block keeps where it is repeated for its gradient.
            target_length: Tokens that the next part reads, by default all. After attention a token
                needs no other, so the rest is not computed.
        """
        residuals = residuals or Residuals()
        rate = self.dropout_rate
        attention_seeds, attended_seed, hidden_seed, mlp_seed = _block_seeds(dropout_seeds)
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
    """The variables of the attention layers: what the study trained."""
    return [
        variable for block in model.transformer for variable in block.attention.trainable_variables
    ]


def _dropout_seeds(seed: tf.Tensor | None, num_blocks: int) -> Sequence[tf.Tensor | None]:
    """Those of each block, `[6, 2]` or `[6, 3]`, and one for what follows; drawn together."""
    if seed is None:
        return [None] * (num_blocks + 1)
    seeds = split_seed(seed, num_blocks * _SEEDS_PER_BLOCK + 1)
    return [*tf.split(seeds[:-1], num_blocks), seeds[-1]]


def _block_seeds(seeds: tf.Tensor | None) -> Sequence[tf.Tensor | None]:
    """For the attention layer `[3, 2]`, after it, within and after the perceptron `[2]` each."""
    if seeds is None:
        return [None] * (1 + _SEEDS_PER_BLOCK - NUM_DROPOUT_SEEDS)
    return [seeds[:NUM_DROPOUT_SEEDS], *tf.unstack(seeds[NUM_DROPOUT_SEEDS:])]


def _train_in_trunk(block: Stem | TowerBlock, x: tf.Tensor, residuals: Residuals) -> tf.Tensor:
    return block(x, True, residuals.is_recomputing)


def _run_in_transformer(
    block: TransformerBlock,
    position_features: tf.Tensor | None,
    dropout_seeds: tf.Tensor | None,
    target_length: int | None,
    x: tf.Tensor,
    residuals: Residuals,
) -> tf.Tensor:
    if position_features is not None:
        # Or all relative keys would be computed once, for a run and its repetition, and kept.
        [position_features] = xla.hold_back([position_features], until=[x])
    return block(x, position_features, dropout_seeds, residuals, target_length)


def _kept_or_recomputed(
    block: Callable[[tf.Tensor, Residuals], tf.Tensor],
    x: tf.Tensor,
    trained: Sequence[tf.Variable],
    input_is_trained: bool,
) -> tf.Tensor:
    if not (trained or input_is_trained):
        return block(x, Residuals())
    return recompute(block, x, trained, input_is_trained=input_is_trained)


def _any_is_trained(blocks: Sequence[snt.Module], trained: Sequence[tf.Variable]) -> bool:
    wanted = {variable.ref() for variable in trained}
    return any(v.ref() in wanted for block in blocks for v in block.trainable_variables)


def _as_sequence(sequence: Array, config: ModelConfig) -> tf.Tensor:
    """In the type that the model computes in, of a shape and length that it takes."""
    x = tf.cast(sequence, config.compute_dtype)
    _expect_channels("sequence", x, 4, along="length")
    if x.shape[1] is None:
        raise ValueError("sequence has no static length, expected [batch, length, 4]")
    config.num_tokens(x.shape[1])
    return x


def _expect_channels(name: str, x: tf.Tensor, channels: int, *, along: str = "tokens") -> None:
    if x.shape.rank != 3 or x.shape[-1] != channels:
        raise ValueError(f"{name} has shape {x.shape}, expected [batch, {along}, {channels}]")
