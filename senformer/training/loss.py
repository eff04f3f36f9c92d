"""The training loss: Poisson negative log-likelihood of coverage per bin."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from senformer.model.compute.xla import compiled

_LOG_EPSILON = 1e-7


def poisson_loss(target: tf.Tensor, prediction: tf.Tensor) -> tf.Tensor:
    """Compute the mean Poisson negative log-likelihood, without the constant of the target.

    Args:
        target: Coverage, `[batch, bins, tracks]`.
        prediction: Expected coverage, the same shape, positive.

    Source: Avsec et al. 2021, Methods.
    """
    return tf.reduce_mean(prediction - target * tf.math.log(prediction + _LOG_EPSILON))


def poisson_loss_of_logits(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Compute `poisson_loss(target, softplus(logits))` in one pass forward and one backward.

    Separate operations would hold several arrays of bins x tracks at once, when a training step
    needs the most memory.

    Args:
        target: Coverage, float32 `[batch, bins, tracks]`.
        logits: float32, the same shape, from `Enformer.head_logits`.

    Returns:
        A scalar, with a gradient for `logits` and none for `target`.
    """

    @tf.custom_gradient
    def run(logits: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        loss = _loss_of_logits(target, logits)
        return loss, lambda upstream: _gradient_of_logits(target, logits, upstream)

    return run(logits)


@compiled
def _loss_of_logits(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return poisson_loss(target, tf.nn.softplus(logits))


@compiled
def _gradient_of_logits(target: tf.Tensor, logits: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    prediction_gradient = 1 - target / (tf.nn.softplus(logits) + _LOG_EPSILON)
    num_values = tf.cast(tf.size(logits), logits.dtype)
    return prediction_gradient * tf.sigmoid(logits) * (upstream / num_values)
