"""BigBird's block-sparse attention: global, window and random blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import sonnet as snt
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model import ops
from senformer.model.attention.block_gather import (
    MASKED,
    NUM_ENDS,
    WINDOW,
    BlockSum,
    Chunk,
    add_chunk,
    bigbird_blocks,
    chunks_of,
    join_ends,
    sum_by_block,
    sum_chunks,
    take_blocks,
    take_ends,
    take_rows,
)
from senformer.model.attention.blockwise_softmax import Keys, attend, attend_gradient
from senformer.model.attention.heads import HeadGroup, map_heads, merge_heads, split_heads
from senformer.model.attention.random_blocks import (
    DEFAULT_BLOCK_SIZE,
    check_random_blocks,
    layer_random_blocks,
    num_blocks,
    random_blocks,
)
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import hold_back
from senformer.model.layers import Linear, truncated_normal

__all__ = ["BigBirdAttention", "block_sparse_attention", "layer_random_blocks", "random_blocks"]

_INITIAL_STDDEV = 0.02


class BigBirdAttention(snt.Module):
    """BigBird's attention as the S-Enformer uses it: dense projections, no positions, no dropout.

    Attributes:
        fixed_random_blocks: int32 `[heads, blocks - 2, random]` to use at that number of blocks
            instead of the configured draw, for a model whose blocks came with its weights.

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

    def position_features(self, tokens: int) -> None:
        """None: it knows no positions."""
        return None  # AutoGraph wants a statement

    def __call__(
        self,
        x: tf.Tensor,
        position_features: None = None,
        dropout_seeds: tf.Tensor | None = None,
        residuals: Residuals | None = None,
    ) -> tf.Tensor:
        """Attend; `x` and the result are `[batch, tokens, channels]`. It has no dropout."""
        del position_features, dropout_seeds
        config = self.config
        for_query, for_key, for_value = ops.for_readers(x, 3)
        attended = block_sparse_attention(
            split_heads(self.query(for_query), config.num_heads),
            split_heads(self.key(for_key), config.num_heads),
            split_heads(self.value(for_value), config.num_heads),
            layer_random_blocks(config, self.layer, x.shape[1], self.fixed_random_blocks),
            block_size=config.block_size,
            residuals=residuals,
        )
        return self.output(merge_heads(attended))


def block_sparse_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    random_blocks: np.ndarray,
    *,
    block_size: int = DEFAULT_BLOCK_SIZE,
    residuals: Residuals | None = None,
) -> tf.Tensor:
    """Attention of each block of queries to the global, window and random blocks of keys.

    The first and the last block attend to everything. Block `i` between them attends to the
    first and last block, to blocks `i - 1`, `i`, `i + 1`, and to `random_blocks[:, i - 1]`. A
    random block that the row attends to already counts twice, as in the published code.

    For the gradient it keeps its arguments, the result and one number per query; weights are
    computed again, a few blocks at a time.

    Args:
        query: `[batch, heads, tokens, size]`; scaled here by `size ** -0.5`.
        key: `[batch, heads, tokens, size]`.
        value: `[batch, heads, tokens, value_size]`.
        random_blocks: int32 `[heads, blocks - 2, random]`.
        block_size: Tokens per block.
        residuals: Keeps the result for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Raises:
        ValueError: If the tokens are not at least five whole blocks, or `random_blocks` does not
            fit them.

    Source: Zaheer et al. 2020, section 2 and appendix D; recomputation from the normaliser, Dao et
        al. 2022, section 3.1.
    """
    heads, tokens, size = query.shape[1:]
    blocks = num_blocks(tokens, block_size)
    random_blocks = np.asarray(random_blocks, dtype=np.int32)
    check_random_blocks(random_blocks, heads, blocks)
    listed = bigbird_blocks(random_blocks)
    keys_per_row = listed.shape[2] * block_size
    chunks = chunks_of(listed, blocks, keys_per_row * (size + value.shape[3] + 3 * block_size))
    residuals = residuals or Residuals()

    @tf.custom_gradient
    def attention(
        query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        output, log_total = residuals.keep(lambda: _forward(query, key, value, chunks, block_size))

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            return _gradient(query, key, value, output, log_total, upstream, chunks, block_size)

        return output, gradient

    return attention(query, key, value)


def _forward(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    chunks: Sequence[Chunk],
    block_size: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The output, and the logarithm of each query's normaliser `[batch, heads, tokens, 1]`."""
    tokens, value_size = value.shape[2:]

    def attend_heads(
        group: HeadGroup, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        query = query * query.shape[-1] ** -0.5
        ends = attend(take_ends(query, block_size), Keys(key, value))
        rows: list[tuple[tf.Tensor, tf.Tensor]] = []
        for chunk in chunks:
            if rows:
                [key, value] = hold_back([key, value], until=rows[-1])
            keys = _keys_of_rows(key, value, chunk, group, block_size)
            rows.append(attend(take_rows(query, chunk, block_size), keys))
        outputs, log_totals = zip(*rows, strict=True)
        return join_ends(ends[0], outputs), join_ends(ends[1], log_totals)

    output, log_total = map_heads(
        attend_heads, [query, key, value], [[tokens, value_size], [tokens, 1]]
    )
    return tf.cast(output, value.dtype), log_total


def _gradient(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    output: tf.Tensor,
    log_total: tf.Tensor,
    upstream: tf.Tensor,
    chunks: Sequence[Chunk],
    block_size: int,
) -> list[tf.Tensor]:
    """Gradients with respect to query, key and value."""

    def gradients_of_heads(
        group: HeadGroup,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *results: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        scale = query.shape[-1] ** -0.5
        query = query * scale
        ends = attend_gradient(
            take_ends(query, block_size),
            Keys(key, value),
            *(take_ends(x, block_size) for x in results),
        )
        query_rows: list[tf.Tensor] = []
        key_sums: list[BlockSum] = []
        value_sums: list[BlockSum] = []
        for chunk in chunks:
            if query_rows:
                done = [query_rows[-1], *(sums[-1].by_block for sums in (key_sums, value_sums))]
                [key, value] = hold_back([key, value], until=done)
            rows = attend_gradient(
                take_rows(query, chunk, block_size),
                _keys_of_rows(key, value, chunk, group, block_size),
                *(take_rows(x, chunk, block_size) for x in results),
            )
            query_rows.append(rows.query)
            key_sums = add_chunk(key_sums, sum_by_block(rows.key, chunk, group, block_size))
            value_sums = add_chunk(value_sums, sum_by_block(rows.value, chunk, group, block_size))
        tokens = key.shape[1]
        return (
            join_ends(ends.query, query_rows) * scale,
            ends.key + sum_chunks(key_sums, group, tokens, block_size),
            ends.value + sum_chunks(value_sums, group, tokens, block_size),
        )

    arguments = [query, key, value]
    gradients = map_heads(
        gradients_of_heads,
        [*arguments, output, log_total, upstream],
        [x.shape[2:] for x in arguments],
    )
    return [tf.cast(g, x.dtype) for g, x in zip(gradients, arguments, strict=True)]


def _keys_of_rows(
    key: tf.Tensor, value: tf.Tensor, chunk: Chunk, group: HeadGroup, block_size: int
) -> Keys:
    """What the rows of a chunk attend to: the blocks listed for them."""
    listed = group.take(chunk.listed)
    return Keys(
        take_blocks(key, listed, block_size),
        take_blocks(value, listed, block_size),
        bias=_mask_of_global_window(chunk, group, block_size),
    )


def _mask_of_global_window(chunk: Chunk, group: HeadGroup, block_size: int) -> np.ndarray:
    """`[group * rows, listed * block_size, 1]`, added to logits.

    What a window and the ends share counts once, as in the published code.
    """
    is_repeat = np.isin(chunk.listed[0], [0, chunk.num_blocks - 1])  # [rows, listed]
    is_repeat[:, :NUM_ENDS] = is_repeat[:, NUM_ENDS + WINDOW :] = False
    mask = np.where(np.repeat(is_repeat, block_size, axis=1), MASKED, np.float32(0))
    return np.tile(mask[..., np.newaxis], [group.size, 1, 1])
