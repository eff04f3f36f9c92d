"""The loss that every model here is trained with: Poisson, on coverage per bin."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from senformer.model.compute.xla import compiled

_LOG_EPSILON = 1e-7


def poisson_loss(target: tf.Tensor, prediction: tf.Tensor) -> tf.Tensor:
    """Mean Poisson negative log-likelihood, without the target's constant.

    Args:
        target: Coverage, `[batch, bins, tracks]`.
        prediction: Expected coverage, the same shape, positive.

    Source: Avsec et al. 2021, Methods.
    """
    return tf.reduce_mean(prediction - target * tf.math.log(prediction + _LOG_EPSILON))


def poisson_loss_of_logits(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """`poisson_loss(target, softplus(logits))` for a step: one pass forward, one backward.

    As operations of their own, softplus, logarithm, product and their gradients are several arrays
    of bins x tracks at once, at the moment when a step holds most.

    Args:
        target: Coverage, float32 `[batch, bins, tracks]`.
        logits: float32, the same shape, from `Enformer.head_logits`.

    Returns:
        A scalar, with a gradient for `logits` and none for `target`.
    """

    @tf.custom_gradient
    def loss(logits: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return _gradient_of_logits(target, logits, upstream)

        return _loss_of_logits(target, logits), gradient

    return loss(logits)


@compiled
def _loss_of_logits(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return poisson_loss(target, tf.nn.softplus(logits))


@compiled
def _gradient_of_logits(target: tf.Tensor, logits: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    of_prediction = 1 - target / (tf.nn.softplus(logits) + _LOG_EPSILON)
    num_values = tf.cast(tf.size(logits), logits.dtype)
    return of_prediction * tf.sigmoid(logits) * (upstream / num_values)
