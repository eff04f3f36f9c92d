"""Split, merge and map over attention heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.model.compute import device
from senformer.model.compute.recomputation import Residuals


class AttentionInputs(NamedTuple):
    """Hold the tensors that attention reads, or their gradients.

    Functions that compute a group of heads get the same object with `[group, ...]` in place of
    `[batch, heads, ...]` and of `[heads, ...]`.

    Attributes:
        query: `[batch, heads, tokens, key_size]`.
        key: `[batch, heads, tokens, key_size]`.
        value: `[batch, heads, tokens, value_size]`.
        relative_key: `[heads, 2 tokens - 1, key_size]`, from position `-(tokens - 1)` on; None for
            attention without relative positions, which has no biases either.
        content_bias: `[heads, key_size]`, added to the queries for their product with the keys.
        position_bias: `[heads, key_size]`, added to the queries for their product with the
            relative keys.
    """

    query: tf.Tensor
    key: tf.Tensor
    value: tf.Tensor
    relative_key: tf.Tensor = None
    content_bias: tf.Tensor = None
    position_bias: tf.Tensor = None


class WeightDropout(NamedTuple):
    """Describe the dropout of attention weights.

    Attributes:
        rate: Share of the weights that is dropped, in (0, 1).
        seeds: int32 `[2, 2]`. Only block-sparse attention uses the second seed.
    """

    rate: float
    seeds: tf.Tensor


class HeadGroup(NamedTuple):
    """Identify heads that are computed together: one head, or all heads of all sequences.

    Attributes:
        numbers: int32 `[group]`, unique for each head and sequence.
        num_heads: Heads of a sequence.
        is_all: Whether the group is all heads of all sequences, in order.
    """

    numbers: tf.Tensor
    num_heads: int
    is_all: bool

    @property
    def size(self) -> int:
        """Return the number of heads in the group."""
        return self.numbers.shape[0]

    def take(self, by_head: tf.Tensor | np.ndarray) -> tf.Tensor:
        """Take the group's part of an array that all sequences share.

        Args:
            by_head: `[heads, ...]`.

        Returns:
            `[group, ...]`.
        """
        if not self.is_all:
            return tf.gather(by_head, self.numbers % self.num_heads)
        copies = [self.size // self.num_heads, *[1] * (len(by_head.shape) - 1)]
        return tf.tile(by_head, copies)


class HeadResults(NamedTuple):
    """Hold what the gradient of a group of heads reads besides the inputs.

    Attributes:
        output: `[group, tokens, value_size]`.
        log_total: `[group, tokens, 1]`, logarithm of each query's softmax normaliser.
        upstream: `[group, tokens, value_size]`, gradient with respect to the output.
    """

    output: tf.Tensor
    log_total: tf.Tensor
    upstream: tf.Tensor


def split_heads(x: tf.Tensor, num_heads: int) -> tf.Tensor:
    """Reshape `[batch, tokens, heads * size]` to `[batch, heads, tokens, size]`."""
    tokens, channels = x.shape[1:]
    split = tf.reshape(x, [-1, tokens, num_heads, channels // num_heads])
    return tf.transpose(split, [0, 2, 1, 3])


def merge_heads(x: tf.Tensor) -> tf.Tensor:
    """Reshape `[batch, heads, tokens, size]` to `[batch, tokens, heads * size]`."""
    heads, tokens, size = x.shape[1:]
    return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, tokens, heads * size])


def attend_by_head(
    attend: Callable[[HeadGroup, AttentionInputs], tuple[tf.Tensor, tf.Tensor]],
    gradient: Callable[[HeadGroup, AttentionInputs, HeadResults], AttentionInputs],
    inputs: AttentionInputs,
    residuals: Residuals | None = None,
) -> tf.Tensor:
    """Attend group by group of heads, with a gradient that recomputes the attention weights.

    The gradient needs the inputs, the output and one number per query, but no weights.

    Args:
        attend: Computes a group's output `[group, tokens, value_size]` and the logarithm of each
            query's normaliser `[group, tokens, 1]` from its float32 inputs.
        gradient: Computes the gradients with respect to a group's inputs.
        inputs: The attention inputs of all heads.
        residuals: Keeps the output and the normalisers for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Dao et al. 2022, section 3.1.
    """
    residuals = residuals or Residuals()

    @tf.custom_gradient
    def attention(*tensors: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        per_sequence, shared = list(tensors[:3]), tensors[3:]

        def take_group(group: HeadGroup, slices: Sequence[tf.Tensor]) -> AttentionInputs:
            return AttentionInputs(*slices, *(tf.cast(group.take(x), tf.float32) for x in shared))

        def forward() -> tuple[tf.Tensor, tf.Tensor]:
            query, _, value = per_sequence
            tokens, value_size = query.shape[2], value.shape[3]
            output, log_total = map_heads(
                lambda group, *slices: attend(group, take_group(group, slices)),
                per_sequence,
                [[tokens, value_size], [tokens, 1]],
            )
            return tf.cast(output, value.dtype), log_total

        output, log_total = residuals.keep(forward)

        def group_gradient(group: HeadGroup, *slices: tf.Tensor) -> tuple[tf.Tensor, ...]:
            group_inputs, results = take_group(group, slices[:3]), HeadResults(*slices[3:])
            return tuple(x for x in gradient(group, group_inputs, results) if x is not None)

        def backward(upstream: tf.Tensor) -> list[tf.Tensor]:
            gradients = map_heads(
                group_gradient,
                [*per_sequence, output, log_total, upstream],
                [*(x.shape[2:] for x in per_sequence), *(x.shape[1:] for x in shared)],
            )
            gradients[3:] = [tf.reduce_sum(x, axis=0) for x in gradients[3:]]  # over the batch
            return [tf.cast(x, y.dtype) for x, y in zip(gradients, tensors, strict=True)]

        return output, backward

    return attention(*(x for x in inputs if x is not None))


def map_heads(
    function: Callable[..., tuple[tf.Tensor, ...]],
    arrays: Sequence[tf.Tensor],
    output_shapes: Sequence[Sequence[int]],
) -> list[tf.Tensor]:
    """Apply a function to all heads of all sequences, in the way that is fastest on the device.

    A CPU computes one head after another, two at a time: the temporaries of a head stay in the
    processor's cache and are freed early, and slices of the arrays are views, not copies. A GPU
    computes all heads at once, so that each operation is launched once.

    Args:
        function: Takes a `HeadGroup` and a slice `[group, ...]` of every array, in float32 unless
            the array holds integers. Returns one float32 tensor `[group, *shape]` for each of
            `output_shapes`.
        arrays: Each `[batch, heads, ...]`, of any floating or integer type.
        output_shapes: Shape of each result for one head.

    Returns:
        One float32 tensor `[batch, heads, *shape]` for each of `output_shapes`.

    Raises:
        ValueError: If the batch size is unknown while tracing for a GPU.
    """
    num_heads = arrays[0].shape[1]
    by_number = [tf.reshape(x, [-1, *x.shape[2:]]) for x in arrays]  # [batch * heads, ...]
    results: Sequence[tf.Tensor]
    if device.is_gpu():
        size = by_number[0].shape[0]
        if size is None:
            raise ValueError("the batch size is unknown; a GPU program needs a fixed batch size")
        group = HeadGroup(tf.range(size), num_heads, is_all=True)
        results = function(group, *map(_to_float32, by_number))
    else:
        results = _map_one_by_one(function, by_number, num_heads, output_shapes)
    return [
        tf.reshape(x, [-1, num_heads, *shape])
        for x, shape in zip(results, output_shapes, strict=True)
    ]


def _map_one_by_one(
    function: Callable[..., tuple[tf.Tensor, ...]],
    by_number: Sequence[tf.Tensor],
    num_heads: int,
    output_shapes: Sequence[Sequence[int]],
) -> Sequence[tf.Tensor]:
    """Apply a function to each head of `[batch * heads, ...]` arrays, two heads at a time."""

    def run_head(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        group = HeadGroup(number[tf.newaxis], num_heads, is_all=False)
        slices = [_to_float32(x[number][tf.newaxis]) for x in by_number]
        return tuple(x[0] for x in function(group, *slices))

    return tf.map_fn(
        run_head,
        tf.range(tf.shape(by_number[0])[0]),
        fn_output_signature=tuple(tf.TensorSpec(shape, tf.float32) for shape in output_shapes),
        parallel_iterations=1 if tf.executing_eagerly() else 2,
    )


def _to_float32(x: tf.Tensor) -> tf.Tensor:
    """Cast floating tensors to float32 and leave integers as they are."""
    return tf.cast(x, tf.float32) if x.dtype.is_floating else x
