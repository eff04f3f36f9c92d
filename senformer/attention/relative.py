"""Logits by relative position, and their gradient, by slices and pads alone.

A relative key belongs to one distance between a key and a query. Here row `t` of some relative keys
is at the position of key `j` of query `i` where `t = j - i + queries`; row 0 is never met. So the
relative keys of neighbouring queries are the same rows, shifted by one.
"""

from __future__ import annotations

import tensorflow as tf


def relative_logits(query: tf.Tensor, relative_key: tf.Tensor) -> tf.Tensor:
    """Products of queries with the relative keys at their distances from each key.

    Args:
        query: `[..., queries, size]`.
        relative_key: `[..., queries + keys, size]`; leading dimensions broadcast.

    Returns:
        `[..., queries, keys]`.

    Source: Dai et al. 2019 (Transformer-XL), appendix B.
    """
    return _shift(tf.matmul(query, relative_key, transpose_b=True))


def relative_logits_gradient(
    query: tf.Tensor, relative_key: tf.Tensor, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradient of `relative_logits`.

    Args:
        query: `[..., queries, size]`.
        relative_key: `[..., queries + keys, size]`.
        upstream: `[..., queries, keys]`.

    Returns:
        Gradients with respect to the query and, not summed over a dimension that was broadcast, to
        the relative key.
    """
    by_position = _shift_back(upstream)
    return tf.matmul(by_position, relative_key), tf.matmul(by_position, query, transpose_a=True)


def _shift(logits: tf.Tensor) -> tf.Tensor:
    """`[..., queries, queries + keys]` by position to `[..., queries, keys]` by key.

    Read in rows one element shorter, from the first position that occurs, each row starts one
    position before the row above it.
    """
    *leading, queries, positions = logits.shape
    flat = tf.reshape(logits, [*leading, queries * positions])[..., queries:]
    return tf.reshape(flat, [*leading, queries, positions - 1])[..., : positions - queries]


def _shift_back(logits: tf.Tensor) -> tf.Tensor:
    """`[..., queries, keys]` by key to `[..., queries, queries + keys]` by position."""
    *leading, queries, keys = logits.shape
    unpadded = [[0, 0]] * len(leading)
    padded = tf.pad(logits, [*unpadded, [0, 0], [0, queries - 1]])
    flat = tf.reshape(padded, [*leading, queries * (queries + keys - 1)])
    flat = tf.pad(flat, [*unpadded, [queries, 0]])
    return tf.reshape(flat, [*leading, queries, queries + keys])
