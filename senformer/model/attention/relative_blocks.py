"""Logits by position for BigBird's pattern, and their gradients, a head at a time.

A pair of blocks at one offset always meets the same two blocks of relative keys; the window of
every row is at the same offsets and meets the same four.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.model.attention.block_gather import WINDOW, Chunk, take_ends, take_near, take_rows
from senformer.model.attention.relative_shift import (
    by_key,
    position_products,
    relative_logits_gradient,
)
from senformer.model.speed.xla import compiled

NUM_ENDS = 2
"""Blocks at the ends, which attend to everything and to which everything attends."""


class HeadArrays(NamedTuple):
    """One head of one sequence.

    Attributes:
        number: Number of the pair of head and sequence, an int32 scalar.
        head: Number of the head, an int32 scalar.
        by_content: `[tokens, key_size]`, the queries that meet keys.
        by_position: `[tokens, key_size]`, the queries that meet relative keys.
        key: `[tokens, key_size]`.
        value: `[tokens, value_size]`.
        relative_key: `[2 tokens, key_size]`, row `p` at position `p - tokens`.
    """

    number: tf.Tensor
    head: tf.Tensor
    by_content: tf.Tensor
    by_position: tf.Tensor
    key: tf.Tensor
    value: tf.Tensor
    relative_key: tf.Tensor


class RelativeKeyGradient(NamedTuple):
    """What the rows of a chunk give to the relative keys of one head.

    Attributes:
        window: `[4 * block_size, key_size]`, to those of the window.
        far: `[pairs * 2, block_size * key_size]`, to blocks of relative keys.
        far_blocks: int32 `[pairs * 2]`, to which.
    """

    window: tf.Tensor
    far: tf.Tensor
    far_blocks: tf.Tensor


def end_biases(arrays: HeadArrays, size: int) -> tf.Tensor:
    """Logits by position of the two ends: `[1, tokens, 2 * block_size]`."""
    first, last = tf.split(take_ends(arrays.by_position, size), NUM_ENDS)
    of_first, of_last = _relative_keys_of_ends(arrays, size)
    return _logits_of_ends(position_products(first, of_first), position_products(last, of_last))


def end_biases_gradient(
    arrays: HeadArrays, upstream: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradients with respect to the ends' queries and to all relative keys."""
    tokens = arrays.key.shape[0]
    first, last = tf.split(take_ends(arrays.by_position, size), NUM_ENDS)
    of_first, of_last = _relative_keys_of_ends(arrays, size)
    first_upstream, last_upstream = tf.split(tf.transpose(upstream[0]), NUM_ENDS)
    first, of_first = relative_logits_gradient(first, of_first, first_upstream)
    last, of_last = relative_logits_gradient(last, of_last, last_upstream)
    padding = tokens - size
    of_relative_key = tf.pad(of_first, [[padding, 0], [0, 0]]) + tf.pad(
        of_last, [[0, padding], [0, 0]]
    )
    return tf.concat([first, last], axis=0), of_relative_key


def _relative_keys_of_ends(arrays: HeadArrays, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """What the first and the last block of queries meet: `[block_size + tokens, key_size]`."""
    tokens = arrays.key.shape[0]
    return arrays.relative_key[tokens - size :], arrays.relative_key[: tokens + size]


def row_biases(
    arrays: HeadArrays, chunk: Chunk, mask: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits by position of a chunk's rows.

    Returns:
        For the blocks near them, masked, `[rows, near * block_size, block_size]`; for the two ends,
        `[1, 2 * block_size, rows * block_size]`.
    """
    rows = chunk.near.shape[1]
    query = tf.reshape(take_rows(arrays.by_position, chunk, size), [rows, size, -1])
    window = position_products(query, _relative_keys_of_window(arrays, size))
    far = position_products(query[:, tf.newaxis], _relative_keys_of_far(arrays, chunk, size))
    return _logits_of_rows(window, far, mask)


def row_biases_gradient(
    arrays: HeadArrays, near: tf.Tensor, ends: tf.Tensor, chunk: Chunk, size: int
) -> tuple[tf.Tensor, RelativeKeyGradient]:
    """Gradients with respect to the rows' queries and to relative keys."""
    rows = chunk.near.shape[1]
    query = tf.reshape(take_rows(arrays.by_position, chunk, size), [rows, size, -1])
    window = tf.transpose(near[:, : WINDOW * size], [0, 2, 1])
    random = tf.reshape(near[:, WINDOW * size :], [rows, -1, size, size])
    ends = tf.reshape(ends, [NUM_ENDS, size, rows, size])
    far = tf.concat([tf.transpose(ends, [2, 0, 3, 1]), tf.transpose(random, [0, 1, 3, 2])], axis=1)
    by_window, of_window = relative_logits_gradient(
        query, _relative_keys_of_window(arrays, size), window
    )
    by_far, of_far = relative_logits_gradient(
        query[:, tf.newaxis], _relative_keys_of_far(arrays, chunk, size), far
    )
    of_query = tf.reshape(by_window + tf.reduce_sum(by_far, axis=1), [rows * size, -1])
    far_blocks = tf.reshape(_far_blocks(arrays, chunk, size), [-1])
    of_far = tf.reshape(of_far, [far_blocks.shape[0], -1])
    return of_query, RelativeKeyGradient(of_window, of_far, far_blocks)


def _relative_keys_of_window(arrays: HeadArrays, size: int) -> tf.Tensor:
    """`[block_size + 3 * block_size, key_size]`, the same for every row."""
    tokens = arrays.key.shape[0]
    return arrays.relative_key[tokens - 2 * size : tokens + 2 * size]


def _relative_keys_of_far(arrays: HeadArrays, chunk: Chunk, size: int) -> tf.Tensor:
    """`[rows, 2 + random, 2 * block_size, key_size]`, of the two ends and the random blocks."""
    blocks = _far_blocks(arrays, chunk, size)
    rows, num_far, _ = blocks.shape
    met = take_near(arrays.relative_key, tf.reshape(blocks, [rows, num_far * 2]), size)
    return tf.reshape(met, [rows, num_far, 2 * size, -1])


def _far_blocks(arrays: HeadArrays, chunk: Chunk, size: int) -> tf.Tensor:
    """Blocks of relative keys that each row meets: int32 `[rows, 2 + random, 2]`."""
    heads, rows, _ = chunk.near.shape
    last = arrays.key.shape[0] // size - 1
    ends = np.broadcast_to([0, last], [heads, rows, NUM_ENDS])
    key_blocks = np.concatenate([ends, chunk.near[..., WINDOW:]], axis=-1)
    query_blocks = chunk.first + 1 + np.arange(rows)
    first = key_blocks - query_blocks[:, np.newaxis] + last  # [heads, rows, 2 + random]
    return tf.constant(np.stack([first, first + 1], axis=-1), tf.int32)[arrays.head]


def sum_relative_key_gradients(
    of_ends: tf.Tensor, of_chunks: Sequence[RelativeKeyGradient], size: int
) -> tf.Tensor:
    """`[2 tokens, key_size]`, from what the queries at the ends and each chunk's rows give."""
    num_positions, key_size = of_ends.shape
    around = num_positions // 2 - 2 * size  # positions on either side of the window's
    window = tf.add_n([chunk.window for chunk in of_chunks])
    far = tf.math.unsorted_segment_sum(
        tf.concat([chunk.far for chunk in of_chunks], axis=0),
        tf.concat([chunk.far_blocks for chunk in of_chunks], axis=0),
        num_positions // size,
    )
    far = tf.reshape(far, [num_positions, key_size])
    return of_ends + far + tf.pad(window, [[around, around], [0, 0]])


# From products with relative keys, queries first, to logits, keys first: compiled, one pass over
# memory instead of five.


@compiled
def _logits_of_ends(first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """`[block_size, block_size + tokens]` each to `[1, tokens, 2 * block_size]`."""
    return tf.transpose(tf.concat([by_key(first), by_key(last)], axis=0))[tf.newaxis]


@compiled
def _logits_of_rows(
    window: tf.Tensor, far: tf.Tensor, mask: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Those of `row_biases`.

    Args:
        window: `[rows, block_size, 4 * block_size]`.
        far: `[rows, 2 + random, block_size, 2 * block_size]`, the two ends first.
        mask: `[rows, near, 1, 1]`, added to the blocks near a row.
    """
    rows, num_far, size, _ = far.shape
    window = tf.transpose(by_key(window), [0, 2, 1])  # [rows, key, query]
    far = by_key(far)  # [rows, block, query, key]
    ends = tf.transpose(far[:, :NUM_ENDS], [1, 3, 0, 2])  # [2, key, rows, query]
    random = tf.transpose(far[:, NUM_ENDS:], [0, 1, 3, 2])  # [rows, block, key, query]
    random = tf.reshape(random, [rows, (num_far - NUM_ENDS) * size, size])
    near = tf.concat([window, random], axis=1)
    near = tf.reshape(tf.reshape(near, [rows, -1, size, size]) + mask, near.shape)
    return near, tf.reshape(ends, [1, NUM_ENDS * size, rows * size])
