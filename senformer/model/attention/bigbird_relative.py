"""Attend with BigBird's block pattern and Enformer's relative positions and parameters."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.attention.bigbird import bigbird_pattern
from senformer.model.attention.block_sparse import block_sparse_attention
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.heads import AttentionInputs, WeightDropout
from senformer.model.attention.random_blocks import layer_random_blocks
from senformer.model.compute.recomputation import Residuals


class BigBirdRelativeAttention(DenseAttention):
    """Restrict `DenseAttention` to BigBird's key blocks, each counted once.

    It has the variables of `DenseAttention`, so all weights of a trained Enformer fit. If the
    pattern lists all blocks, it computes what `DenseAttention` computes.

    Attributes:
        fixed_random_blocks: See `BigBirdAttention`.

    Source: the pattern, Zaheer et al. 2020; all else, Avsec et al. 2021.
    """

    def __init__(
        self, config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
    ) -> None:
        super().__init__(config, layer, generator, name)
        self.layer = layer
        self.fixed_random_blocks: np.ndarray | None = None

    def attend(
        self, inputs: AttentionInputs, dropout: WeightDropout | None, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend to the layer's global, window and random blocks."""
        config, tokens = self.config, inputs.query.shape[2]
        random_blocks = layer_random_blocks(config, self.layer, tokens, self.fixed_random_blocks)
        pattern = bigbird_pattern(random_blocks, config.block_size)
        return block_sparse_attention(inputs, pattern, dropout, residuals)
