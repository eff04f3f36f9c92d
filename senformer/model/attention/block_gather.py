"""What the sparse kinds share: which queries go together, which key blocks they meet, and back.

The two ends, the first and the last block of queries, attend to all keys. The rows, the blocks of
queries between them, attend to the two ends as keys and to the blocks near them: their window and
their random blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

MASKED = np.float32(-1e30)
"""Added to a logit, it leaves no weight."""

WINDOW = 3
"""Blocks of the window: the one before, the block itself, the one after."""

_ROWS_PER_CHUNK = 16  # of 4 to 96, what took the least time at 6,144 tokens


class Chunk(NamedTuple):
    """Neighbouring rows that are computed together. Row `r` is block `r + 1`.

    Attributes:
        near: int32 `[heads, rows, near]`, the key blocks near each row, its window first.
        first: Its first row.
        touched: int32 `[heads, touched]`, the distinct blocks of `near`, -1 where a head has fewer
            than another.
        places: int32 `[heads, rows * near]`, where in `touched` each block of `near` is.
    """

    near: np.ndarray
    first: int
    touched: np.ndarray
    places: np.ndarray

    @property
    def num_rows(self) -> int:
        """Rows of the chunk."""
        return self.near.shape[1]


class KeyGradient(NamedTuple):
    """What the queries of a chunk give to the keys (or to the values) of one head.

    Attributes:
        touched: `[touched, block_size * size]`, to the blocks near them.
        ends: `[2 * block_size, size]`, to the first and the last block.
    """

    touched: tf.Tensor
    ends: tf.Tensor


def near_blocks(random_blocks: np.ndarray) -> np.ndarray:
    """The key blocks near each row: its window, then its random blocks.

    Args:
        random_blocks: int32 `[heads, rows, random]`.

    Returns:
        int32 `[heads, rows, 3 + random]`.
    """
    heads, rows, _ = random_blocks.shape
    window = np.arange(rows)[:, np.newaxis] + np.arange(WINDOW)  # [rows, 3]
    window = np.broadcast_to(window, [heads, rows, WINDOW])
    return np.concatenate([window, random_blocks], axis=-1).astype(np.int32)


def chunks_of(near: np.ndarray) -> list[Chunk]:
    """Cut the rows into chunks of equal size, or nearly.

    Args:
        near: int32 `[heads, rows, near]`, key blocks of each row.
    """
    heads, rows, _ = near.shape
    count = -(-rows // _ROWS_PER_CHUNK)
    if count == 1:  # then all blocks are touched, in order
        touched = np.tile(np.arange(rows + 2, dtype=np.int32), [heads, 1])
        return [Chunk(near, 0, touched, near.reshape(heads, -1))]
    edges = np.linspace(0, rows, count + 1).round().astype(int)
    return [_chunk(near[:, first:stop], int(first)) for first, stop in itertools.pairwise(edges)]


def take_ends(x: tf.Tensor, block_size: int) -> tf.Tensor:
    """First and last block of `[tokens, size]`: `[2 * block_size, size]`."""
    return tf.concat([x[:block_size], x[-block_size:]], axis=0)


def take_rows(x: tf.Tensor, chunk: Chunk, block_size: int) -> tf.Tensor:
    """A chunk's rows of `[tokens, size]`: `[rows * block_size, size]`."""
    first = (chunk.first + 1) * block_size
    return x[first : first + chunk.num_rows * block_size]


def join_ends(ends: tf.Tensor, rows: Sequence[tf.Tensor]) -> tf.Tensor:
    """Put together again what `take_ends` and `take_rows` took apart: `[tokens, size]`."""
    first, last = tf.split(ends, 2)
    return tf.concat([first, *rows, last], axis=0)


def take_near(x: tf.Tensor, near: tf.Tensor, block_size: int) -> tf.Tensor:
    """The blocks near each row, side by side.

    Args:
        x: `[tokens, size]`.
        near: int32 `[rows, near]`.
        block_size: Tokens per block.

    Returns:
        `[rows, near * block_size, size]`.
    """
    blocks = tf.reshape(x, [-1, block_size * x.shape[1]])
    rows, num_near = near.shape
    return tf.reshape(tf.gather(blocks, near), [rows, num_near * block_size, x.shape[1]])


def sum_touched(x: tf.Tensor, places: tf.Tensor, num_touched: int) -> tf.Tensor:
    """Sum what the rows of a chunk give to the same block: undoes `take_near` for a gradient.

    A product with a matrix of zeros and ones: a scattered sum takes several times as long.

    Args:
        x: `[rows, near * block_size, size]`.
        places: int32 `[rows * near]`, where each block of `x` belongs.
        num_touched: How many places there are.

    Returns:
        `[touched, block_size * size]`.
    """
    ones = tf.one_hot(places, num_touched, axis=0)  # [touched, rows * near]
    return ones @ tf.reshape(x, [places.shape[0], -1])


def sum_key_gradients(
    of_ends: tf.Tensor,
    of_chunks: Sequence[KeyGradient],
    touched: Sequence[tf.Tensor],
    block_size: int,
) -> tf.Tensor:
    """The gradient with respect to the keys (or values) of one head.

    Args:
        of_ends: `[tokens, size]`, what the queries at the two ends give.
        of_chunks: What the rows give.
        touched: Of each chunk, int32 `[touched]`; what belongs to block -1 is dropped.
        block_size: Tokens per block.

    Returns:
        `[tokens, size]`.
    """
    tokens, size = of_ends.shape
    if len(of_chunks) == 1:
        near = of_chunks[0].touched
    else:
        near = tf.math.unsorted_segment_sum(
            tf.concat([chunk.touched for chunk in of_chunks], axis=0),
            tf.concat(touched, axis=0),
            tokens // block_size,
        )
    total = of_ends + tf.reshape(near, [tokens, size])
    first, last = tf.split(tf.add_n([chunk.ends for chunk in of_chunks]), 2)
    return tf.concat(
        [
            total[:block_size] + first,
            total[block_size:-block_size],
            total[-block_size:] + last,
        ],
        axis=0,
    )


def _chunk(near: np.ndarray, first: int) -> Chunk:
    named = near.reshape(near.shape[0], -1)  # [heads, rows * near]
    distinct = [np.unique(blocks) for blocks in named]
    touched = np.full([len(named), max(map(len, distinct))], -1, np.int32)
    for head, blocks in enumerate(distinct):
        touched[head, : len(blocks)] = blocks
    places = [np.searchsorted(*pair) for pair in zip(distinct, named, strict=True)]
    return Chunk(near, first, touched, np.stack(places).astype(np.int32))
