"""BigBird's pattern with Enformer's own parameters: relative positions, biases, small keys."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.attention.block_gather import bigbird_blocks
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.random_blocks import (
    check_random_blocks,
    layer_random_blocks,
    num_blocks,
)
from senformer.model.attention.relative_pattern import listed_relative_attention
from senformer.model.compute.recomputation import Residuals


class BigBirdRelativeAttention(DenseAttention):
    """`DenseAttention` of which each block of queries keeps the blocks that BigBird gives it.

    It has the variables of `DenseAttention`, so every weight of a trained Enformer is its start.

    Attributes:
        fixed_random_blocks: As of `BigBirdAttention`.

    Source: the pattern, Zaheer et al. 2020; all else, Avsec et al. 2021.
    """

    def __init__(
        self, config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
    ) -> None:
        super().__init__(config, layer, generator, name)
        self.layer = layer
        self.fixed_random_blocks: np.ndarray | None = None

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        relative_key: tf.Tensor,
        dropout_seeds: tf.Tensor | None,
        residuals: Residuals | None,
    ) -> tf.Tensor:
        """Attend with all heads; see `block_sparse_relative_attention`."""
        config = self.config
        tokens = query.shape[2]
        return block_sparse_relative_attention(
            query,
            key,
            value,
            relative_key,
            self.content_bias,
            self.position_bias,
            layer_random_blocks(config, self.layer, tokens, self.fixed_random_blocks),
            block_size=config.block_size,
            dropout_rate=config.attention_dropout_rate,
            dropout_seeds=dropout_seeds,
            residuals=residuals,
        )


def block_sparse_relative_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    relative_key: tf.Tensor,
    content_bias: tf.Tensor,
    position_bias: tf.Tensor,
    random_blocks: np.ndarray,
    *,
    block_size: int,
    dropout_rate: float = 0.0,
    dropout_seeds: tf.Tensor | None = None,
    residuals: Residuals | None = None,
) -> tf.Tensor:
    """`dense.relative_attention` to the global, window and random blocks of keys alone.

    A block that a row names twice counts once: with a pattern that names all blocks the result is
    that of `dense.relative_attention`.

    Args:
        query: As of `relative_pattern.listed_relative_attention`, likewise all but the blocks.
        key: As there.
        value: As there.
        relative_key: As there.
        content_bias: As there.
        position_bias: As there.
        random_blocks: int32 `[heads, blocks - 2, random]`; see `bigbird.block_sparse_attention`.
        block_size: Tokens per block.
        dropout_rate: As there.
        dropout_seeds: As there.
        residuals: As there.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Raises:
        ValueError: If the tokens are not at least five whole blocks, or `random_blocks` does not
            fit them.

    Source: Zaheer et al. 2020, section 2; Avsec et al. 2021.
    """
    heads, tokens = query.shape[1:3]
    random_blocks = np.asarray(random_blocks, dtype=np.int32)
    check_random_blocks(random_blocks, heads, num_blocks(tokens, block_size))
    return listed_relative_attention(
        query,
        key,
        value,
        relative_key,
        content_bias,
        position_bias,
        bigbird_blocks(random_blocks),
        block_size=block_size,
        dropout_rate=dropout_rate,
        dropout_seeds=dropout_seeds,
        residuals=residuals,
    )
