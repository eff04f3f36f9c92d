"""Heads: take them apart, put them together, go through them one by one or all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.model.compute import device


def split_heads(x: tf.Tensor, num_heads: int) -> tf.Tensor:
    """`[batch, tokens, heads * size]` to `[batch, heads, tokens, size]`."""
    batch_free = [x.shape[1], num_heads, x.shape[2] // num_heads]
    return tf.transpose(tf.reshape(x, [-1, *batch_free]), [0, 2, 1, 3])


def merge_heads(x: tf.Tensor) -> tf.Tensor:
    """`[batch, heads, tokens, size]` to `[batch, tokens, heads * size]`."""
    heads, tokens, size = x.shape[1:]
    return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, tokens, heads * size])


class HeadGroup(NamedTuple):
    """The heads that are computed together: one of one sequence, or all of all sequences.

    Attributes:
        numbers: int32 `[group]`, another for each head and sequence.
        num_heads: Heads of a sequence.
        is_all: Whether it is all of them, in order.
    """

    numbers: tf.Tensor
    num_heads: int
    is_all: bool

    @property
    def size(self) -> int:
        """Heads of the group."""
        return self.numbers.shape[0]

    def take(self, by_head: tf.Tensor | np.ndarray) -> tf.Tensor:
        """What all sequences share, for each of the group: `[heads, ...]` to `[group, ...]`."""
        if not self.is_all:
            return tf.gather(by_head, self.numbers % self.num_heads)
        copies = [self.size // self.num_heads, *[1] * (len(by_head.shape) - 1)]
        return tf.tile(by_head, copies)


def map_heads(
    function: Callable[..., tuple[tf.Tensor, ...]],
    arrays: Sequence[tf.Tensor],
    output_shapes: Sequence[Sequence[int]],
) -> list[tf.Tensor]:
    """Apply a function to all heads of all sequences, as the device computes them fastest.

    On a CPU one by one, two at a time: a head's temporaries are used while they lie in the
    processor's cache, and are gone before the next but one starts; its slices of the arrays are
    views, not copies. On a GPU all at once: each operation is started once.

    Args:
        function: Takes a `HeadGroup` and a slice `[group, ...]` of every array, float32 unless its
            array is of whole numbers; gives one float32 tensor `[group, *shape]` for each of
            `output_shapes`.
        arrays: Each `[batch, heads, ...]`, any floating type or whole numbers.
        output_shapes: Shape of each result for one head.

    Returns:
        One float32 tensor `[batch, heads, *shape]` for each of `output_shapes`.
    """
    num_heads = arrays[0].shape[1]
    by_number = [tf.reshape(x, [-1, *x.shape[2:]]) for x in arrays]  # [batch * heads, ...]
    run = _all_at_once if device.is_gpu() else _in_turn
    results = run(function, by_number, num_heads, output_shapes)
    return [
        tf.reshape(x, [-1, num_heads, *shape])
        for x, shape in zip(results, output_shapes, strict=True)
    ]


def _all_at_once(
    function: Callable[..., tuple[tf.Tensor, ...]],
    by_number: Sequence[tf.Tensor],
    num_heads: int,
    output_shapes: Sequence[Sequence[int]],
) -> Sequence[tf.Tensor]:
    del output_shapes
    size = by_number[0].shape[0]
    if size is None:
        raise ValueError("the batch is not known when the program is made, as a GPU's must be")
    group = HeadGroup(tf.range(size), num_heads, is_all=True)
    return function(group, *map(_as_computed, by_number))


def _in_turn(
    function: Callable[..., tuple[tf.Tensor, ...]],
    by_number: Sequence[tf.Tensor],
    num_heads: int,
    output_shapes: Sequence[Sequence[int]],
) -> Sequence[tf.Tensor]:
    def run_head(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        group = HeadGroup(number[tf.newaxis], num_heads, is_all=False)
        slices = [_as_computed(x[number][tf.newaxis]) for x in by_number]
        return tuple(x[0] for x in function(group, *slices))

    return tf.map_fn(
        run_head,
        tf.range(tf.shape(by_number[0])[0]),
        fn_output_signature=tuple(tf.TensorSpec(shape, tf.float32) for shape in output_shapes),
        parallel_iterations=1 if tf.executing_eagerly() else 2,
    )


def _as_computed(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.float32) if x.dtype.is_floating else x
