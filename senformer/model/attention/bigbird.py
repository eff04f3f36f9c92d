"""Attend as BigBird does, block-sparsely: global, window and random key blocks, no positions."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.attention.block_sparse import (
    WINDOW,
    BlockPattern,
    block_sparse_attention,
    find_repeats,
    window_blocks,
)
from senformer.model.attention.heads import AttentionInputs, WeightDropout
from senformer.model.attention.layer import AttentionLayer
from senformer.model.attention.random_blocks import layer_random_blocks
from senformer.model.compute.recomputation import Residuals
from senformer.model.layers import Linear, truncated_normal

_INITIAL_STDDEV = 0.02
_NUM_GLOBAL = 2


class BigBirdAttention(AttentionLayer):
    """Attend as the S-Enformer does: BigBird with dense projections, no positions, no dropout.

    Attributes:
        fixed_random_blocks: int32 `[heads, blocks - 2, random]` that replace the configured draw at
            that number of blocks, for a model whose weights came with random blocks.

    Source: Zaheer et al. 2020; google-research/bigbird, `core/attention.py`.
    """

    def __init__(
        self, config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
    ) -> None:
        super().__init__(name=name)
        self.config = config
        self.layer = layer
        self.fixed_random_blocks: np.ndarray | None = None

        def projection(name: str) -> Linear:
            shape = [config.channels, config.channels]
            weights = truncated_normal(generator, shape, _INITIAL_STDDEV)
            return Linear(weights, with_bias=True, name=name)

        self.query = projection("query")
        self.key = projection("key")
        self.value = projection("value")
        self.output = projection("output")

    def attend(
        self, inputs: AttentionInputs, dropout: WeightDropout | None, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend to the layer's global, window and random blocks; `dropout` is not used."""
        config = self.config
        tokens, size = inputs.query.shape[2:]
        random_blocks = layer_random_blocks(config, self.layer, tokens, self.fixed_random_blocks)
        pattern = bigbird_pattern(random_blocks, config.block_size, counts_repeats=True)
        inputs = inputs._replace(query=inputs.query * size**-0.5)
        return block_sparse_attention(inputs, pattern, residuals=residuals)


def bigbird_pattern(
    random_blocks: np.ndarray, block_size: int, *, counts_repeats: bool = False
) -> BlockPattern:
    """Make BigBird's block pattern.

    The first and the last block attend to all keys. Block `i` between them attends to the first and
    the last block, to blocks `i - 1`, `i`, `i + 1`, and to `random_blocks[:, i - 1]`.

    Args:
        random_blocks: int32 `[heads, blocks - 2, random]`.
        block_size: Tokens per block.
        counts_repeats: Whether a random block that a query block attends to already counts twice,
            as in the published code; otherwise each key block counts once.

    Raises:
        ValueError: If the shape has no three axes or a block is not in the sequence.

    Source: Zaheer et al. 2020, section 2 and appendix D.
    """
    random_blocks = np.asarray(random_blocks, dtype=np.int32)
    if random_blocks.ndim != 3:
        raise ValueError(
            f"random_blocks has shape {list(random_blocks.shape)}, expected three axes: "
            "heads, blocks - 2, random blocks"
        )
    heads, query_blocks, _ = random_blocks.shape
    last = query_blocks + _NUM_GLOBAL - 1
    if random_blocks.size and not 0 <= random_blocks.min() <= random_blocks.max() <= last:
        raise ValueError(
            f"random_blocks from {random_blocks.min()} to {random_blocks.max()}, "
            f"expected 0 to {last}"
        )
    global_blocks = np.broadcast_to([0, last], [heads, query_blocks, _NUM_GLOBAL])
    window = window_blocks(heads, query_blocks + _NUM_GLOBAL)[:, 1:-1]
    key_blocks = np.concatenate([global_blocks, window, random_blocks], axis=-1).astype(np.int32)
    is_masked = find_repeats(key_blocks)
    if counts_repeats:
        is_masked[..., _NUM_GLOBAL + WINDOW :] = False
    return BlockPattern(key_blocks, is_masked, block_size, has_global_blocks=True)
