"""Logits by relative position, and their gradient, by slices and pads alone.

A relative key belongs to one distance between a key and a query. Here row `t` of some relative keys
is at the position of key `j` of query `i` where `t = j - i + queries`; row 0 is never met. So the
relative keys of neighbouring queries are the same rows, shifted by one.
"""

from __future__ import annotations

import tensorflow as tf

from senformer.model.speed.xla import compiled_without_onednn


@compiled_without_onednn
def position_products(query: tf.Tensor, relative_key: tf.Tensor) -> tf.Tensor:
    """Products of queries with relative keys, of which `by_key` makes logits.

    Args:
        query: `[..., queries, size]`.
        relative_key: `[..., queries + keys, size]`, or without leading dimensions where all
            queries are at the same distances from their keys.

    Returns:
        `[..., queries, queries + keys]`.
    """
    if relative_key.shape.rank == 2:
        flat = tf.matmul(_rows(query), relative_key, transpose_b=True)
        return tf.reshape(flat, [*query.shape[:-1], relative_key.shape[0]])
    return tf.matmul(query, relative_key, transpose_b=True)


def by_key(products: tf.Tensor) -> tf.Tensor:
    """Of the products of queries with relative keys, those at their distances from each key.

    Read in rows one element shorter, from the first position that occurs, each row starts one
    position before the row above it. Compiled with what follows, this costs no pass over memory.

    Args:
        products: `[..., queries, queries + keys]`, from `position_products`.

    Returns:
        `[..., queries, keys]`.

    Source: Dai et al. 2019 (Transformer-XL), appendix B.
    """
    *leading, queries, positions = products.shape
    flat = tf.reshape(products, [*leading, queries * positions])[..., queries:]
    return tf.reshape(flat, [*leading, queries, positions - 1])[..., : positions - queries]


@compiled_without_onednn
def relative_logits_gradient(
    query: tf.Tensor, relative_key: tf.Tensor, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradient of `by_key(position_products(query, relative_key))`.

    Args:
        query: `[..., queries, size]`.
        relative_key: `[..., queries + keys, size]`, or without leading dimensions.
        upstream: `[..., queries, keys]`.

    Returns:
        Gradients with respect to the query and the relative key, of the leading dimensions of
        `upstream` but for a relative key that has none.
    """
    by_position = _shift_back(upstream)
    if relative_key.shape.rank == 2:
        flat = _rows(by_position)
        return (
            tf.reshape(flat @ relative_key, query.shape),
            tf.matmul(flat, _rows(query), transpose_a=True),
        )
    return tf.matmul(by_position, relative_key), tf.matmul(by_position, query, transpose_a=True)


def _rows(x: tf.Tensor) -> tf.Tensor:
    """`[..., size]` to `[rows, size]`."""
    return tf.reshape(x, [-1, x.shape[-1]])


def _shift_back(logits: tf.Tensor) -> tf.Tensor:
    """`[..., queries, keys]` by key to `[..., queries, queries + keys]` by position."""
    *leading, queries, keys = logits.shape
    unpadded = [[0, 0]] * len(leading)
    padded = tf.pad(logits, [*unpadded, [0, 0], [0, queries - 1]])
    flat = tf.reshape(padded, [*leading, queries * (queries + keys - 1)])
    flat = tf.pad(flat, [*unpadded, [queries, 0]])
    return tf.reshape(flat, [*leading, queries, queries + keys])
