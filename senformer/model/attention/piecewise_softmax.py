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

from senformer.model.dropout import drop
from senformer.model.speed.xla import compiled, compiled_without_onednn


class Piece(NamedTuple):
    """Keys that the queries attend to, and their values.

    The queries are split evenly over the batch: each part meets its own keys.

    Attributes:
        key: `[batch, keys, size]`.
        value: `[batch, keys, value_size]`.
        bias: Added to the logits, broadcastable to `[batch, keys, queries]`.
        dropout_rate: Share of the weights that is dropped after the softmax.
        dropout_seed: int32 `[2]`, or none for no dropout.
    """

    key: tf.Tensor
    value: tf.Tensor
    bias: tf.Tensor | None = None
    dropout_rate: float = 0.0
    dropout_seed: tf.Tensor | None = None


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


@compiled_without_onednn
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
    products = [_products(query, piece) for piece in pieces]
    weights, largest, total = _softmax(
        products, [piece.bias for piece in pieces], [_dropout_of(piece) for piece in pieces]
    )
    output = tf.add_n(
        [
            _flat(tf.matmul(x, piece.value, transpose_a=True))
            for x, piece in zip(weights, pieces, strict=True)
        ]
    )
    return output / total, largest + tf.math.log(total)


@compiled_without_onednn
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
        upstream_of_piece = _split(upstream, piece)
        products = _products(query, piece)
        weights, logits_gradient = softmax_gradient(
            products,
            tf.matmul(piece.value, upstream_of_piece, transpose_b=True),
            _like_logits(log_total, products),
            _like_logits(correction, products),
            _dropout_of(piece),
            piece.bias,
        )
        query_gradients.append(_flat(tf.matmul(logits_gradient, piece.key, transpose_a=True)))
        gradients.append(
            PieceGradient(
                key=tf.matmul(logits_gradient, _split(query, piece)),
                value=tf.matmul(weights, upstream_of_piece),
                logits=logits_gradient,
            )
        )
    return tf.add_n(query_gradients), gradients


@compiled  # a few passes over memory instead of one for each operation
def softmax_gradient(
    products: tf.Tensor,
    upstream: tf.Tensor,
    log_total: tf.Tensor,
    correction: tf.Tensor,
    dropout: tuple[float, tf.Tensor | None],
    bias: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Weights from their queries' normaliser, and the gradient of their logits.

    Args:
        products: Logits without their bias, in any layout.
        upstream: Gradient of the weights after dropout, of the same shape.
        log_total: Logarithm of each query's normaliser, broadcastable to the logits.
        correction: Each query's product of output and its gradient, likewise.
        dropout: Rate and seed of the weights' dropout.
        bias: Added to the products, broadcastable to them.

    Returns:
        The weights after dropout, and the gradient, both of the shape of the products.

    Source: Dao et al. 2022, section 3.1.
    """
    logits = products if bias is None else products + bias
    weights = tf.exp(logits - log_total)
    logits_gradient = weights * (drop(upstream, *dropout) - correction)
    return drop(weights, *dropout), logits_gradient


def _dropout_of(piece: Piece) -> tuple[float, tf.Tensor | None]:
    return piece.dropout_rate, piece.dropout_seed


def _products(query: tf.Tensor, piece: Piece) -> tf.Tensor:
    """`[batch, keys, queries]`."""
    return tf.matmul(piece.key, _split(query, piece), transpose_b=True)


@compiled  # a few passes over memory instead of one for each operation
def _softmax(
    products: Sequence[tf.Tensor],
    biases: Sequence[tf.Tensor | None],
    dropouts: Sequence[tuple[float, tf.Tensor | None]],
) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Weights before they are normalised, each query's largest logit and its sum of weights."""
    logits = [x if bias is None else x + bias for x, bias in zip(products, biases, strict=True)]
    largest = functools.reduce(tf.maximum, [_by_query(tf.reduce_max(x, axis=1)) for x in logits])
    weights = [tf.exp(x - _like_logits(largest, x)) for x in logits]
    total = tf.add_n([_by_query(tf.reduce_sum(x, axis=1)) for x in weights])
    kept = [drop(x, *dropout) for x, dropout in zip(weights, dropouts, strict=True)]
    return kept, largest, total


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
