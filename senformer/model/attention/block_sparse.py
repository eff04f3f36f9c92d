"""Attend block-sparsely: each query block attends to a few key blocks.

One kernel serves every block pattern, with or without relative positions. A pattern lists the key
blocks of each query block. If it has global blocks, the first and the last block of the sequence
attend to all keys, and the pattern lists the query blocks between them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.model.attention import relative_logits
from senformer.model.attention.blockwise_softmax import Keys, attend, attend_gradient
from senformer.model.attention.heads import (
    AttentionInputs,
    HeadGroup,
    HeadResults,
    WeightDropout,
    attend_by_head,
)
from senformer.model.compute import device
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import hold_back
from senformer.model.dropout import PlacedDropout

WINDOW = 3
"""Blocks of a window: the block before, the block itself, the block after."""

GPU_CHUNK_BYTES = 400e6
"""Memory of the query blocks that a GPU computes at once, for each sequence."""

_CPU_BLOCKS_PER_CHUNK = 16  # the fastest of 4 to 96 at 6,144 tokens
_MASKED = np.float32(-1e30)  # added to a logit, leaves no weight


class BlockPattern(NamedTuple):
    """List the key blocks of each query block.

    Attributes:
        key_blocks: int32 `[heads, query_blocks, key_blocks]`, for all query blocks but the global.
        is_masked: bool of the same shape, whether to skip a key block that is listed twice.
        block_size: Tokens per block.
        has_global_blocks: Whether the first and the last block attend to all keys.
    """

    key_blocks: np.ndarray
    is_masked: np.ndarray
    block_size: int
    has_global_blocks: bool

    @property
    def num_blocks(self) -> int:
        """Return the number of blocks of the sequence."""
        return self.key_blocks.shape[1] + 2 * self.has_global_blocks


def block_sparse_attention(
    inputs: AttentionInputs,
    pattern: BlockPattern,
    dropout: WeightDropout | None = None,
    residuals: Residuals | None = None,
) -> tf.Tensor:
    """Attend from each query block to the key blocks of a pattern.

    The gradient needs the inputs, the output and one number per query; it recomputes the weights, a
    few query blocks at a time.

    Args:
        inputs: Queries, already scaled, keys, values and optional relative positions.
        pattern: The key blocks of each query block and head.
        dropout: Dropout of the weights, with one seed for global and one for other query blocks.
        residuals: Keeps the result for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Raises:
        ValueError: If the pattern is for another number of heads or tokens.

    Source: Zaheer et al. 2020, section 2 and appendix D; Dai et al. 2019, section 3.3; Dao et al.
        2022, section 3.1.
    """
    heads, tokens, key_size = inputs.query.shape[1:]
    pattern_shape = [len(pattern.key_blocks), pattern.num_blocks * pattern.block_size]
    if pattern_shape != [heads, tokens]:
        raise ValueError(
            f"the block pattern is for {pattern_shape[0]} heads and {pattern_shape[1]} tokens, "
            f"expected {heads} heads and {tokens} tokens"
        )
    values_per_key = key_size + inputs.value.shape[3] + 3 * pattern.block_size
    if inputs.relative_key is not None:
        # Row p is then at position p - tokens, as `relative_logits` expects.
        relative_key = tf.pad(inputs.relative_key, [[0, 0], [1, 0], [0, 0]])
        inputs = inputs._replace(relative_key=relative_key)
        values_per_key += 2 * key_size + pattern.block_size
    kernel = _Kernel(pattern, _make_chunks(pattern, values_per_key), dropout)
    return attend_by_head(kernel.attend, kernel.gradient, inputs, residuals)


def window_blocks(heads: int, blocks: int) -> np.ndarray:
    """List each block's window: the block before, the block itself, the block after.

    The first and the last block, which lack a neighbour, list themselves twice.

    Args:
        heads: Number of attention heads, which all get the same window.
        blocks: Number of blocks of the sequence.

    Returns:
        int32 `[heads, blocks, 3]`.
    """
    neighbours = np.arange(blocks)[:, np.newaxis] + np.arange(WINDOW) - WINDOW // 2
    window = np.clip(neighbours, 0, blocks - 1).astype(np.int32)
    return np.broadcast_to(window, [heads, blocks, WINDOW])


def find_repeats(key_blocks: np.ndarray) -> np.ndarray:
    """Find the key blocks that a query block has listed before.

    Args:
        key_blocks: int `[heads, query_blocks, key_blocks]`.

    Returns:
        bool of the same shape.
    """
    is_same = key_blocks[..., np.newaxis] == key_blocks[..., np.newaxis, :]
    return np.tril(is_same, k=-1).any(axis=-1)


class _Chunk(NamedTuple):
    """Describe neighbouring query blocks that are computed together.

    Attributes:
        query_blocks: int32 `[query_blocks]`, their indices in the sequence.
        key_blocks: int32 `[heads, query_blocks, key_blocks]`.
        mask: float32 of the same shape, added to the logits.
        distinct: int32 `[heads, distinct]`, the key blocks of the chunk, each once, padded with
            -1; None stands for all blocks of the sequence, in order.
        places: int32 `[heads, query_blocks * key_blocks]`, the index of each key block in
            `distinct`.
    """

    query_blocks: np.ndarray
    key_blocks: np.ndarray
    mask: np.ndarray
    distinct: np.ndarray | None
    places: np.ndarray

    def take_queries(self, x: tf.Tensor, block_size: int) -> tf.Tensor:
        """Take the query blocks of `[group, tokens, size]`: `[sets, block_size, size]`."""
        number, first = len(self.query_blocks), int(self.query_blocks[0]) * block_size
        blocks = x[:, first : first + number * block_size]
        return tf.reshape(blocks, [x.shape[0] * number, block_size, x.shape[2]])

    def relative_blocks(self, num_blocks: int) -> np.ndarray:
        """List the blocks of relative keys that each query block needs.

        They depend only on the offset between the query block and its key block.

        Returns:
            int32 `[heads, query_blocks, key_blocks * 2]`.
        """
        first = self.key_blocks - self.query_blocks[:, np.newaxis] + num_blocks - 1
        blocks = first[..., np.newaxis] + np.arange(relative_logits.RELATIVE_BLOCKS)
        return blocks.reshape(*first.shape[:2], -1).astype(np.int32)


class _Heads(NamedTuple):
    """Hold the tensors of a group of heads, or the gradients with respect to them.

    Attributes:
        query: `[group, tokens, key_size]`, with the content bias.
        key: `[group, tokens, key_size]`.
        value: `[group, tokens, value_size]`.
        position_query: `[group, tokens, key_size]`, with the position bias, or None.
        relative_key: `[group, 2 tokens, key_size]`, row `p` at position `p - tokens`, or None.
    """

    query: tf.Tensor
    key: tf.Tensor
    value: tf.Tensor
    position_query: tf.Tensor = None
    relative_key: tf.Tensor = None

    def hold_back(self, until: Sequence[tf.Tensor | None]) -> _Heads:
        """Return the tensors for the next chunk: chunks run in turn, or all fill the memory."""
        given = [x for x in self if x is not None]
        return _Heads(*hold_back(given, [x for x in until if x is not None]))


class _Kernel(NamedTuple):
    """Attend with the heads of a group, and compute the gradient.

    Attributes:
        pattern: The key blocks of each query block.
        chunks: All query blocks but the global ones.
        dropout: Dropout of the weights, or None.
    """

    pattern: BlockPattern
    chunks: list[_Chunk]
    dropout: WeightDropout | None

    def attend(self, group: HeadGroup, inputs: AttentionInputs) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute a group's output and the logarithm of each query's normaliser."""
        size = self.pattern.block_size
        heads = _add_biases(inputs)
        global_output = global_log_total = None
        if self.pattern.has_global_blocks:
            query = _take_global(heads.query, size)
            global_output, global_log_total = attend(query, self._global_keys(group, heads))
        results: list[tuple[tf.Tensor, tf.Tensor]] = []
        for chunk in self.chunks:
            if results:
                heads = heads.hold_back(until=results[-1])
            query = chunk.take_queries(heads.query, size)
            results.append(attend(query, self._chunk_keys(group, heads, chunk)))
        outputs, log_totals = zip(*results, strict=True)
        return (
            _join_blocks(global_output, outputs, group.size),
            _join_blocks(global_log_total, log_totals, group.size),
        )

    def gradient(
        self, group: HeadGroup, inputs: AttentionInputs, results: HeadResults
    ) -> AttentionInputs:
        """Compute the gradients with respect to a group's inputs."""
        heads = _add_biases(inputs)
        global_gradients = _Heads(None, None, None)
        if self.pattern.has_global_blocks:
            global_gradients = self._global_gradients(group, heads, results)
        by_chunk: list[_Heads] = []
        for chunk in self.chunks:
            if by_chunk:
                heads = heads.hold_back(until=by_chunk[-1])
            more = self._chunk_gradients(group, heads, results, chunk)
            if by_chunk and chunk.distinct is None:  # add now: a sum of all blocks is large
                more = _add_sums(by_chunk[-1], more)
            by_chunk.append(more)
        totals = _add_sums(global_gradients, self._sum_chunks(group, by_chunk))
        query = _join_blocks(global_gradients.query, [x.query for x in by_chunk], group.size)
        if heads.relative_key is None:
            return AttentionInputs(query, totals.key, totals.value)
        position_query = _join_blocks(
            global_gradients.position_query, [x.position_query for x in by_chunk], group.size
        )
        return AttentionInputs(
            query=query + position_query,
            key=totals.key,
            value=totals.value,
            relative_key=totals.relative_key,
            content_bias=tf.reduce_sum(query, axis=1),
            position_bias=tf.reduce_sum(position_query, axis=1),
        )

    def _global_keys(self, group: HeadGroup, heads: _Heads) -> Keys:
        """Return what the global query blocks attend to: all keys."""
        queries = 2 * self.pattern.block_size
        bias = dropout = None
        if heads.relative_key is not None:
            position_query = _take_global(heads.position_query, self.pattern.block_size)
            bias = relative_logits.global_logits(position_query, heads.relative_key)
        if self.dropout is not None:
            sets = group.numbers
            dropout = _place_dropout(self.dropout, 0, sets, [heads.key.shape[1], queries])
        return Keys(heads.key, heads.value, bias, dropout)

    def _chunk_keys(self, group: HeadGroup, heads: _Heads, chunk: _Chunk) -> Keys:
        """Gather what the query blocks of a chunk attend to: their key blocks."""
        size = self.pattern.block_size
        num_key_blocks = chunk.key_blocks.shape[2]
        key_blocks = group.take(chunk.key_blocks)
        mask = tf.reshape(group.take(chunk.mask), [-1, num_key_blocks])
        if heads.relative_key is None:
            bias = tf.repeat(mask, size, axis=1)[..., tf.newaxis]
        else:
            position_query = chunk.take_queries(heads.position_query, size)
            relative_key = self._chunk_relative_keys(group, heads, chunk)
            bias = relative_logits.block_logits(position_query, relative_key, mask)
        dropout = None
        if self.dropout is not None:
            first, num_query_blocks = (
                self.chunks[0].query_blocks[0],
                self.pattern.key_blocks.shape[1],
            )
            numbers = group.numbers[:, tf.newaxis] * num_query_blocks
            sets = tf.reshape(numbers + (chunk.query_blocks - first), [-1])
            dropout = _place_dropout(self.dropout, 1, sets, [num_key_blocks * size, size])
        return Keys(
            _gather_blocks(heads.key, key_blocks, size),
            _gather_blocks(heads.value, key_blocks, size),
            bias,
            dropout,
        )

    def _chunk_relative_keys(self, group: HeadGroup, heads: _Heads, chunk: _Chunk) -> tf.Tensor:
        """Gather a chunk's relative keys, `[sets, key_blocks * 2 * block_size, key_size]`."""
        blocks = group.take(chunk.relative_blocks(self.pattern.num_blocks))
        return _gather_blocks(heads.relative_key, blocks, self.pattern.block_size)

    def _global_gradients(self, group: HeadGroup, heads: _Heads, results: HeadResults) -> _Heads:
        """Compute what the global query blocks add; the queries are `[group, 2 blocks, size]`."""
        size = self.pattern.block_size
        found = attend_gradient(
            _take_global(heads.query, size),
            self._global_keys(group, heads),
            HeadResults(*(_take_global(x, size) for x in results)),
        )
        if heads.relative_key is None:
            return _Heads(found.query, found.key, found.value)
        position_query = _take_global(heads.position_query, size)
        position_gradients = relative_logits.global_logits_gradient(
            position_query, heads.relative_key, found.logits
        )
        return _Heads(found.query, found.key, found.value, *position_gradients)

    def _chunk_gradients(
        self, group: HeadGroup, heads: _Heads, results: HeadResults, chunk: _Chunk
    ) -> _Heads:
        """Compute what a chunk's query blocks add; the queries are `[sets, block_size, size]`.

        The gradients of keys and values are sums by distinct block, `[group, distinct, block_size *
        size]`; those of relative keys are one row per block, summed if all blocks are distinct.
        """
        size, num_blocks = self.pattern.block_size, self.pattern.num_blocks
        found = attend_gradient(
            chunk.take_queries(heads.query, size),
            self._chunk_keys(group, heads, chunk),
            HeadResults(*(chunk.take_queries(x, size) for x in results)),
        )
        places = group.take(chunk.places)
        num_places = num_blocks if chunk.distinct is None else chunk.distinct.shape[1]
        key, value = (
            _sum_by_place(tf.reshape(x, [group.size, -1, size * x.shape[2]]), places, num_places)
            for x in (found.key, found.value)
        )
        if heads.relative_key is None:
            return _Heads(found.query, key, value)
        position_query, relative_key = relative_logits.block_logits_gradient(
            chunk.take_queries(heads.position_query, size),
            self._chunk_relative_keys(group, heads, chunk),
            found.logits,
        )
        relative_key = tf.reshape(relative_key, [group.size, -1, size * relative_key.shape[2]])
        if chunk.distinct is None:
            blocks = chunk.relative_blocks(num_blocks).reshape(len(chunk.key_blocks), -1)
            relative_key = _sum_by_place(relative_key, group.take(blocks), 2 * num_blocks)
        return _Heads(found.query, key, value, position_query, relative_key)

    def _sum_chunks(self, group: HeadGroup, by_chunk: Sequence[_Heads]) -> _Heads:
        """Sum the chunks' gradients of keys, values and relative keys: `[group, length, size]`."""
        size, num_blocks = self.pattern.block_size, self.pattern.num_blocks
        distinct = [chunk.distinct for chunk in self.chunks]

        def total(sums: list[tf.Tensor], blocks: list, number: int) -> tf.Tensor:
            if distinct[0] is None:
                summed = sums[-1]
            else:  # each sum is of some blocks of one head
                numbers = group.take(np.concatenate(blocks, axis=1))[0]
                summed = tf.math.unsorted_segment_sum(tf.concat(sums, axis=1)[0], numbers, number)
            return tf.reshape(summed, [group.size, number * size, -1])

        key = total([x.key for x in by_chunk], distinct, num_blocks)
        value = total([x.value for x in by_chunk], distinct, num_blocks)
        if by_chunk[0].relative_key is None:
            return _Heads(None, key, value)
        blocks = [x.relative_blocks(num_blocks).reshape(len(x.places), -1) for x in self.chunks]
        relative_key = total([x.relative_key for x in by_chunk], blocks, 2 * num_blocks)
        return _Heads(None, key, value, None, relative_key)


def _add_biases(inputs: AttentionInputs) -> _Heads:
    """Add the content and the position bias to a group's queries."""
    query, key, value, relative_key, content_bias, position_bias = inputs
    if relative_key is None:
        return _Heads(query, key, value)
    return _Heads(
        query + content_bias[:, tf.newaxis],
        key,
        value,
        query + position_bias[:, tf.newaxis],
        relative_key,
    )


def _add_sums(gradients: _Heads, more: _Heads) -> _Heads:
    """Add gradients of keys, values and relative keys to `more`; None counts as zero."""

    def add(x: tf.Tensor | None, y: tf.Tensor | None) -> tf.Tensor | None:
        return y if x is None else x + y

    return more._replace(
        key=add(gradients.key, more.key),
        value=add(gradients.value, more.value),
        relative_key=add(gradients.relative_key, more.relative_key),
    )


def _take_global(x: tf.Tensor, block_size: int) -> tf.Tensor:
    """Take the first and the last block of `[group, tokens, size]`."""
    return tf.concat([x[:, :block_size], x[:, -block_size:]], axis=1)


def _join_blocks(
    global_blocks: tf.Tensor | None, by_chunk: Sequence[tf.Tensor], group_size: int
) -> tf.Tensor:
    """Join the global blocks and those of all chunks: `[group, tokens, size]`."""
    parts = [tf.reshape(x, [group_size, -1, x.shape[2]]) for x in by_chunk]
    if global_blocks is not None:
        first, last = tf.split(global_blocks, 2, axis=1)
        parts = [first, *parts, last]
    return tf.concat(parts, axis=1)


def _gather_blocks(x: tf.Tensor, blocks: tf.Tensor, block_size: int) -> tf.Tensor:
    """Gather blocks of tokens for each query block.

    Args:
        x: `[group, tokens, size]`.
        blocks: int32 `[group, query_blocks, blocks]`.
        block_size: Tokens per block.

    Returns:
        `[group * query_blocks, blocks * block_size, size]`.
    """
    tokens, size = x.shape[1:]
    by_block = tf.reshape(x, [-1, tokens // block_size, block_size * size])
    gathered = tf.gather(by_block, blocks, batch_dims=1)
    return tf.reshape(gathered, [-1, blocks.shape[2] * block_size, size])


def _sum_by_place(x: tf.Tensor, places: tf.Tensor, num_places: int) -> tf.Tensor:
    """Sum the rows that belong to the same place: undo a gather for a gradient.

    The sum is a product with a matrix of zeros and ones: a scatter takes several times as long on a
    CPU, and on a GPU it sums in random order, so its last digits vary.

    Args:
        x: `[group, rows, size]`.
        places: int32 `[group, rows]`.
        num_places: Number of places.

    Returns:
        `[group, places, size]`.
    """
    [places] = hold_back([places], until=[x])  # or XLA keeps the ones in memory as a constant
    return tf.one_hot(places, num_places, axis=1) @ x


def _place_dropout(
    dropout: WeightDropout, seed_index: int, sets: tf.Tensor, weights_shape: Sequence[int]
) -> PlacedDropout:
    """Place the dropout of sets of weights `[keys, queries]` by the numbers of the sets."""
    keys, queries = weights_shape
    return PlacedDropout(
        dropout.rate,
        dropout.seeds[seed_index][tf.newaxis],
        set_places=sets * (keys * queries),
        row_places=tf.range(keys) * queries,
    )


def _make_chunks(pattern: BlockPattern, values_per_key: int) -> list[_Chunk]:
    """Cut the query blocks into chunks of nearly equal size that suit the device's memory.

    Args:
        pattern: The key blocks of each query block.
        values_per_key: Approximate number of float32 values in memory per key of a query block.
    """
    heads, num_query_blocks, num_key_blocks = pattern.key_blocks.shape
    per_chunk = _CPU_BLOCKS_PER_CHUNK
    if device.is_gpu():
        values = heads * num_key_blocks * pattern.block_size * values_per_key
        per_chunk = max(1, int(GPU_CHUNK_BYTES // (values * tf.float32.size)))
    count = -(-num_query_blocks // per_chunk)
    # Sums by distinct block end in a scatter, whose order varies on a GPU.
    use_distinct = count > 1 and not device.is_gpu()
    mask = np.where(pattern.is_masked, _MASKED, np.float32(0))
    first = int(pattern.has_global_blocks)
    edges = np.linspace(0, num_query_blocks, count + 1).round().astype(int)
    chunks = []
    for start, stop in itertools.pairwise(edges):
        key_blocks = pattern.key_blocks[:, start:stop]
        distinct, places = None, key_blocks.reshape(heads, -1)
        if use_distinct:
            distinct, places = _find_distinct(places)
        query_blocks = np.arange(first + start, first + stop, dtype=np.int32)
        chunks.append(_Chunk(query_blocks, key_blocks, mask[:, start:stop], distinct, places))
    return chunks


def _find_distinct(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find each head's distinct blocks, padded with -1, and the index of each block in them.

    Args:
        blocks: int `[heads, blocks]`.

    Returns:
        int32 `[heads, distinct]` and int32 `[heads, blocks]`.
    """
    by_head, places = zip(*(np.unique(x, return_inverse=True) for x in blocks), strict=True)
    distinct = np.full([len(blocks), max(map(len, by_head))], -1, np.int32)
    for row, values in zip(distinct, by_head, strict=True):
        row[: len(values)] = values
    return distinct, np.stack(places).astype(np.int32)
