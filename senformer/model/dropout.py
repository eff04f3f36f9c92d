"""Dropout that a seed alone decides: drawn again where it is needed again, never kept.

Whether a value is dropped is a function of the seed and the value's place, computed where the value
is read. On a CPU that takes a fraction of the time of drawing an array of random numbers, and no
memory.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from senformer.model.speed.recomputation import Memory
from senformer.model.speed.xla import compiled

_BITS = 32
_GOLDEN_RATIO = 0x9E3779B9  # of 2^32, odd


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Zero a share of `x` and scale up the rest; the seed alone decides which.

    A recomputed or resumed step must drop the same values, hence no hidden generator state.

    Args:
        x: Any shape.
        rate: Share that is dropped, in [0, 1).
        seed: int32 `[2]`, or none for no dropout.

    Source: Srivastava et al. 2014.
    """
    if seed is None or rate == 0:
        return x

    @tf.custom_gradient
    def dropped(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return _drop_in_one_pass(upstream, rate, seed)

        return _drop_in_one_pass(x, rate, seed), gradient

    return dropped(x)


def relu_and_dropout(
    x: tf.Tensor, rate: float, seed: tf.Tensor | None, memory: Memory
) -> tf.Tensor:
    """`dropout(relu(x))`, of which a gradient needs to know which values passed, and no more.

    Args:
        x: Any shape.
        rate: As of `dropout`.
        seed: As of `dropout`.
        memory: Keeps which values passed, so that a repetition that wants the gradient alone has
            no need of `x`.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        y, y_is_positive = _relu_and_drop(x, rate, seed)
        [has_passed] = memory.keep(lambda: [y_is_positive])
        scale = 1.0 if seed is None else 1 / (1 - rate)
        return y, lambda upstream: _pass(upstream, has_passed, scale)

    return run(x)


def drop(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """`dropout` as a part of a larger compiled pass, which has a gradient of its own.

    Args:
        x: As of `dropout`.
        rate: As of `dropout`.
        seed: As of `dropout`.
    """
    if seed is None or rate == 0:
        return x
    kept = is_kept(tf.shape(x), rate, seed)
    zero = tf.zeros([], x.dtype)  # broadcast: an array of zeros would be as large as `x`
    return tf.where(tf.ensure_shape(kept, x.shape), x * tf.cast(1 / (1 - rate), x.dtype), zero)


def is_kept(shape: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Which values of an array are kept: a boolean array, for a compiled pass.

    Args:
        shape: Of the array, int32 `[rank]`.
        rate: Share that is dropped, in [0, 1).
        seed: int32 `[2]`.
    """
    places = tf.cast(tf.range(tf.reduce_prod(shape)), tf.uint32)
    bits = _mix(places, tf.bitcast(seed, tf.uint32))
    threshold = tf.constant(round(rate * 2**_BITS), tf.uint32)
    return tf.reshape(bits >= threshold, shape)


def fold_in(seed: tf.Tensor | None, index: int) -> tf.Tensor | None:
    """A seed of its own for each place that draws: none stays none."""
    if seed is None:
        return None
    return tf.random.experimental.stateless_fold_in(seed, index)


def _mix(places: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """32 random bits for each place.

    A counter in steps of the golden ratio, then products with odd numbers, each after high bits
    were added to low ones. The seed's second word enters before the last two products: later, and
    one seed's bits would be another's plus a constant.

    Source: Steele, Lea and Flood 2014, section 3; the odd numbers, Wellons 2018, `triple32`.
    """
    bits = places * _word(_GOLDEN_RATIO) + seed[0]
    bits = _add_high_bits(bits, 17) * _word(0xED5AD4BB) + seed[1]
    bits = _add_high_bits(bits, 11) * _word(0xAC4C1B51)
    bits = _add_high_bits(bits, 15) * _word(0x31848BAB)
    return _add_high_bits(bits, 14)


def _add_high_bits(bits: tf.Tensor, by: int) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _word(by)))


def _word(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint32)


# One compiled pass over memory each.


_drop_in_one_pass = compiled(drop)


@compiled
def _relu_and_drop(
    x: tf.Tensor, rate: float, seed: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    y = drop(tf.nn.relu(x), rate, seed)
    return y, y > 0


@compiled
def _pass(upstream: tf.Tensor, has_passed: tf.Tensor, scale: float) -> tf.Tensor:
    return tf.where(has_passed, upstream * scale, tf.zeros([], upstream.dtype))
