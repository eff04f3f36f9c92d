"""Attend with many sets of queries at once, each to its own set of keys, and compute the gradient.

A set is a query block and the keys that its pattern selects. The gradient recomputes the weights
from one number per query.

Logits and weights are `[sets, keys, queries]`, keys first: a product then reads its large operand
in memory order and transposes only the few queries, which is faster on a CPU.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from senformer.model.attention.heads import HeadResults
from senformer.model.compute.xla import compiled, compiled_without_onednn
from senformer.model.dropout import PlacedDropout, drop_placed


class Keys(NamedTuple):
    """Hold what each set of queries attends to.

    Attributes:
        key: `[sets, keys, size]`.
        value: `[sets, keys, value_size]`.
        bias: Added to the logits, broadcastable to `[sets, keys, queries]`, or None.
        dropout: Dropout of the weights after the softmax, or None.
    """

    key: tf.Tensor
    value: tf.Tensor
    bias: tf.Tensor | None = None
    dropout: PlacedDropout | None = None


class SetGradients(NamedTuple):
    """Hold the gradients of attention with respect to queries, keys, values and logits.

    Attributes:
        query: `[sets, queries, size]`.
        key: `[sets, keys, size]`.
        value: `[sets, keys, value_size]`.
        logits: `[sets, keys, queries]`, also the gradient of a bias of that shape.
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
        keys: The keys, values, bias and dropout of each set.

    Returns:
        The output `[sets, queries, value_size]` and the logarithm of each query's normaliser
        `[sets, queries, 1]`, from which `attend_gradient` recomputes the weights.

    Source: Dao et al. 2022, section 3.1.
    """
    products = tf.matmul(keys.key, query, transpose_b=True)
    weights, largest, total = _softmax(products, keys.bias, keys.dropout)
    output = tf.matmul(weights, keys.value, transpose_a=True)
    largest, total = (tf.reshape(x, [x.shape[0], x.shape[2], 1]) for x in (largest, total))
    return output / total, largest + tf.math.log(total)


@compiled_without_onednn
def attend_gradient(query: tf.Tensor, keys: Keys, results: HeadResults) -> SetGradients:
    """Compute the gradient of `attend`.

    Args:
        query: The queries passed to `attend`.
        keys: The keys passed to `attend`.
        results: The results of `attend` and the upstream gradient, `[sets, queries, ...]`.
    """
    output, log_total, upstream = results
    correction = tf.reduce_sum(output * upstream, axis=-1, keepdims=True)
    sets, queries, _ = log_total.shape
    weights, logits_gradient = softmax_gradient(
        tf.matmul(keys.key, query, transpose_b=True),
        tf.matmul(keys.value, upstream, transpose_b=True),
        tf.reshape(log_total, [sets, 1, queries]),
        tf.reshape(correction, [sets, 1, queries]),
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
    """Recompute weights from their normaliser, and compute the gradient of their logits.

    Args:
        products: Logits without their bias, in any layout.
        upstream: Gradient of the weights after dropout, of the same shape.
        log_total: Logarithm of each query's normaliser, broadcastable to the logits.
        correction: Sum over the values of output times upstream gradient of each query, likewise.
        dropout: Dropout of the weights, or None.
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
    """Compute unnormalised weights, each query's largest logit and its sum of weights."""
    logits = products if bias is None else products + bias
    largest = tf.reduce_max(logits, axis=1, keepdims=True)
    weights = tf.exp(logits - largest)
    total = tf.reduce_sum(weights, axis=1, keepdims=True)
    return drop_placed(weights, dropout), largest, total
