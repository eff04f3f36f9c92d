"""Small modules that hold a model's variables, and the initial values of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from senformer.model import ops
from senformer.model.compute import replicas
from senformer.model.compute.recomputation import Residuals

# Standard deviation of a standard normal truncated at two standard deviations.
_TRUNCATED_NORMAL_STDDEV = 0.87962566103423978
_MOVING_AVERAGE_DECAY = 0.9


def truncated_normal(
    generator: tf.random.Generator, shape: Sequence[int], stddev: float | None = None
) -> tf.Tensor:
    """Draw initial weights; by default with standard deviation `fan_in ** -0.5`, as in Sonnet."""
    return generator.truncated_normal(shape, stddev=stddev or math.prod(shape[:-1]) ** -0.5)


def variance_scaling(
    generator: tf.random.Generator, shape: Sequence[int], scale: float
) -> tf.Tensor:
    """Draw initial weights of variance `scale / fan_in` from a truncated normal, as in Sonnet."""
    stddev = math.sqrt(scale / math.prod(shape[:-1])) / _TRUNCATED_NORMAL_STDDEV
    return generator.truncated_normal(shape, stddev=stddev)


class Linear(snt.Module):
    """A product with a matrix, and an optional bias that is initially zero."""

    def __init__(self, weights: tf.Tensor, *, with_bias: bool, name: str) -> None:
        super().__init__(name=name)
        self.w = tf.Variable(weights, name="w")
        self.b = tf.Variable(tf.zeros(weights.shape[-1:]), name="b") if with_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Map `[..., inputs]` to `[..., outputs]`."""
        return ops.linear(x, self.w, self.b)


class Conv1D(snt.Module):
    """A convolution along the sequence that keeps its length."""

    def __init__(self, weights: tf.Tensor, *, name: str) -> None:
        super().__init__(name=name)
        self.w = tf.Variable(weights, name="w")
        self.b = tf.Variable(tf.zeros(weights.shape[-1:]), name="b")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Map `[batch, length, inputs]` to `[batch, length, outputs]`."""
        return ops.conv1d(x, self.w, self.b)


class LayerNorm(snt.Module):
    """A layer normalisation with scale and offset."""

    def __init__(self, channels: int, *, name: str) -> None:
        super().__init__(name=name)
        self.scale = tf.Variable(tf.ones([channels]), name="scale")
        self.offset = tf.Variable(tf.zeros([channels]), name="offset")

    def __call__(self, x: tf.Tensor, residuals: Residuals | None = None) -> tf.Tensor:
        """Normalise `[..., channels]`; see `ops.layer_norm`."""
        return ops.layer_norm(x, self.scale, self.offset, residuals)


class MovingAverage(snt.Module):
    """An exponential moving average with bias correction, as in Sonnet.

    Before the first update its value is `initial`, so that an untrained model in evaluation mode
    normalises by mean 0 and variance 1.
    """

    def __init__(self, initial: tf.Tensor, *, name: str) -> None:
        super().__init__(name=name)
        self.counter = tf.Variable(0, dtype=tf.int64, trainable=False, name="counter")
        self.hidden = tf.Variable(tf.zeros_like(initial), trainable=False, name="hidden")
        self.average = tf.Variable(initial, trainable=False, name="average")

    def update(self, value: tf.Tensor) -> None:
        """Update the average with one batch's `[channels]`, equal on all replicas."""
        replicas.assign_add(self.counter, tf.ones([], tf.int64))
        replicas.assign_add(self.hidden, (value - self.hidden) * (1 - _MOVING_AVERAGE_DECAY))
        bias = 1 - tf.pow(_MOVING_AVERAGE_DECAY, tf.cast(self.counter, self.hidden.dtype))
        replicas.assign(self.average, self.hidden / bias)


class BatchNorm(snt.Module):
    """A batch normalisation that uses moving averages in evaluation.

    In training, the statistics are those of all replicas together, as in Enformer's training.

    Source: `tf.nn.moments`.
    """

    def __init__(self, channels: int, *, name: str) -> None:
        super().__init__(name=name)
        self.scale = tf.Variable(tf.ones([channels]), name="scale")
        self.offset = tf.Variable(tf.zeros([channels]), name="offset")
        self.moving_mean = MovingAverage(tf.zeros([channels]), name="moving_mean")
        self.moving_variance = MovingAverage(tf.ones([channels]), name="moving_variance")

    def __call__(self, x: tf.Tensor, is_training: bool, is_recomputing: bool = False) -> tf.Tensor:
        """Normalise `[batch, length, channels]`; a recomputation updates no moving average."""
        if is_training:
            wide = tf.cast(x, tf.float32)
            mean = replicas.mean_over_replicas(tf.reduce_mean(wide, axis=[0, 1]))
            squares = tf.math.squared_difference(wide, tf.stop_gradient(mean))
            variance = replicas.mean_over_replicas(tf.reduce_mean(squares, axis=[0, 1]))
            if not is_recomputing:
                self.moving_mean.update(mean)
                self.moving_variance.update(variance)
        else:
            mean, variance = self.moving_mean.average, self.moving_variance.average
        return ops.batch_norm(x, mean, variance, self.scale, self.offset)
