"""Stem and tower with fixed weights and statistics, in fewer operations and fewer passes.

The same function as the modules of `trunk` in evaluation. What depends on the weights alone is
computed once for all windows, all wide convolutions but the last take two products in five, and
what lies between two products goes through memory once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from senformer.model import ops
from senformer.model.compute import device, winograd
from senformer.model.compute.xla import compiled
from senformer.model.layers import BatchNorm, Conv1D
from senformer.model.trunk import Block, Pool, Stem, TowerBlock


def is_faster(dtype: tf.DType) -> bool:
    """Whether it pays: in float32 on a CPU.

    A GPU has units for plain products that are several times as fast as the sums between them, and
    in bfloat16 interpolation would lose the digits that are left.
    """
    return dtype == tf.float32 and not device.is_gpu()


def frozen_trunk(stem: Stem, tower: Sequence[TowerBlock]) -> list[Block]:
    """The trunk's blocks as functions of a window, prepared for as many windows as there are.

    Args:
        stem: Its first part.
        tower: The others, in order.
    """
    *first, last = tower
    return [
        _frozen_stem(stem),
        *(_frozen_tower_block(block, _in_fewer_products(block.conv_block.conv)) for block in first),
        # Its filters are the largest and its sequence is the shortest: transformed, they would take
        # most of the memory and save least of the time.
        _frozen_tower_block(last, last.conv_block.conv),
    ]


def _frozen_stem(stem: Stem) -> Block:
    width, bases, channels = stem.conv.w.shape
    weights = tf.reshape(stem.conv.w, [width * bases, channels])

    def run(sequence: tf.Tensor) -> tf.Tensor:
        x = ops.linear(_neighbours(sequence, width), weights, stem.conv.b)
        return _finish(stem, x)

    return run


def _frozen_tower_block(block: TowerBlock, convolve: Callable[[tf.Tensor], tf.Tensor]) -> Block:
    def run(x: tf.Tensor) -> tf.Tensor:
        active = _normalised_gelu(x, *_statistics(block.conv_block.batch_norm))
        return _finish(block, convolve(active))

    return run


def _in_fewer_products(conv: Conv1D) -> Callable[[tf.Tensor], tf.Tensor]:
    filters = winograd.transform_filters(conv.w)
    return lambda x: winograd.convolve(x, filters, conv.b)


def _finish(block: Stem | TowerBlock, x: tf.Tensor) -> tf.Tensor:
    """The residual pointwise block and the pool."""
    pointwise = block.pointwise
    active = _normalised_gelu(x, *_statistics(pointwise.batch_norm))
    terms = (x, ops.linear(active, pointwise.conv.w[0]), pointwise.conv.b)
    return _pool_sum(block.pool, terms)


def _pool_sum(pool: Pool, terms: Sequence[tf.Tensor]) -> tf.Tensor:
    """The pool of a sum that is never written to memory."""
    if pool.w is None:
        return ops.max_pool(sum(terms))
    logits = ops.linear(_difference(*terms), pool.w)
    return _weighted_mean(logits, *terms)


def _statistics(norm: BatchNorm) -> tuple[tf.Variable, ...]:
    return norm.moving_mean.average, norm.moving_variance.average, norm.scale, norm.offset


def _neighbours(sequence: tf.Tensor, width: int) -> tf.Tensor:
    """The bases around each position: `[batch, length, width * bases]`, zeros beyond the ends."""
    length = sequence.shape[1]
    padded = tf.pad(sequence, [[0, 0], [width // 2, width // 2], [0, 0]])
    return tf.concat([padded[:, i : i + length] for i in range(width)], axis=-1)


# One compiled pass over memory each.


@compiled
def _normalised_gelu(x: tf.Tensor, *statistics: tf.Tensor) -> tf.Tensor:
    return ops.gelu(ops.batch_norm(x, *statistics))


@compiled
def _difference(*terms: tf.Tensor) -> tf.Tensor:
    """Of each pair of a sum's positions: `[batch, length / 2, channels]`."""
    return ops.pair_difference(sum(terms))


@compiled
def _weighted_mean(logits: tf.Tensor, *terms: tf.Tensor) -> tf.Tensor:
    x = sum(terms)
    return ops.mean_of_pairs(x, ops.pair_difference(x), logits)
