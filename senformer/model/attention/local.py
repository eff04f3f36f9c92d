"""Local attention with Enformer's own parameters: the window of BigBird's pattern, alone."""

from __future__ import annotations

import tensorflow as tf

from senformer.attention_kinds import attention_kind
from senformer.model.attention.block_gather import window_blocks
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.random_blocks import num_blocks
from senformer.model.attention.relative_pattern import listed_relative_attention
from senformer.model.compute.recomputation import Residuals


class LocalAttention(DenseAttention):
    """`DenseAttention` of which each block of queries keeps itself and its two neighbours.

    What is left of `bigbird_relative` without its global and its random blocks, so that the three
    can be told apart. It has the variables of `DenseAttention`, so every weight of a trained
    Enformer is its start.

    Source: the window, Zaheer et al. 2020; all else, Avsec et al. 2021.
    """

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        relative_key: tf.Tensor,
        dropout_seeds: tf.Tensor | None,
        residuals: Residuals | None,
    ) -> tf.Tensor:
        """Attend with all heads; see `relative_pattern.listed_relative_attention`."""
        config = self.config
        heads, tokens = query.shape[1:3]
        minimum_blocks = attention_kind(config.attention).minimum_blocks
        blocks = num_blocks(tokens, config.block_size, minimum_blocks)
        return listed_relative_attention(
            query,
            key,
            value,
            relative_key,
            self.content_bias,
            self.position_bias,
            window_blocks(heads, blocks),
            block_size=config.block_size,
            dropout_rate=config.attention_dropout_rate,
            dropout_seeds=dropout_seeds,
            residuals=residuals,
        )
