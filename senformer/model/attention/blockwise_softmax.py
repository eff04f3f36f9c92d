"""Attention of sets of queries, each to a set of keys of its own, and its gradient.

A set is a block of queries and the keys that its pattern gives it. The gradient computes the
weights again, from one number per query.

Logits and weights are `[sets, keys, queries]`, keys first: a product then reads its large operand
as it lies in memory and transposes only the few queries, which is the faster way round on a CPU.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from senformer.model.compute.xla import compiled, compiled_without_onednn
from senformer.model.dropout import PlacedDropout, drop_placed


class Keys(NamedTuple):
    """What each set of queries attends to.

    Attributes:
        key: `[sets, keys, size]`.
        value: `[sets, keys, value_size]`.
        bias: Added to the logits, broadcastable to `[sets, keys, queries]`, or none.
        dropout: Of the weights after the softmax, or none.
    """

    key: tf.Tensor
    value: tf.Tensor
    bias: tf.Tensor | None = None
    dropout: PlacedDropout | None = None


class SetGradients(NamedTuple):
    """Gradients with respect to the queries, to the keys, and to the logits as they lie.

    Attributes:
        query: `[sets, queries, size]`.
        key: `[sets, keys, size]`.
        value: `[sets, keys, value_size]`.
        logits: `[sets, keys, queries]`, the gradient of a bias that is not broadcast.
    """

    query: tf.Tensor
    key: tf.Tensor
    value: tf.Tensor
    logits: tf.Tensor


@compiled_without_onednn
def attend(query: tf.Tensor, keys: Keys) -> tuple[tf.Tensor, tf.Tensor]:
    """Attend with every set at once.

    Args:
        query: `[sets, queries, size]`, scaled.
        keys: What to attend to.

    Returns:
        The output `[sets, queries, value_size]` and the logarithm of each query's normaliser
        `[sets, queries, 1]`, from which `attend_gradient` gets the weights back.

    Source: Dao et al. 2022, section 3.1.
    """
    products = tf.matmul(keys.key, query, transpose_b=True)
    weights, largest, total = _softmax(products, keys.bias, keys.dropout)
    output = tf.matmul(weights, keys.value, transpose_a=True)
    return output / total, largest + tf.math.log(total)


@compiled_without_onednn
def attend_gradient(
    query: tf.Tensor,
    keys: Keys,
    output: tf.Tensor,
    log_total: tf.Tensor,
    upstream: tf.Tensor,
) -> SetGradients:
    """Gradient of `attend`.

    Args:
        query: As it was given to `attend`.
        keys: As they were given.
        output: `[sets, queries, value_size]`, what it returned.
        log_total: `[sets, queries, 1]`, likewise.
        upstream: `[sets, queries, value_size]`, gradient with respect to the output.
    """
    weights, logits_gradient = softmax_gradient(
        tf.matmul(keys.key, query, transpose_b=True),
        tf.matmul(keys.value, upstream, transpose_b=True),
        _by_logit(log_total),
        _by_logit(tf.reduce_sum(output * upstream, axis=-1, keepdims=True)),
        keys.dropout,
        keys.bias,
    )
    return SetGradients(
        query=tf.matmul(logits_gradient, keys.key, transpose_a=True),
        key=tf.matmul(logits_gradient, query),
        value=tf.matmul(weights, upstream),
        logits=logits_gradient,
    )


@compiled  # a few passes over memory instead of one for each operation
def softmax_gradient(
    products: tf.Tensor,
    upstream: tf.Tensor,
    log_total: tf.Tensor,
    correction: tf.Tensor,
    dropout: PlacedDropout | None,
    bias: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Weights from their queries' normaliser, and the gradient of their logits.

    Args:
        products: Logits without their bias, in any layout.
        upstream: Gradient of the weights after dropout, of the same shape.
        log_total: Logarithm of each query's normaliser, broadcastable to the logits.
        correction: Each query's product of output and its gradient, likewise.
        dropout: Of the weights, or none.
        bias: Added to the products, broadcastable to them.

    Returns:
        The weights after dropout, and the gradient, both of the shape of the products.

    Source: Dao et al. 2022, section 3.1.
    """
    logits = products if bias is None else products + bias
    weights = tf.exp(logits - log_total)
    logits_gradient = weights * (drop_placed(upstream, dropout) - correction)
    return drop_placed(weights, dropout), logits_gradient


@compiled  # a few passes over memory instead of one for each operation
def _softmax(
    products: tf.Tensor, bias: tf.Tensor | None, dropout: PlacedDropout | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Weights before they are normalised, each query's largest logit and its sum of weights."""
    logits = products if bias is None else products + bias
    largest = tf.reduce_max(logits, axis=1, keepdims=True)
    weights = tf.exp(logits - largest)
    total = tf.reduce_sum(weights, axis=1, keepdims=True)
    return drop_placed(weights, dropout), _by_query(largest), _by_query(total)


def _by_query(x: tf.Tensor) -> tf.Tensor:
    """`[sets, 1, queries]` to `[sets, queries, 1]`."""
    return tf.reshape(x, [x.shape[0], x.shape[2], 1])


def _by_logit(x: tf.Tensor) -> tf.Tensor:
    """`[sets, queries, 1]` to `[sets, 1, queries]`, as it is added to logits."""
    return tf.reshape(x, [x.shape[0], 1, x.shape[1]])
