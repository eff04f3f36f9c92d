"""Dropout that a seed alone decides: drawn again where it is needed again, never kept.

Whether a value is dropped is a function of the seed and the value's place, computed where the value
is read. On a CPU that takes a fraction of the time of drawing an array of random numbers, and no
memory.

A seed has two words. A third says that a batch is part of a larger one, from which example on:
places are then those in the larger one, and a batch that is divided among devices, or taken part by
part, drops what it drops undivided.
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
    """Zero a share of `x` and scale up the rest; the seed alone decides which.

    A recomputed or resumed step must drop the same values, hence no hidden generator state.

    Args:
        x: Any shape; of a part of a batch, its examples along the first axis.
        rate: Share that is dropped, in [0, 1).
        seed: int32 `[2]`, or `[3]` for a part of a batch, or none for no dropout.

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
    x: tf.Tensor, rate: float, seed: tf.Tensor | None, residuals: Residuals
) -> tf.Tensor:
    """`dropout(relu(x))`, of which a gradient needs to know which values passed, and no more.

    Args:
        x: Any shape.
        rate: As of `dropout`.
        seed: As of `dropout`.
        residuals: Keeps which values passed, so that a repetition that wants the gradient alone has
            no need of `x`.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        y, y_is_positive = _relu_and_drop(x, rate, seed)
        [has_passed] = residuals.keep(lambda: [y_is_positive])
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
    shape = tf.shape(x)
    rows = tf.range(tf.reduce_prod(shape[:-1]))[:, tf.newaxis]
    places = [rows * x.shape[-1], tf.range(x.shape[-1])]
    first_word, second_word, *first_example = tf.unstack(seed)
    places += [number * tf.reduce_prod(shape[1:]) for number in first_example]
    kept = _is_kept(places, rate, [first_word, second_word])
    return _zero_or_scale(x, tf.ensure_shape(tf.reshape(kept, shape), x.shape), rate)


class PlacedDropout(NamedTuple):
    """Dropout of values that are computed in parts, by their places in the whole.

    Which are dropped does not depend on the parts: the same however many heads or rows are computed
    at once.

    Attributes:
        rate: Share that is dropped, in [0, 1).
        seed: int32 `[sets, 2]`, or `[1, 2]` where it is the same for all. A part of a batch is
            told by the places.
        set_places: int32 `[sets]`, or `[1]`: the place of each set's first value.
        row_places: int32 `[rows]`, how far each row's first value is from it; the row's other
            values follow.
    """

    rate: float
    seed: tf.Tensor
    set_places: tf.Tensor
    row_places: tf.Tensor


def drop_placed(x: tf.Tensor, dropout: PlacedDropout | None) -> tf.Tensor:
    """`drop` of a part.

    Args:
        x: `[sets, rows, columns]`.
        dropout: Of its values, or none.
    """
    if dropout is None:
        return x
    words = tf.unstack(dropout.seed[:, tf.newaxis, tf.newaxis], axis=-1)  # [sets, 1, 1] each
    places = [
        dropout.set_places[:, tf.newaxis, tf.newaxis],
        dropout.row_places[:, tf.newaxis],
        tf.range(x.shape[-1]),
    ]
    return _zero_or_scale(x, _is_kept(places, dropout.rate, words), dropout.rate)


def split_seed(seed: tf.Tensor, number: int) -> tf.Tensor:
    """As many seeds as there are places that draw, all at once.

    Args:
        seed: int32 `[2]`, or `[3]` for a part of a batch.
        number: How many.

    Returns:
        int32 `[number, 2]`, or `[number, 3]`, all for the same part of a batch.
    """
    first, second, *first_example = tf.unstack(tf.bitcast(seed, tf.uint32))
    counters = tf.cast(tf.range(2 * number), tf.uint32) * _word(_GOLDEN_RATIO) + first
    seeds = tf.bitcast(tf.reshape(_mix(counters, second), [number, 2]), tf.int32)
    if not first_example:
        return seeds
    return tf.concat([seeds, tf.fill([number, 1], seed[2])], axis=1)


def shared_by_examples(seed: tf.Tensor) -> tf.Tensor:
    """The seed for what a batch has once and not once per example: int32 `[2]` of `[2]` or `[3]`.

    Every part of a divided batch drops the same of it.
    """
    return seed[:2]


def numbers_in_batch(numbers: tf.Tensor, per_example: int, seed: tf.Tensor) -> tf.Tensor:
    """The numbers of what a part of a batch has, such as heads, in the undivided batch.

    Args:
        numbers: int32 `[numbers]`, from the part's first example on.
        per_example: How many an example has.
        seed: int32 `[2]`, for an undivided batch, or `[3]`.
    """
    is_of_a_part = seed.shape[-1] > 2
    return numbers + seed[2] * per_example if is_of_a_part else numbers


def seed_heads(seed: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """A seed of its own for each head, `[numbers, 2]`: the second word, plus the head's number."""
    return seed + tf.stack([tf.zeros_like(numbers), numbers], axis=1)


def _is_kept(places: Sequence[tf.Tensor], rate: float, seed: Sequence[tf.Tensor]) -> tf.Tensor:
    """Which values are kept: a boolean of the shape to which all arguments broadcast.

    Args:
        places: int32, whose sum is each value's place. Added up before the seed comes in, they
            would be a constant as large as what is dropped, and travel with the program.
        rate: Share that is dropped.
        seed: Its two words, int32.
    """
    first, second = (tf.bitcast(word, tf.uint32) for word in seed)
    counters = first
    for place in places:
        counters += tf.cast(place, tf.uint32) * _word(_GOLDEN_RATIO)
    threshold = tf.constant(round(rate * 2**_BITS), tf.uint32)
    return _mix(counters, second) >= threshold


def _zero_or_scale(x: tf.Tensor, kept: tf.Tensor, rate: float) -> tf.Tensor:
    zero = tf.zeros([], x.dtype)  # broadcast: an array of zeros would be as large as `x`
    return tf.where(kept, x * tf.cast(1 / (1 - rate), x.dtype), zero)


def _mix(counters: tf.Tensor, second_word: tf.Tensor) -> tf.Tensor:
    """32 random bits for each place.

    A counter in steps of the golden ratio, started at a seed's first word, then products with odd
    numbers, each after high bits were added to low ones. The seed's second word enters before the
    last two products: later, and one seed's bits would be another's plus a constant.

    Source: Steele, Lea and Flood 2014, section 3; the odd numbers, Wellons 2018, `triple32`.
    """
    bits = _add_high_bits(counters, 17) * _word(0xED5AD4BB) + second_word
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
