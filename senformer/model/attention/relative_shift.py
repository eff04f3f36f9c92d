"""From logits by relative position to logits by key, and back, by slices and pads alone.

A relative key belongs to one distance between a key and a query. Here row `t` of some relative keys
is at the position of key `j` of query `i` where `t = j - i + queries`; row 0 is never met. So the
relative keys of neighbouring queries are the same rows, shifted by one.
"""

from __future__ import annotations

import tensorflow as tf


def by_key(products: tf.Tensor) -> tf.Tensor:
    """Of the products of queries with relative keys, those at their distances from each key.

    Read in rows one element shorter, from the first position that occurs, each row starts one
    position before the row above it. Compiled with what follows, this costs no pass over memory.

    Args:
        products: `[..., queries, queries + keys]`.

    Returns:
        `[..., queries, keys]`.

    Source: Dai et al. 2019 (Transformer-XL), appendix B.
    """
    *leading, queries, positions = products.shape
    flat = tf.reshape(products, [*leading, queries * positions])[..., queries:]
    return tf.reshape(flat, [*leading, queries, positions - 1])[..., : positions - queries]


def by_position(logits: tf.Tensor) -> tf.Tensor:
    """The gradient of `by_key`: each key's value at its distance from the query, zeros elsewhere.

    Args:
        logits: `[..., queries, keys]`.

    Returns:
        `[..., queries, queries + keys]`.
    """
    *leading, queries, keys = logits.shape
    unpadded = [[0, 0]] * len(leading)
    padded = tf.pad(logits, [*unpadded, [0, 0], [0, queries - 1]])
    flat = tf.reshape(padded, [*leading, queries * (queries + keys - 1)])
    flat = tf.pad(flat, [*unpadded, [queries, 0]])
    return tf.reshape(flat, [*leading, queries, queries + keys])
