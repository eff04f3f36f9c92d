"""Heads: take them apart, put them together, go through them two at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf


def split_heads(x: tf.Tensor, num_heads: int) -> tf.Tensor:
    """`[batch, tokens, heads * size]` to `[batch, heads, tokens, size]`."""
    batch_free = [x.shape[1], num_heads, x.shape[2] // num_heads]
    return tf.transpose(tf.reshape(x, [-1, *batch_free]), [0, 2, 1, 3])


def merge_heads(x: tf.Tensor) -> tf.Tensor:
    """`[batch, heads, tokens, size]` to `[batch, tokens, heads * size]`."""
    heads, tokens, size = x.shape[1:]
    return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, tokens, heads * size])


def map_heads(
    function: Callable[..., tuple[tf.Tensor, ...]],
    arrays: Sequence[tf.Tensor],
    output_shapes: Sequence[Sequence[int]],
) -> list[tf.Tensor]:
    """Apply a function to each head of each sequence, two at a time.

    A head's temporaries are used while they lie in the processor's cache, and are gone before the
    next but one starts; its slices of the arrays are views, not copies.

    Args:
        function: Takes a number (an int32 scalar, other for each head and sequence, for seeds),
            the head (an int32 scalar) and one float32 slice `[...]` of every array; gives one
            float32 tensor for each of `output_shapes`.
        arrays: Each `[batch, heads, ...]`, any floating type.
        output_shapes: Shape of each result for one head.

    Returns:
        One float32 tensor `[batch, heads, *shape]` for each of `output_shapes`.
    """
    num_heads = arrays[0].shape[1]
    rows = [tf.reshape(x, [-1, *x.shape[2:]]) for x in arrays]  # [batch * heads, ...]

    def of_one(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        slices = [tf.cast(x[number], tf.float32) for x in rows]
        return tuple(function(number, number % num_heads, *slices))

    results = tf.map_fn(
        of_one,
        tf.range(tf.shape(rows[0])[0]),
        fn_output_signature=tuple(tf.TensorSpec(shape, tf.float32) for shape in output_shapes),
        parallel_iterations=1 if tf.executing_eagerly() else 2,
    )
    return [
        tf.reshape(x, [-1, num_heads, *shape])
        for x, shape in zip(results, output_shapes, strict=True)
    ]
