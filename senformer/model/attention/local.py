"""Attend locally with Enformer's parameters: to the window of BigBird's pattern alone."""

from __future__ import annotations

import tensorflow as tf

from senformer.attention_kinds import attention_kind
from senformer.model.attention.block_sparse import (
    BlockPattern,
    block_sparse_attention,
    find_repeats,
    window_blocks,
)
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.heads import AttentionInputs, WeightDropout
from senformer.model.attention.random_blocks import num_blocks
from senformer.model.compute.recomputation import Residuals


class LocalAttention(DenseAttention):
    """Restrict `DenseAttention` to each query block's own block and its two neighbours.

    This is `bigbird_relative` without global and random blocks; comparing both shows what those
    contribute. It has the variables of `DenseAttention`, so all weights of a trained Enformer fit.

    Source: the window, Zaheer et al. 2020; all else, Avsec et al. 2021.
    """

    def attend(
        self, inputs: AttentionInputs, dropout: WeightDropout | None, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend to the window of each query block."""
        config = self.config
        heads, tokens = inputs.query.shape[1:3]
        minimum_blocks = attention_kind(config.attention).minimum_blocks
        blocks = num_blocks(tokens, config.block_size, minimum_blocks)
        pattern = local_pattern(heads, blocks, config.block_size)
        return block_sparse_attention(inputs, pattern, dropout, residuals)


def local_pattern(heads: int, blocks: int, block_size: int) -> BlockPattern:
    """Make the block pattern in which each block attends to its window.

    Args:
        heads: Number of attention heads.
        blocks: Number of blocks of the sequence.
        block_size: Tokens per block.
    """
    key_blocks = window_blocks(heads, blocks)
    return BlockPattern(key_blocks, find_repeats(key_blocks), block_size, has_global_blocks=False)
