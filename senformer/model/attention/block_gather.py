"""What the sparse kinds share: which queries go together, which key blocks they meet, and back.

The rows are the blocks of queries that attend to the blocks listed for each. BigBird's are those
between the two ends, the first and the last block, which attend to all keys; a row is given the two
ends, its window and its random blocks. Where a pattern has no ends, every block is a row.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.model.attention.heads import HeadGroup
from senformer.model.compute import device
from senformer.model.compute.xla import hold_back

MASKED = np.float32(-1e30)
"""Added to a logit, it leaves no weight."""

WINDOW = 3
"""Blocks of the window: the one before, the block itself, the one after."""

NUM_ENDS = 2
"""Blocks at the ends, which attend to everything and to which everything attends."""

_CPU_ROWS_PER_CHUNK = 16  # of 4 to 96, what took the least time at 6,144 tokens
GPU_CHUNK_BYTES = 400e6
"""What the rows that a GPU computes at once may take for each sequence."""


class Chunk(NamedTuple):
    """Neighbouring rows that are computed together.

    Attributes:
        listed: int32 `[heads, rows, listed]`, the key blocks of each row.
        first: The block of queries that is its first row.
        distinct: int32 `[heads, distinct]`, the blocks that `listed` names, -1 where a head names
            fewer than another; or all blocks in order.
        places: int32 `[heads, rows * listed]`, where in `distinct` each block of `listed` is.
        has_all: Whether `distinct` is all blocks in order.
        num_blocks: Blocks of the sequence.
    """

    listed: np.ndarray
    first: int
    distinct: np.ndarray
    places: np.ndarray
    has_all: bool
    num_blocks: int

    @property
    def num_rows(self) -> int:
        """Rows of the chunk."""
        return self.listed.shape[1]

    @property
    def query_blocks(self) -> np.ndarray:
        """Which blocks its rows are, int32 `[rows]`."""
        return self.first + np.arange(self.num_rows, dtype=np.int32)


class BlockSum(NamedTuple):
    """What the rows of a chunk, or of several, give to blocks of keys.

    Attributes:
        by_block: `[group, blocks, block_size * size]`.
        blocks: int32 `[heads, blocks]`, which they are, -1 for none; one may be named twice. None
            where they are all, in order.
    """

    by_block: tf.Tensor
    blocks: np.ndarray | None


def bigbird_blocks(random_blocks: np.ndarray) -> np.ndarray:
    """The key blocks of each row between the ends: the two ends, its window, its random blocks.

    Args:
        random_blocks: int32 `[heads, rows, random]`.

    Returns:
        int32 `[heads, rows, 2 + 3 + random]`.
    """
    heads, rows, _ = random_blocks.shape
    ends = np.broadcast_to([0, rows + 1], [heads, rows, NUM_ENDS])
    window = window_blocks(heads, rows + NUM_ENDS)[:, 1:-1]
    return np.concatenate([ends, window, random_blocks], axis=-1).astype(np.int32)


def window_blocks(heads: int, blocks: int) -> np.ndarray:
    """The key blocks of each block: the one before, itself, the one after.

    The first and the last block, which lack a neighbour, name themselves twice.

    Args:
        heads: Attention heads, which are all given the same.
        blocks: Blocks of the sequence.

    Returns:
        int32 `[heads, blocks, 3]`.
    """
    neighbours = np.arange(blocks)[:, np.newaxis] + np.arange(WINDOW) - WINDOW // 2
    window = np.clip(neighbours, 0, blocks - 1).astype(np.int32)
    return np.broadcast_to(window, [heads, blocks, WINDOW])


def chunks_of(listed: np.ndarray, blocks: int, values_per_row: int) -> list[Chunk]:
    """Cut the rows into chunks of equal size, or nearly: as many rows as the device's memory suits.

    Args:
        listed: int32 `[heads, rows, listed]`, key blocks of each row.
        blocks: Blocks of the sequence, of which the rows are the central ones, or all.
        values_per_row: About how many float32 values one row of one head has at once.
    """
    heads, rows, _ = listed.shape
    before = (blocks - rows) // 2
    count = -(-rows // _rows_per_chunk(heads, values_per_row))
    # Chunks that each name a part of the blocks are summed by a scatter, whose order on a GPU is
    # another one each time.
    make = _chunk_of_all if count == 1 or device.is_gpu() else _chunk_of_distinct
    edges = np.linspace(0, rows, count + 1).round().astype(int)
    return [
        make(listed[:, first:stop], before + int(first), blocks)
        for first, stop in itertools.pairwise(edges)
    ]


def take_ends(x: tf.Tensor, block_size: int) -> tf.Tensor:
    """First and last block of `[group, tokens, size]`: `[group, 2 * block_size, size]`."""
    return tf.concat([x[:, :block_size], x[:, -block_size:]], axis=1)


def take_rows(x: tf.Tensor, chunk: Chunk, block_size: int) -> tf.Tensor:
    """A chunk's rows of `[group, tokens, size]`: `[group * rows, block_size, size]`."""
    first = chunk.first * block_size
    rows = x[:, first : first + chunk.num_rows * block_size]
    return tf.reshape(rows, [x.shape[0] * chunk.num_rows, block_size, x.shape[2]])


def join_ends(ends: tf.Tensor, rows: Sequence[tf.Tensor]) -> tf.Tensor:
    """Put together again what `take_ends` and `take_rows` took apart: `[group, tokens, size]`."""
    first, last = tf.split(ends, NUM_ENDS, axis=1)
    return tf.concat([first, *_by_head(rows, ends.shape[0]), last], axis=1)


def join_rows(rows: Sequence[tf.Tensor], group_size: int) -> tf.Tensor:
    """Put together again what `take_rows` took, of all chunks: `[group, rows * block_size, size]`.

    Args:
        rows: Of each chunk `[group * rows, block_size, size]`.
        group_size: Heads of the group.
    """
    return tf.concat(_by_head(rows, group_size), axis=1)


def take_blocks(x: tf.Tensor, blocks: tf.Tensor, block_size: int) -> tf.Tensor:
    """Some blocks of tokens for each row, side by side.

    Args:
        x: `[group, tokens, size]`.
        blocks: int32 `[group, rows, listed]`.
        block_size: Tokens per block.

    Returns:
        `[group * rows, listed * block_size, size]`.
    """
    tokens, size = x.shape[1:]
    flat = tf.reshape(x, [-1, tokens // block_size, block_size * size])
    num_listed = blocks.shape[2]
    return tf.reshape(tf.gather(flat, blocks, batch_dims=1), [-1, num_listed * block_size, size])


def sum_by_block(x: tf.Tensor, chunk: Chunk, group: HeadGroup, block_size: int) -> BlockSum:
    """Sum what a chunk's rows give to the same block: undoes `take_blocks` for a gradient.

    Args:
        x: `[group * rows, listed * block_size, size]`.
        chunk: The rows.
        group: The heads.
        block_size: Tokens per block.
    """
    rows = tf.reshape(x, [group.size, chunk.places.shape[1], block_size * x.shape[2]])
    by_block = sum_by_place(rows, group.take(chunk.places), chunk.distinct.shape[1])
    return BlockSum(by_block, None if chunk.has_all else chunk.distinct)


def sum_by_place(x: tf.Tensor, places: tf.Tensor, num_places: int) -> tf.Tensor:
    """Sum the rows that belong to the same place.

    A product with a matrix of zeros and ones: a scattered sum takes several times as long on a CPU,
    and on a GPU its order, and so its last digits, are other ones each time.

    Args:
        x: `[group, rows, size]`.
        places: int32 `[group, rows]`.
        num_places: How many there are.

    Returns:
        `[group, places, size]`.
    """
    [places] = hold_back([places], until=[x])  # or XLA keeps the ones in memory as a constant
    return tf.one_hot(places, num_places, axis=1) @ x


def add_chunk(sums: Sequence[BlockSum], more: BlockSum) -> list[BlockSum]:
    """The sums of some chunks and of one more; one sum where all are of all blocks."""
    if more.blocks is None and sums:
        return [BlockSum(sums[0].by_block + more.by_block, None)]
    return [*sums, more]


def sum_chunks(
    sums: Sequence[BlockSum], group: HeadGroup, length: int, block_size: int
) -> tf.Tensor:
    """What all rows give to all keys, values or relative keys.

    Args:
        sums: From `add_chunk`.
        group: The heads.
        length: How many keys there are.
        block_size: Keys per block.

    Returns:
        `[group, length, size]`.
    """
    if sums[0].blocks is None:
        [(total, _)] = sums
    else:  # each sum is of a part of the blocks; one head at a time
        by_block = tf.concat([x.by_block for x in sums], axis=1)[0]
        blocks = group.take(np.concatenate([x.blocks for x in sums], axis=1))[0]
        total = tf.math.unsorted_segment_sum(by_block, blocks, length // block_size)
    return tf.reshape(total, [group.size, length, -1])


def _by_head(rows: Sequence[tf.Tensor], group_size: int) -> list[tf.Tensor]:
    return [tf.reshape(x, [group_size, -1, x.shape[2]]) for x in rows]


def _rows_per_chunk(heads: int, values_per_row: int) -> int:
    if not device.is_gpu():
        return _CPU_ROWS_PER_CHUNK
    bytes_per_row = heads * values_per_row * tf.float32.size
    return max(1, int(GPU_CHUNK_BYTES // bytes_per_row))


def _chunk_of_all(listed: np.ndarray, first: int, num_blocks: int) -> Chunk:
    heads = len(listed)
    blocks = np.tile(np.arange(num_blocks, dtype=np.int32), [heads, 1])
    return Chunk(listed, first, blocks, listed.reshape(heads, -1), True, num_blocks)


def _chunk_of_distinct(listed: np.ndarray, first: int, num_blocks: int) -> Chunk:
    named = listed.reshape(listed.shape[0], -1)  # [heads, rows * listed]
    by_head = [np.unique(blocks) for blocks in named]
    distinct = np.full([len(named), max(map(len, by_head))], -1, np.int32)
    for head, blocks in enumerate(by_head):
        distinct[head, : len(blocks)] = blocks
    places = [np.searchsorted(*pair) for pair in zip(by_head, named, strict=True)]
    return Chunk(listed, first, distinct, np.stack(places).astype(np.int32), False, num_blocks)
