"""Operations of a model as functions of arrays: normalise, convolve, pool, crop.

Activations are float32 or bfloat16, variables always float32. Products have the activations' type;
normalisation and its statistics are float32.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import compiled

EPSILON = 1e-5
_GELU_SLOPE = 1.702


def gelu(x: tf.Tensor) -> tf.Tensor:
    """Compute `x * sigmoid(1.702 x)`, the approximation that Enformer was trained with.

    Source: Hendrycks and Gimpel 2016, section 2.
    """
    wide = tf.cast(x, tf.float32)
    return tf.cast(wide * tf.sigmoid(_GELU_SLOPE * wide), x.dtype)


def linear(x: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Compute `x @ weights + bias` over the last axis, as one product over flattened rows.

    Args:
        x: `[..., inputs]`; only the first dimension may be unknown.
        weights: `[inputs, outputs]`.
        bias: `[outputs]`, or None.

    Returns:
        `[..., outputs]`.
    """
    rows = tf.reshape(x, [-1, weights.shape[0]]) @ _cast_for(x, weights)
    if bias is not None:
        rows += _cast_for(x, bias)
    return tf.reshape(rows, [-1, *x.shape[1:-1], weights.shape[1]])


def for_readers(x: tf.Tensor, number: int) -> list[tf.Tensor]:
    """Copy a tensor for several readers, whose gradients are summed in one pass over memory.

    With automatic differentiation, TensorFlow may add the gradients to an array of zeros, one for
    each sum of a graph, and hold these arrays between steps.

    Args:
        x: Tensor of any shape.
        number: Number of readers.

    Returns:
        The same tensor for each reader.
    """

    @tf.custom_gradient
    def share(x: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., tf.Tensor]]:
        return [tf.identity(x) for _ in range(number)], lambda *upstream: _sum(*upstream)

    return share(x)


def conv1d(x: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Convolve along the sequence, with zero padding to the same length.

    Args:
        x: `[batch, length, inputs]`.
        weights: `[width, inputs, outputs]`.
        bias: `[outputs]`.

    Returns:
        `[batch, length, outputs]`.
    """
    if weights.shape[0] == 1:
        return linear(x, weights[0], bias)  # the gradient of a product is faster
    weights = _cast_for(x, weights)
    return tf.nn.conv1d(x, weights, stride=1, padding="SAME") + _cast_for(x, bias)


def layer_norm(
    x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, residuals: Residuals | None = None
) -> tf.Tensor:
    """Normalise each position over its channels.

    The gradient needs the input, and two numbers per position.

    Args:
        x: `[..., channels]`.
        scale: `[channels]`.
        offset: `[channels]`.
        residuals: Store for these two numbers in a recomputed block.

    Source: Ba, Kiros and Hinton 2016.
    """
    residuals = residuals or Residuals()

    @tf.custom_gradient
    def normalise(
        x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
        moments = residuals.keep(lambda: _moments(x))

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            for_parameters = _layer_norm_parameter_gradients(x, upstream, *moments)
            return _layer_norm_gradient(x, scale, upstream, *moments), *for_parameters

        return _layer_norm(x, scale, offset, *moments), gradient

    return normalise(x, tf.convert_to_tensor(scale), tf.convert_to_tensor(offset))


def batch_norm(
    x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor
) -> tf.Tensor:
    """Normalise each channel by a batch's statistics or by the moving statistics.

    Args:
        x: `[batch, length, channels]`.
        mean: `[channels]`.
        variance: `[channels]`.
        scale: `[channels]`.
        offset: `[channels]`.
    """
    wide = tf.cast(x, tf.float32)
    normalised = tf.nn.batch_normalization(wide, mean, variance, offset, scale, EPSILON)
    return tf.cast(normalised, x.dtype)


def attention_pool(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Replace each pair of positions by its softmax-weighted mean, channel by channel.

    The softmax of a pair is the sigmoid of a difference: for a pair (a, b), the result is
    `b + sigmoid((a - b) W) (a - b)`. This needs half the products of two logits per pair.

    Args:
        x: `[batch, length, channels]`, length even.
        weights: `[channels, channels]`, from the channels of a position to its logits.

    Returns:
        `[batch, length / 2, channels]`.

    Source: Avsec et al. 2021, Methods, "attention pooling".
    """
    difference = pair_difference(x)
    return mean_of_pairs(x, difference, linear(difference, weights))


def pair_difference(x: tf.Tensor) -> tf.Tensor:
    """Subtract the second of each pair from the first: `[batch, length / 2, channels]`."""
    pairs = _pairs(x)
    return pairs[:, :, 0] - pairs[:, :, 1]


def mean_of_pairs(x: tf.Tensor, difference: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Compute the mean of each pair, where the weight of the first is the sigmoid of its logit.

    Args:
        x: `[batch, length, channels]`, length even.
        difference: `[batch, length / 2, channels]`, result of `pair_difference`.
        logits: `[batch, length / 2, channels]`.

    Returns:
        `[batch, length / 2, channels]`.
    """
    return _pairs(x)[:, :, 1] + tf.sigmoid(logits) * difference


def max_pool(x: tf.Tensor) -> tf.Tensor:
    """Replace each pair of positions by its maximum, channel by channel.

    Args:
        x: `[batch, length, channels]`, length even.

    Returns:
        `[batch, length / 2, channels]`.
    """
    return tf.nn.max_pool1d(x, ksize=2, strides=2, padding="VALID")


def crop(x: tf.Tensor, target_length: int) -> tf.Tensor:
    """Keep the central bins. If the margins differ, the right one is larger by one bin.

    Args:
        x: `[batch, tokens, channels]`.
        target_length: Number of bins to keep.

    Returns:
        `[batch, target_length, channels]`.

    Raises:
        ValueError: If the sequence is shorter than `target_length`.
    """
    tokens = x.shape[1]
    if tokens < target_length:
        raise ValueError(f"{tokens} tokens are fewer than {target_length=}")
    first = (tokens - target_length) // 2
    return x[:, first : first + target_length]


# Each of these functions is compiled to one pass over memory.


@compiled
def _sum(*terms: tf.Tensor) -> tf.Tensor:
    return functools.reduce(tf.add, terms)


@compiled
def _moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute mean and inverse standard deviation of each position, float32 `[..., 1]`."""
    mean, variance = tf.nn.moments(tf.cast(x, tf.float32), axes=[-1], keepdims=True)
    return mean, tf.math.rsqrt(variance + EPSILON)


@compiled
def _layer_norm(
    x: tf.Tensor,
    scale: tf.Tensor,
    offset: tf.Tensor,
    mean: tf.Tensor,
    inverse_deviation: tf.Tensor,
) -> tf.Tensor:
    normalised = (tf.cast(x, tf.float32) - mean) * inverse_deviation
    return tf.cast(normalised * scale + offset, x.dtype)


@compiled
def _layer_norm_gradient(
    x: tf.Tensor,
    scale: tf.Tensor,
    upstream: tf.Tensor,
    mean: tf.Tensor,
    inverse_deviation: tf.Tensor,
) -> tf.Tensor:
    normalised = (tf.cast(x, tf.float32) - mean) * inverse_deviation
    scaled = tf.cast(upstream, tf.float32) * scale
    along = tf.reduce_mean(scaled * normalised, axis=-1, keepdims=True)
    centred = scaled - tf.reduce_mean(scaled, axis=-1, keepdims=True)
    return tf.cast((centred - normalised * along) * inverse_deviation, x.dtype)


@compiled
def _layer_norm_parameter_gradients(
    x: tf.Tensor, upstream: tf.Tensor, mean: tf.Tensor, inverse_deviation: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute the gradients of scale and offset, `[channels]` each."""
    normalised = (tf.cast(x, tf.float32) - mean) * inverse_deviation
    wide = tf.cast(upstream, tf.float32)
    positions = list(range(x.shape.rank - 1))
    return tf.reduce_sum(wide * normalised, positions), tf.reduce_sum(wide, positions)


def _pairs(x: tf.Tensor) -> tf.Tensor:
    """Reshape `[batch, length, channels]` to `[batch, length / 2, 2, channels]`."""
    return tf.reshape(x, [-1, x.shape[1] // 2, 2, x.shape[2]])


def _cast_for(x: tf.Tensor, variable: tf.Tensor) -> tf.Tensor:
    """Cast a variable to the type of `x`, once `x` is computed.

    Otherwise TensorFlow would cast all variables first and hold the copies.
    """
    if variable.dtype == x.dtype:
        return variable
    with tf.control_dependencies([x]):
        return tf.cast(variable, x.dtype)
