"""The parts of a model as functions of arrays: normalise, convolve, pool, crop, drop out.

Activations are float32 or bfloat16, variables always float32. Products are in the activations'
type, normalisation and its statistics in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

EPSILON = 1e-5
_GELU_SLOPE = 1.702
_SIXTEEN_BITS = 2**16


def gelu(x: tf.Tensor) -> tf.Tensor:
    """`x * sigmoid(1.702 x)`, the approximation that Enformer was trained with.

    Source: Hendrycks and Gimpel 2016, section 2.
    """
    wide = tf.cast(x, tf.float32)
    return tf.cast(wide * tf.sigmoid(_GELU_SLOPE * wide), x.dtype)


def linear(x: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """`x @ weights + bias` over the last axis, as one product over flattened rows.

    Args:
        x: `[..., inputs]`; only the first dimension may be unknown.
        weights: `[inputs, outputs]`.
        bias: `[outputs]`, or none.

    Returns:
        `[..., outputs]`.
    """
    rows = tf.reshape(x, [-1, weights.shape[0]]) @ _in_type_of(x, weights)
    if bias is not None:
        rows += _in_type_of(x, bias)
    return tf.reshape(rows, [-1, *x.shape[1:-1], weights.shape[1]])


def conv1d(x: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Convolution along the sequence, zero-padded to the same length.

    Args:
        x: `[batch, length, inputs]`.
        weights: `[width, inputs, outputs]`.
        bias: `[outputs]`.

    Returns:
        `[batch, length, outputs]`.
    """
    weights = _in_type_of(x, weights)
    return tf.nn.conv1d(x, weights, stride=1, padding="SAME") + _in_type_of(x, bias)


def layer_norm(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """Normalise each position over its channels.

    Args:
        x: `[..., channels]`.
        scale: `[channels]`.
        offset: `[channels]`.
    """
    wide = tf.cast(x, tf.float32)
    mean, variance = tf.nn.moments(wide, axes=[-1], keepdims=True)
    normalised = tf.nn.batch_normalization(wide, mean, variance, offset, scale, EPSILON)
    return tf.cast(normalised, x.dtype)


def batch_norm(
    x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor
) -> tf.Tensor:
    """Normalise each channel by the statistics given, a batch's or the moving ones.

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
    """Halve the sequence: each pair becomes its softmax-weighted mean, channel by channel.

    The softmax of a pair is the sigmoid of a difference: with a pair (a, b), the result is
    `b + sigmoid((a - b) W) (a - b)`. That is half the products of two rows of logits, and one
    large product instead of one per pair.

    Args:
        x: `[batch, length, channels]`, length even.
        weights: `[channels, channels]`, from a pair's channels to its logits.

    Returns:
        `[batch, length / 2, channels]`.

    Source: Avsec et al. 2021, Methods, "attention pooling".
    """
    difference = pair_difference(x)
    return mean_of_pairs(x, difference, linear(difference, weights))


def pair_difference(x: tf.Tensor) -> tf.Tensor:
    """First minus second of each pair: `[batch, length, channels]` to half the length."""
    pairs = _pairs(x)
    return pairs[:, :, 0] - pairs[:, :, 1]


def mean_of_pairs(x: tf.Tensor, difference: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The mean of each pair in which the first weighs the sigmoid of its logit.

    Args:
        x: `[batch, length, channels]`, length even.
        difference: `[batch, length / 2, channels]`, from `pair_difference`.
        logits: `[batch, length / 2, channels]`.

    Returns:
        `[batch, length / 2, channels]`.
    """
    return _pairs(x)[:, :, 1] + tf.sigmoid(logits) * difference


def max_pool(x: tf.Tensor) -> tf.Tensor:
    """Halve the sequence: each pair becomes its maximum, channel by channel.

    Args:
        x: `[batch, length, channels]`, length even.

    Returns:
        `[batch, length / 2, channels]`.
    """
    return tf.nn.max_pool1d(x, ksize=2, strides=2, padding="VALID")


def crop(x: tf.Tensor, target_length: int) -> tf.Tensor:
    """Keep the central bins; where the margin is odd, the right one is the larger.

    Args:
        x: `[batch, tokens, channels]`.
        target_length: Bins to keep.

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


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Zero a share of `x` and scale up the rest; the seed alone decides which.

    A recomputed or resumed step must drop the same values, hence no hidden generator state.

    Args:
        x: Any shape.
        rate: Share that is dropped, in [0, 1), to the nearest 1/65,536.
        seed: int32 `[2]`, or none for no dropout.
    """
    if seed is None or rate == 0:
        return x
    kept, scale = _draw_kept(tf.shape(x), rate, seed)
    zero = tf.zeros([], x.dtype)  # broadcast: an array of zeros would be as large as `x`
    return tf.where(tf.ensure_shape(kept, x.shape), x * tf.cast(scale, x.dtype), zero)


def dropout_factors(shape: Sequence[int], rate: float, seed: tf.Tensor | None) -> tf.Tensor | None:
    """What `dropout` multiplies an array of this shape with; none where nothing is dropped.

    Take it where a gradient of one's own needs the same factors a second time.

    Args:
        shape: Of the array, all of it known.
        rate: As of `dropout`.
        seed: As of `dropout`.
    """
    if seed is None or rate == 0:
        return None
    kept, scale = _draw_kept(tf.constant(shape), rate, seed)
    return tf.where(tf.ensure_shape(kept, shape), scale, 0.0)


def fold_in(seed: tf.Tensor | None, index: int) -> tf.Tensor | None:
    """A seed of its own for each place that draws: none stays none."""
    if seed is None:
        return None
    return tf.random.experimental.stateless_fold_in(seed, index)


def _pairs(x: tf.Tensor) -> tf.Tensor:
    """`[batch, length, channels]` to `[batch, length / 2, 2, channels]`."""
    return tf.reshape(x, [-1, x.shape[1] // 2, 2, x.shape[2]])


def _in_type_of(x: tf.Tensor, variable: tf.Tensor) -> tf.Tensor:
    """A variable as the product with `x` takes it.

    It waits for `x`: TensorFlow would otherwise round all variables first and hold the copies.
    """
    if variable.dtype == x.dtype:
        return variable
    with tf.control_dependencies([x]):
        return tf.cast(variable, x.dtype)


def _draw_kept(shape: tf.Tensor, rate: float, seed: tf.Tensor) -> tuple[tf.Tensor, float]:
    """What is kept, a boolean array, and the scale that keeps the mean.

    Sixteen bits decide about a value: half the random numbers of a 32-bit draw, which on a CPU
    are the cost of dropout.
    """
    size = tf.reduce_prod(shape)
    pairs = tf.random.stateless_uniform(
        [(size + 1) // 2], seed, minval=None, maxval=None, dtype=tf.int32
    )
    bits = tf.reshape(tf.bitcast(pairs, tf.uint16), [-1])[:size]
    dropped = round(rate * _SIXTEEN_BITS)
    kept = tf.reshape(bits, shape) >= tf.constant(dropped, tf.uint16)
    return kept, _SIXTEEN_BITS / (_SIXTEEN_BITS - dropped)
