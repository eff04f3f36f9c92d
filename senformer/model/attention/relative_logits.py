"""Compute attention logits by relative position, and their gradients.

Key `j` of query `i` is at relative position `j - i`. The relative keys of a set of queries and keys
are ordered so that row `j - i + queries` belongs to query `i` and key `j`; row 0 is not used. The
relative keys of neighbouring queries are then the same rows, shifted by one.
"""

from __future__ import annotations

import tensorflow as tf

from senformer.model.compute.xla import compiled, compiled_without_onednn

RELATIVE_BLOCKS = 2
"""Blocks of relative keys that one query block and one key block need."""


def shift_to_keys(products: tf.Tensor) -> tf.Tensor:
    """Turn products of queries with relative keys into logits by key.

    Read in rows one element shorter, from the first position in use, each row starts one position
    before the row above it. This needs no gather, and no pass over memory if XLA compiles it.

    Args:
        products: `[..., queries, queries + keys]`.

    Returns:
        `[..., queries, keys]`.

    Source: Dai et al. 2019 (Transformer-XL), appendix B.
    """
    *leading, queries, positions = products.shape
    leading[0] = -1  # the batch size may be unknown
    flat = tf.reshape(products, [*leading, queries * positions])
    shifted = tf.reshape(
        _slice_last_axis(flat, queries, queries * (positions - 1)),
        [*leading, queries, positions - 1],
    )
    return _slice_last_axis(shifted, 0, positions - queries)


def shift_to_positions(logits: tf.Tensor) -> tf.Tensor:
    """Compute the gradient of `shift_to_keys`: put each key's value at its relative position.

    Args:
        logits: `[..., queries, keys]`.

    Returns:
        `[..., queries, queries + keys]`, zero where a query has no key.
    """
    *leading, queries, keys = logits.shape
    unpadded = [[0, 0]] * len(leading)
    padded = tf.pad(logits, [*unpadded, [0, 0], [0, queries - 1]])
    flat = tf.reshape(padded, [*leading, queries * (queries + keys - 1)])
    flat = tf.pad(flat, [*unpadded, [queries, 0]])
    return tf.reshape(flat, [*leading, queries, queries + keys])


def global_logits(query: tf.Tensor, relative_key: tf.Tensor) -> tf.Tensor:
    """Compute logits by position between the two global query blocks and all keys.

    Args:
        query: `[group, 2 * block_size, key_size]`, the first and the last block.
        relative_key: `[group, 2 tokens, key_size]`, row `p` at position `p - tokens`.

    Returns:
        `[group, tokens, 2 * block_size]`.
    """
    query, relative_key = _split_global_blocks(query, relative_key)
    return _shift_global(tf.matmul(query, relative_key, transpose_b=True))


def global_logits_gradient(
    query: tf.Tensor, relative_key: tf.Tensor, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute the gradients of `global_logits` with respect to the queries and relative keys."""
    queries_by_block, relative_by_block = _split_global_blocks(query, relative_key)
    products = _shift_global_back(upstream)
    query_gradient = tf.reshape(products @ relative_by_block, query.shape)
    first, last = tf.unstack(tf.matmul(products, queries_by_block, transpose_a=True), axis=1)
    padding = relative_key.shape[1] - first.shape[1]
    first = tf.pad(first, [[0, 0], [padding, 0], [0, 0]])
    last = tf.pad(last, [[0, 0], [0, padding], [0, 0]])
    return query_gradient, first + last


def block_logits(query: tf.Tensor, relative_key: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Compute masked logits by position between query blocks and their key blocks.

    Args:
        query: `[sets, block_size, key_size]`, one query block per set.
        relative_key: `[sets, key_blocks * 2 * block_size, key_size]`, two blocks of relative keys
            for each key block.
        mask: `[sets, key_blocks]`, added to the logits of a key block.

    Returns:
        `[sets, key_blocks * block_size, block_size]`.
    """
    return _shift_blocks(_products(query, relative_key), mask)


def block_logits_gradient(
    query: tf.Tensor, relative_key: tf.Tensor, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute the gradients of `block_logits` with respect to the queries and relative keys."""
    return _products_gradient(query, relative_key, _shift_blocks_back(upstream))


def _slice_last_axis(x: tf.Tensor, begin: int, size: int) -> tf.Tensor:
    # A slice, not a subscript: the gradient of a subscript takes far longer on a CPU.
    other_axes = x.shape.rank - 1
    return tf.slice(x, [0] * other_axes + [begin], [-1] * other_axes + [size])


def _split_global_blocks(query: tf.Tensor, relative_key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Split queries by block and stack the relative keys of each of the two blocks.

    Returns:
        `[group, 2, block_size, key_size]` and `[group, 2, block_size + tokens, key_size]`.
    """
    group, queries, key_size = query.shape
    size, tokens = queries // 2, relative_key.shape[1] // 2
    by_block = [relative_key[:, tokens - size :], relative_key[:, : tokens + size]]
    return tf.reshape(query, [group, 2, size, key_size]), tf.stack(by_block, axis=1)


@compiled_without_onednn
def _products(query: tf.Tensor, relative_key: tf.Tensor) -> tf.Tensor:
    return tf.matmul(query, relative_key, transpose_b=True)


@compiled_without_onednn
def _products_gradient(
    query: tf.Tensor, relative_key: tf.Tensor, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    return upstream @ relative_key, tf.matmul(upstream, query, transpose_a=True)


# Products have queries first, logits have keys first. Compiled, the change of layout is one pass
# over memory instead of five.


@compiled
def _shift_global(products: tf.Tensor) -> tf.Tensor:
    """Turn `[group, 2, block_size, block_size + tokens]` into `[group, tokens, 2 * block_size]`."""
    group, _, size, positions = products.shape
    logits = tf.transpose(shift_to_keys(products), [0, 3, 1, 2])
    return tf.reshape(logits, [group, positions - size, 2 * size])


@compiled
def _shift_global_back(logits: tf.Tensor) -> tf.Tensor:
    """Compute the gradient of `_shift_global`."""
    group, tokens, queries = logits.shape
    logits = tf.reshape(logits, [group, tokens, 2, queries // 2])
    return shift_to_positions(tf.transpose(logits, [0, 2, 3, 1]))


@compiled
def _shift_blocks(products: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Turn products `[sets, block_size, key_blocks * 2 * block_size]` into masked logits."""
    sets, size, _ = products.shape
    pairs = tf.reshape(products, [sets, size, -1, RELATIVE_BLOCKS * size])
    logits = shift_to_keys(tf.transpose(pairs, [0, 2, 1, 3]))  # [sets, key_blocks, query, key]
    logits = tf.transpose(logits, [0, 1, 3, 2]) + mask[..., tf.newaxis, tf.newaxis]
    return tf.reshape(logits, [sets, -1, size])


@compiled
def _shift_blocks_back(logits: tf.Tensor) -> tf.Tensor:
    """Compute the gradient of `_shift_blocks`."""
    sets, _, size = logits.shape
    pairs = tf.transpose(tf.reshape(logits, [sets, -1, size, size]), [0, 1, 3, 2])
    products = tf.transpose(shift_to_positions(pairs), [0, 2, 1, 3])
    return tf.reshape(products, [sets, size, -1])
