"""Attention of some queries to several pieces of keys, and its gradient, weights computed again.

A piece is a set of keys in a layout of its own: as a batch of small sets, one per block of queries,
or as one set that all queries share. The softmax runs over all pieces together.

Logits and weights are `[batch, keys, queries]`, keys first: a product then reads its large operand
as it lies in memory and transposes only the few queries, which is the faster way round on a CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf


class Piece(NamedTuple):
    """Keys that the queries attend to, and their values.

    The queries are split evenly over the batch: each part meets its own keys.

    Attributes:
        key: `[batch, keys, size]`.
        value: `[batch, keys, value_size]`.
        bias: Added to the logits, broadcastable to `[batch, keys, queries]`.
        keep: Factor of the weights after the softmax, of the same shape: dropout.
    """

    key: tf.Tensor
    value: tf.Tensor
    bias: tf.Tensor | None = None
    keep: tf.Tensor | None = None


class PieceGradient(NamedTuple):
    """Gradients with respect to a piece, of its shapes.

    Attributes:
        key: `[batch, keys, size]`.
        value: `[batch, keys, value_size]`.
        logits: `[batch, keys, queries]`, the gradient of a bias that is not broadcast.
    """

    key: tf.Tensor
    value: tf.Tensor
    logits: tf.Tensor


def attend(query: tf.Tensor, pieces: Sequence[Piece]) -> tuple[tf.Tensor, tf.Tensor]:
    """Attend to all pieces in one softmax.

    Args:
        query: `[queries, size]`, scaled.
        pieces: What to attend to.

    Returns:
        The output `[queries, value_size]` and the logarithm of each query's normaliser
        `[queries, 1]`, from which `attend_gradient` gets the weights back.

    Source: the maximum and sum over pieces, Milakov and Gimelshein 2018; the gradient from the
        normaliser, Dao et al. 2022, section 3.1.
    """
    logits = [_logits(query, piece) for piece in pieces]
    largest = functools.reduce(tf.maximum, [_by_query(tf.reduce_max(x, axis=1)) for x in logits])
    weights = [tf.exp(x - _like_logits(largest, x)) for x in logits]
    total = tf.add_n([_by_query(tf.reduce_sum(x, axis=1)) for x in weights])
    output = tf.add_n(
        [
            _flat(tf.matmul(_kept(x, piece), piece.value, transpose_a=True))
            for x, piece in zip(weights, pieces, strict=True)
        ]
    )
    return output / total, largest + tf.math.log(total)


def attend_gradient(
    query: tf.Tensor,
    pieces: Sequence[Piece],
    output: tf.Tensor,
    log_total: tf.Tensor,
    upstream: tf.Tensor,
) -> tuple[tf.Tensor, list[PieceGradient]]:
    """Gradient of `attend`.

    Args:
        query: As it was given to `attend`.
        pieces: As they were given.
        output: `[queries, value_size]`, what it returned.
        log_total: `[queries, 1]`, likewise.
        upstream: `[queries, value_size]`, gradient with respect to the output.

    Returns:
        Gradients with respect to the query and to each piece.
    """
    correction = tf.reduce_sum(output * upstream, axis=-1, keepdims=True)  # [queries, 1]
    query_gradients, gradients = [], []
    for piece in pieces:
        logits = _logits(query, piece)
        weights = tf.exp(logits - _like_logits(log_total, logits))
        upstream_of_piece = _split(upstream, piece)
        weights_gradient = tf.matmul(piece.value, upstream_of_piece, transpose_b=True)
        logits_gradient = weights * (
            _kept(weights_gradient, piece) - _like_logits(correction, logits)
        )
        query_gradients.append(_flat(tf.matmul(logits_gradient, piece.key, transpose_a=True)))
        gradients.append(
            PieceGradient(
                key=tf.matmul(logits_gradient, _split(query, piece)),
                value=tf.matmul(_kept(weights, piece), upstream_of_piece),
                logits=logits_gradient,
            )
        )
    return tf.add_n(query_gradients), gradients


def _logits(query: tf.Tensor, piece: Piece) -> tf.Tensor:
    logits = tf.matmul(piece.key, _split(query, piece), transpose_b=True)
    return logits if piece.bias is None else logits + piece.bias


def _kept(weights: tf.Tensor, piece: Piece) -> tf.Tensor:
    return weights if piece.keep is None else weights * piece.keep


def _split(x: tf.Tensor, piece: Piece) -> tf.Tensor:
    """`[queries, size]` to `[batch, queries, size]`."""
    return tf.reshape(x, [piece.key.shape[0], -1, x.shape[-1]])


def _flat(x: tf.Tensor) -> tf.Tensor:
    """`[batch, queries, size]` to `[queries, size]`."""
    return tf.reshape(x, [-1, x.shape[-1]])


def _by_query(x: tf.Tensor) -> tf.Tensor:
    """`[batch, queries]` to `[queries, 1]`."""
    return tf.reshape(x, [-1, 1])


def _like_logits(x: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """`[queries, 1]` to `[batch, 1, queries]`, as it is added to logits."""
    return tf.reshape(x, [logits.shape[0], 1, logits.shape[2]])
