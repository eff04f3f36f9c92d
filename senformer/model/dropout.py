"""Stateless dropout: the mask is a function of the seed and is regenerated in the backward pass.

Whether a value is dropped is a hash of the seed and of the value's position. Computing the hash
where the value is read needs no memory, and on a CPU a fraction of the time of an array of random
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import compiled

_BITS = 32
_GOLDEN_RATIO = 0x9E3779B9  # of 2^32, odd


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Set a random share of `x` to zero and scale the rest.

    The seed determines the mask, so that a recomputed or resumed step drops the same values.

    Args:
        x: Tensor of any shape.
        rate: Share of dropped values, in [0, 1).
        seed: int32 `[2]`, or None for no dropout.

    Source: Srivastava et al. 2014.
    """
    if seed is None or rate == 0:
        return x

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return _drop_in_one_pass(x, rate, seed), lambda y: _drop_in_one_pass(y, rate, seed)

    return run(x)


def relu_and_dropout(
    x: tf.Tensor, rate: float, seed: tf.Tensor | None, residuals: Residuals
) -> tf.Tensor:
    """Compute `dropout(relu(x))`, saving only which values are positive for the gradient.

    Args:
        x: Tensor of any shape.
        rate: Share of dropped values, in [0, 1).
        seed: int32 `[2]`, or None for no dropout.
        residuals: Store for the positive values, so that a recomputation does not need `x`.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        y, y_is_positive = _relu_and_drop(x, rate, seed)
        [is_positive] = residuals.keep(lambda: [y_is_positive])
        scale = 1.0 if seed is None else 1 / (1 - rate)
        return y, lambda upstream: _mask_and_scale(upstream, is_positive, scale)

    return run(x)


def drop(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Compute `dropout` without its own gradient, inside a larger compiled pass.

    Args:
        x: Tensor of any shape.
        rate: Share of dropped values, in [0, 1).
        seed: int32 `[2]`, or None for no dropout.
    """
    if seed is None or rate == 0:
        return x
    shape = tf.shape(x)
    rows = tf.range(tf.reduce_prod(shape[:-1]))[:, tf.newaxis]
    positions = [rows * x.shape[-1], tf.range(x.shape[-1])]
    kept = _keep_mask(positions, rate, tf.unstack(seed))
    return _mask(x, tf.ensure_shape(tf.reshape(kept, shape), x.shape), rate)


class PlacedDropout(NamedTuple):
    """Describe the dropout of a part of an array by the positions of its values in the array.

    The mask does not depend on how the array is divided: it is the same for any number of heads or
    rows that are computed at once.

    Attributes:
        rate: Share of dropped values, in [0, 1).
        seed: int32 `[sets, 2]`, or `[1, 2]` for one seed for all sets.
        set_places: int32 `[sets]`, or `[1]`: position of the first value of each set.
        row_places: int32 `[rows]`: distance of each row's first value from it. The other values
            of a row follow.
    """

    rate: float
    seed: tf.Tensor
    set_places: tf.Tensor
    row_places: tf.Tensor


def drop_placed(x: tf.Tensor, dropout: PlacedDropout | None) -> tf.Tensor:
    """Compute `drop` of a part of an array.

    Args:
        x: `[sets, rows, columns]`.
        dropout: Rate, seed and positions of the values, or None for no dropout.
    """
    if dropout is None:
        return x
    seed = tf.unstack(dropout.seed[:, tf.newaxis, tf.newaxis], axis=-1)  # [sets, 1, 1] each
    positions = [
        dropout.set_places[:, tf.newaxis, tf.newaxis],
        dropout.row_places[:, tf.newaxis],
        tf.range(x.shape[-1]),
    ]
    return _mask(x, _keep_mask(positions, dropout.rate, seed), dropout.rate)


def split_seed(seed: tf.Tensor, number: int) -> tf.Tensor:
    """Derive several seeds from one.

    Args:
        seed: int32 `[2]`.
        number: Number of seeds; the first ones do not depend on it.

    Returns:
        int32 `[number, 2]`.
    """
    first, second = tf.unstack(tf.bitcast(seed, tf.uint32))
    counters = tf.cast(tf.range(2 * number), tf.uint32) * _GOLDEN_RATIO + first
    return tf.bitcast(tf.reshape(_mix(counters, second), [number, 2]), tf.int32)


def seed_heads(seed: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Derive a seed for each head, `[heads, 2]`: the head's number is added to the second word."""
    return seed + tf.stack([tf.zeros_like(numbers), numbers], axis=1)


def _keep_mask(positions: Sequence[tf.Tensor], rate: float, seed: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return which values are kept: a boolean of the shape that the arguments broadcast to.

    Args:
        positions: int32; the sum is each value's position. The seed is added to the terms one by
            one, because their sum would be a constant of the program as large as the mask.
        rate: Share of dropped values.
        seed: The two words of the seed, int32.
    """
    first, second = (tf.bitcast(word, tf.uint32) for word in seed)
    counters = first
    for position in positions:
        counters += tf.cast(position, tf.uint32) * _GOLDEN_RATIO
    threshold = tf.constant(round(rate * 2**_BITS), tf.uint32)
    return _mix(counters, second) >= threshold


def _mask(x: tf.Tensor, kept: tf.Tensor, rate: float) -> tf.Tensor:
    zero = tf.zeros([], x.dtype)  # broadcast: an array of zeros would be as large as `x`
    return tf.where(kept, x * tf.cast(1 / (1 - rate), x.dtype), zero)


def _mix(counters: tf.Tensor, second_word: tf.Tensor) -> tf.Tensor:
    """Hash each counter to 32 random bits.

    The counters advance in steps of the golden ratio from the first word of the seed. Each round
    adds high bits to low bits and multiplies by an odd number. The second word of the seed enters
    before the last two products; later, the bits of two seeds would differ by a constant.

    Source: Steele, Lea and Flood 2014, section 3; the odd numbers, Wellons 2018, `triple32`.
    """

    def add_high_bits(bits: tf.Tensor, by: int) -> tf.Tensor:
        return tf.bitwise.bitwise_xor(
            bits, tf.bitwise.right_shift(bits, tf.constant(by, bits.dtype))
        )

    bits = add_high_bits(counters, 17) * 0xED5AD4BB + second_word
    bits = add_high_bits(bits, 11) * 0xAC4C1B51
    bits = add_high_bits(bits, 15) * 0x31848BAB
    return add_high_bits(bits, 14)


# Each of these functions is compiled to one pass over memory.

_drop_in_one_pass = compiled(drop)


@compiled
def _relu_and_drop(
    x: tf.Tensor, rate: float, seed: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    y = drop(tf.nn.relu(x), rate, seed)
    return y, y > 0


@compiled
def _mask_and_scale(upstream: tf.Tensor, is_positive: tf.Tensor, scale: float) -> tf.Tensor:
    return tf.where(is_positive, upstream * scale, tf.zeros([], upstream.dtype))
