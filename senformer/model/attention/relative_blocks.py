"""Logits by position for a pattern of blocks, and their gradients.

A pair of blocks, one of queries and one of keys, meets two neighbouring blocks of relative keys, by
the pair's offset alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.model.attention.block_gather import (
    NUM_ENDS,
    BlockSum,
    Chunk,
    sum_by_place,
    take_blocks,
    take_ends,
    take_rows,
)
from senformer.model.attention.heads import HeadGroup
from senformer.model.attention.relative_shift import by_key, by_position
from senformer.model.compute.xla import compiled, compiled_without_onednn

_MET = 2  # blocks of relative keys that a pair of blocks meets


class HeadArrays(NamedTuple):
    """The heads that are computed together.

    Attributes:
        group: Which they are.
        by_content: `[group, tokens, key_size]`, the queries that meet keys.
        by_position: `[group, tokens, key_size]`, the queries that meet relative keys.
        key: `[group, tokens, key_size]`.
        value: `[group, tokens, value_size]`.
        relative_key: `[group, 2 tokens, key_size]`, row `p` at position `p - tokens`.
    """

    group: HeadGroup
    by_content: tf.Tensor
    by_position: tf.Tensor
    key: tf.Tensor
    value: tf.Tensor
    relative_key: tf.Tensor


def end_biases(arrays: HeadArrays, size: int) -> tf.Tensor:
    """Logits by position of the two ends: `[group, tokens, 2 * block_size]`."""
    query, relative_key = _queries_of_ends(arrays, size), _relative_keys_of_ends(arrays, size)
    return _end_logits(tf.matmul(query, relative_key, transpose_b=True))


def end_biases_gradient(
    arrays: HeadArrays, upstream: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradients with respect to the ends' queries and to all relative keys.

    Args:
        arrays: The heads.
        upstream: `[group, tokens, 2 * block_size]`.
        size: Tokens per block.
    """
    query, relative_key = _queries_of_ends(arrays, size), _relative_keys_of_ends(arrays, size)
    group, tokens, key_size = arrays.key.shape
    products = _end_products(upstream)
    query_gradient = tf.reshape(products @ relative_key, [group, NUM_ENDS * size, key_size])
    first, last = tf.unstack(tf.matmul(products, query, transpose_a=True), axis=1)
    padding = tokens - size
    return query_gradient, tf.pad(first, [[0, 0], [padding, 0], [0, 0]]) + tf.pad(
        last, [[0, 0], [0, padding], [0, 0]]
    )


def _queries_of_ends(arrays: HeadArrays, size: int) -> tf.Tensor:
    """`[group, 2, block_size, key_size]`."""
    group, _, key_size = arrays.key.shape
    return tf.reshape(take_ends(arrays.by_position, size), [group, NUM_ENDS, size, key_size])


def _relative_keys_of_ends(arrays: HeadArrays, size: int) -> tf.Tensor:
    """What the first and the last block meet: `[group, 2, block_size + tokens, key_size]`."""
    tokens = arrays.key.shape[1]
    return tf.stack(
        [arrays.relative_key[:, tokens - size :], arrays.relative_key[:, : tokens + size]], axis=1
    )


def row_biases(arrays: HeadArrays, chunk: Chunk, mask: tf.Tensor, size: int) -> tf.Tensor:
    """Logits by position of a chunk's rows, `[group * rows, listed * block_size, block_size]`.

    Args:
        arrays: The heads.
        chunk: The rows.
        mask: `[group * rows, listed, 1, 1]`, added to the blocks listed for a row.
        size: Tokens per block.
    """
    query = take_rows(arrays.by_position, chunk, size)
    return _row_logits(_position_products(query, _relative_keys_of_rows(arrays, chunk, size)), mask)


def row_biases_gradient(
    arrays: HeadArrays, upstream: tf.Tensor, chunk: Chunk, size: int
) -> tuple[tf.Tensor, BlockSum]:
    """Gradients with respect to the rows' queries and to relative keys.

    Args:
        arrays: The heads.
        upstream: `[group * rows, listed * block_size, block_size]`.
        chunk: The rows.
        size: Tokens per block.
    """
    query_gradient, met = _position_products_gradient(
        take_rows(arrays.by_position, chunk, size),
        _relative_keys_of_rows(arrays, chunk, size),
        _row_products(upstream),
    )
    blocks = _met_blocks(chunk)
    blocks = blocks.reshape(len(blocks), -1)
    met = tf.reshape(met, [arrays.group.size, blocks.shape[1], -1])
    if not chunk.has_all:
        return query_gradient, BlockSum(met, blocks)
    by_block = sum_by_place(met, arrays.group.take(blocks), 2 * chunk.num_blocks)
    return query_gradient, BlockSum(by_block, None)


def _relative_keys_of_rows(arrays: HeadArrays, chunk: Chunk, size: int) -> tf.Tensor:
    """`[group * rows, listed * 2 * block_size, key_size]`, two blocks for each block listed."""
    return take_blocks(arrays.relative_key, arrays.group.take(_met_blocks(chunk)), size)


def _met_blocks(chunk: Chunk) -> np.ndarray:
    """Blocks of relative keys that each row meets: int32 `[heads, rows, listed * 2]`."""
    first = chunk.listed - chunk.query_blocks[:, np.newaxis] + chunk.num_blocks - 1
    met = first[..., np.newaxis] + np.arange(_MET)  # [heads, rows, listed, 2]
    return met.reshape(*chunk.listed.shape[:2], -1).astype(np.int32)


@compiled_without_onednn
def _position_products(query: tf.Tensor, relative_key: tf.Tensor) -> tf.Tensor:
    return tf.matmul(query, relative_key, transpose_b=True)


@compiled_without_onednn
def _position_products_gradient(
    query: tf.Tensor, relative_key: tf.Tensor, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    return upstream @ relative_key, tf.matmul(upstream, query, transpose_a=True)


# From products with relative keys, queries first, to logits, keys first, and back: compiled, one
# pass over memory instead of five.


@compiled
def _end_logits(products: tf.Tensor) -> tf.Tensor:
    """`[group, 2, block_size, block_size + tokens]` to `[group, tokens, 2 * block_size]`."""
    group, _, size, positions = products.shape
    logits = tf.transpose(by_key(products), [0, 3, 1, 2])
    return tf.reshape(logits, [group, positions - size, NUM_ENDS * size])


@compiled
def _end_products(logits: tf.Tensor) -> tf.Tensor:
    """The gradient of `_end_logits`."""
    group, tokens, queries = logits.shape
    logits = tf.reshape(logits, [group, tokens, NUM_ENDS, queries // NUM_ENDS])
    return by_position(tf.transpose(logits, [0, 2, 3, 1]))


@compiled
def _row_logits(products: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """`[sets, block_size, listed * 2 * block_size]` to the logits of `row_biases`."""
    sets, size, _ = products.shape
    pairs = tf.reshape(products, [sets, size, -1, _MET * size])
    by_pair = by_key(tf.transpose(pairs, [0, 2, 1, 3]))  # [sets, listed, query, key]
    logits = tf.transpose(by_pair, [0, 1, 3, 2]) + mask
    return tf.reshape(logits, [sets, -1, size])


@compiled
def _row_products(logits: tf.Tensor) -> tf.Tensor:
    """The gradient of `_row_logits`."""
    sets, _, size = logits.shape
    by_pair = tf.transpose(tf.reshape(logits, [sets, -1, size, size]), [0, 1, 3, 2])
    products = tf.transpose(by_position(by_pair), [0, 2, 1, 3])
    return tf.reshape(products, [sets, size, -1])
