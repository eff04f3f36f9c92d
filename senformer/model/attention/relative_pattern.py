"""Enformer's attention to the blocks of keys that a pattern lists, and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.model.attention.block_gather import (
    MASKED,
    NUM_ENDS,
    BlockSum,
    Chunk,
    add_chunk,
    chunks_of,
    join_ends,
    join_rows,
    sum_by_block,
    sum_chunks,
    take_blocks,
    take_ends,
    take_rows,
)
from senformer.model.attention.blockwise_softmax import Keys, attend, attend_gradient
from senformer.model.attention.heads import HeadGroup, map_heads
from senformer.model.attention.relative_blocks import (
    HeadArrays,
    end_biases,
    end_biases_gradient,
    row_biases,
    row_biases_gradient,
)
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import hold_back
from senformer.model.dropout import PlacedDropout, numbers_in_batch, shared_by_examples

_ENDS_SEED, _ROWS_SEED = range(2)


def listed_relative_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    relative_key: tf.Tensor,
    content_bias: tf.Tensor,
    position_bias: tf.Tensor,
    listed: np.ndarray,
    *,
    block_size: int,
    dropout_rate: float = 0.0,
    dropout_seeds: tf.Tensor | None = None,
    residuals: Residuals | None = None,
) -> tf.Tensor:
    """`dense.relative_attention` to the listed blocks of keys alone.

    What kinds with Enformer's parameters and a pattern of blocks have in common. A block that a row
    names twice counts once. For the gradient it keeps its arguments, the result and one number per
    query; weights are computed again, a few blocks at a time.

    Args:
        query: `[batch, heads, tokens, key_size]`, already scaled.
        key: `[batch, heads, tokens, key_size]`.
        value: `[batch, heads, tokens, value_size]`.
        relative_key: `[heads, 2 tokens - 1, key_size]`, from position `-(tokens - 1)` on.
        content_bias: `[1, heads, 1, key_size]`, added to the query that meets the keys.
        position_bias: `[1, heads, 1, key_size]`, added to the query that meets the positions.
        listed: int32 `[heads, rows, listed]`, the blocks that each block of queries attends to;
            with two rows fewer than there are blocks, the first and the last attend to all.
        block_size: Tokens per block.
        dropout_rate: Share of attention weights that is dropped.
        dropout_seeds: int32 `[2, 2]`, for the weights of the two ends and for all others, or
            `[2, 3]` for a part of a batch, or none for no dropout.
        residuals: Keeps the result for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Dai et al. 2019, section 3.3; Avsec et al. 2021; Dao et al. 2022, section 3.1.
    """
    heads, tokens, key_size = query.shape[1:]
    keys_per_row = listed.shape[2] * block_size
    values_per_row = keys_per_row * (3 * key_size + value.shape[3] + 4 * block_size)
    chunks = chunks_of(listed, tokens // block_size, values_per_row)
    pattern = _Pattern(chunks, block_size, dropout_rate, dropout_seeds)
    residuals = residuals or Residuals()

    @tf.custom_gradient
    def attention(*arguments: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list]]:
        output, log_total = residuals.keep(lambda: _forward(*arguments, pattern=pattern))

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            return _gradient(arguments, output, log_total, upstream, pattern)

        return output, gradient

    return attention(
        query,
        key,
        value,
        tf.pad(relative_key, [[0, 0], [1, 0], [0, 0]]),  # row p is at position p - tokens
        tf.reshape(content_bias, [heads, key_size]),
        tf.reshape(position_bias, [heads, key_size]),
    )


class _Pattern(NamedTuple):
    """What is the same for every head and sequence.

    Attributes:
        chunks: The rows, in the parts that are computed together.
        block_size: Tokens per block.
        dropout_rate: Share of attention weights that is dropped.
        dropout_seeds: int32 `[2, 2]`, for the ends' weights and for the rows', or none.
    """

    chunks: list[Chunk]
    block_size: int
    dropout_rate: float
    dropout_seeds: tf.Tensor | None

    @property
    def has_ends(self) -> bool:
        """Whether the first and the last block are no rows, but attend to all keys."""
        return self.chunks[0].first > 0

    def numbers_in_batch(self, group: HeadGroup) -> tf.Tensor:
        """The numbers by which the heads' weights have their places."""
        if self.dropout_seeds is None:
            return group.numbers
        return numbers_in_batch(group.numbers, group.num_heads, self.dropout_seeds[0])

    def dropout(
        self, which: int, sets: tf.Tensor, keys_per_set: int, queries_per_key: int
    ) -> PlacedDropout | None:
        """Of the weights of the ends or of the rows, of sets by their numbers."""
        if self.dropout_seeds is None or self.dropout_rate == 0:
            return None
        return PlacedDropout(
            self.dropout_rate,
            shared_by_examples(self.dropout_seeds[which])[tf.newaxis],
            set_places=sets * (keys_per_set * queries_per_key),
            row_places=tf.range(keys_per_set) * queries_per_key,
        )


def _forward(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    relative_key: tf.Tensor,
    content_bias: tf.Tensor,
    position_bias: tf.Tensor,
    *,
    pattern: _Pattern,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The output, and the logarithm of each query's normaliser `[batch, heads, tokens, 1]`."""
    tokens, value_size = value.shape[2:]
    size = pattern.block_size
    shared = (relative_key, content_bias, position_bias)

    def attend_heads(
        group: HeadGroup, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        arrays = _head_arrays(group, query, key, value, *shared)
        if pattern.has_ends:
            ends = attend(take_ends(arrays.by_content, size), _keys_of_ends(arrays, pattern))
        rows: list[tuple[tf.Tensor, tf.Tensor]] = []
        for chunk in pattern.chunks:
            if rows:
                arrays = _hold_back(arrays, until=rows[-1])
            keys = _keys_of_rows(arrays, chunk, pattern)
            rows.append(attend(take_rows(arrays.by_content, chunk, size), keys))
        outputs, log_totals = zip(*rows, strict=True)
        if not pattern.has_ends:
            return join_rows(outputs, group.size), join_rows(log_totals, group.size)
        return join_ends(ends[0], outputs), join_ends(ends[1], log_totals)

    output, log_total = map_heads(
        attend_heads, [query, key, value], [[tokens, value_size], [tokens, 1]]
    )
    return tf.cast(output, value.dtype), log_total


class _Gradients(NamedTuple):
    """What the ends or the rows give.

    Attributes:
        by_content: With respect to the queries that meet keys: of the ends
            `[group, 2 * block_size, key_size]`, or of each chunk as `take_rows` takes them.
        by_position: Likewise, to the queries that meet relative keys.
        key: `[group, tokens, key_size]`.
        value: `[group, tokens, value_size]`.
        relative_key: `[group, 2 tokens, key_size]`.
    """

    by_content: tf.Tensor | list[tf.Tensor]
    by_position: tf.Tensor | list[tf.Tensor]
    key: tf.Tensor
    value: tf.Tensor
    relative_key: tf.Tensor


def _gradient(
    arguments: Sequence[tf.Tensor],
    output: tf.Tensor,
    log_total: tf.Tensor,
    upstream: tf.Tensor,
    pattern: _Pattern,
) -> list[tf.Tensor]:
    """Gradients with respect to the tensors that `_forward` takes."""
    query, key, value, *shared = arguments

    def gradients_of_heads(
        group: HeadGroup,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *results: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        arrays = _head_arrays(group, query, key, value, *shared)
        if pattern.has_ends:
            ends = _gradients_of_ends(arrays, results, pattern)
        rows = _gradients_of_rows(arrays, results, pattern)
        if pattern.has_ends:
            content = join_ends(ends.by_content, rows.by_content)
            position = join_ends(ends.by_position, rows.by_position)
            sums = [of_ends + of_rows for of_ends, of_rows in zip(ends[2:], rows[2:], strict=True)]
        else:
            content = join_rows(rows.by_content, group.size)
            position = join_rows(rows.by_position, group.size)
            sums = list(rows[2:])
        return (
            content + position,
            *sums,
            tf.reduce_sum(content, axis=1),
            tf.reduce_sum(position, axis=1),
        )

    gradients = map_heads(
        gradients_of_heads,
        [query, key, value, output, log_total, upstream],
        [
            *(x.shape[2:] for x in (query, key, value)),
            *(x.shape[1:] for x in shared),
        ],
    )
    gradients[3:] = [tf.reduce_sum(g, axis=0) for g in gradients[3:]]  # over the batch
    return [tf.cast(g, x.dtype) for g, x in zip(gradients, arguments, strict=True)]


def _gradients_of_ends(
    arrays: HeadArrays, results: Sequence[tf.Tensor], pattern: _Pattern
) -> _Gradients:
    """Of the two ends; `results` are output, normaliser and upstream gradient of all tokens."""
    size = pattern.block_size
    ends = attend_gradient(
        take_ends(arrays.by_content, size),
        _keys_of_ends(arrays, pattern),
        *(take_ends(x, size) for x in results),
    )
    position, relative_key = end_biases_gradient(arrays, ends.logits, size)
    return _Gradients(ends.query, position, ends.key, ends.value, relative_key)


def _gradients_of_rows(
    arrays: HeadArrays, results: Sequence[tf.Tensor], pattern: _Pattern
) -> _Gradients:
    """Of the rows, chunk by chunk."""
    group, tokens, size = arrays.group, arrays.key.shape[1], pattern.block_size
    content_rows: list[tf.Tensor] = []
    position_rows: list[tf.Tensor] = []
    key_sums: list[BlockSum] = []
    value_sums: list[BlockSum] = []
    relative_sums: list[BlockSum] = []
    for chunk in pattern.chunks:
        if content_rows:
            last_sums = [x[-1].by_block for x in (key_sums, value_sums, relative_sums)]
            arrays = _hold_back(arrays, until=[content_rows[-1], position_rows[-1], *last_sums])
        rows = attend_gradient(
            take_rows(arrays.by_content, chunk, size),
            _keys_of_rows(arrays, chunk, pattern),
            *(take_rows(x, chunk, size) for x in results),
        )
        position, relative = row_biases_gradient(arrays, rows.logits, chunk, size)
        content_rows.append(rows.query)
        position_rows.append(position)
        relative_sums = add_chunk(relative_sums, relative)
        key_sums = add_chunk(key_sums, sum_by_block(rows.key, chunk, group, size))
        value_sums = add_chunk(value_sums, sum_by_block(rows.value, chunk, group, size))
    return _Gradients(
        content_rows,
        position_rows,
        sum_chunks(key_sums, group, tokens, size),
        sum_chunks(value_sums, group, tokens, size),
        sum_chunks(relative_sums, group, 2 * tokens, size),
    )


def _head_arrays(
    group: HeadGroup, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *shared: tf.Tensor
) -> HeadArrays:
    relative_key, content_bias, position_bias = (tf.cast(group.take(x), tf.float32) for x in shared)
    return HeadArrays(
        group,
        query + content_bias[:, tf.newaxis],
        query + position_bias[:, tf.newaxis],
        key,
        value,
        relative_key,
    )


def _hold_back(arrays: HeadArrays, until: Sequence[tf.Tensor]) -> HeadArrays:
    """One chunk after another, or all would be in memory at once."""
    group, *tensors = arrays
    return HeadArrays(group, *hold_back(tensors, until))


def _keys_of_ends(arrays: HeadArrays, pattern: _Pattern) -> Keys:
    """What the two ends attend to: all keys."""
    size = pattern.block_size
    tokens = arrays.key.shape[1]
    return Keys(
        arrays.key,
        arrays.value,
        bias=end_biases(arrays, size),
        dropout=pattern.dropout(
            _ENDS_SEED, pattern.numbers_in_batch(arrays.group), tokens, NUM_ENDS * size
        ),
    )


def _keys_of_rows(arrays: HeadArrays, chunk: Chunk, pattern: _Pattern) -> Keys:
    """What the rows of a chunk attend to: the blocks listed for them."""
    size = pattern.block_size
    group = arrays.group
    listed = group.take(chunk.listed)
    mask = tf.reshape(group.take(_mask_of_repeats(chunk)), [-1, chunk.listed.shape[2], 1, 1])
    first = pattern.chunks[0].first
    num_rows = chunk.num_blocks - 2 * first
    numbers = pattern.numbers_in_batch(group)
    rows = numbers[:, tf.newaxis] * num_rows + (chunk.query_blocks - first)
    return Keys(
        take_blocks(arrays.key, listed, size),
        take_blocks(arrays.value, listed, size),
        bias=row_biases(arrays, chunk, mask, size),
        dropout=pattern.dropout(
            _ROWS_SEED, tf.reshape(rows, [-1]), chunk.listed.shape[2] * size, size
        ),
    )


def _mask_of_repeats(chunk: Chunk) -> np.ndarray:
    """`[heads, rows, listed]`: a block counts where it is named first."""
    same = chunk.listed[..., np.newaxis] == chunk.listed[..., np.newaxis, :]
    is_repeat = np.tril(same, k=-1).any(axis=-1)
    return np.where(is_repeat, MASKED, np.float32(0))
