"""The convolutional trunk in evaluation mode, in fewer operations and passes over memory.

The functions equal the modules of `trunk` with fixed weights and moving statistics. They transform
the filters once for all windows, compute all wide convolutions but the last with two fifths of the
products (Winograd), and fuse the operations between two products into one pass over memory.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf

from senformer.model import ops
from senformer.model.compute import device, winograd
from senformer.model.compute.xla import compiled
from senformer.model.layers import BatchNorm
from senformer.model.trunk import Block, Stem, TowerBlock


def is_faster(dtype: tf.DType) -> bool:
    """Return whether this form is faster: in float32 on a CPU.

    A GPU computes products several times as fast as the sums between them, and in bfloat16 the
    interpolation would lose the remaining digits.
    """
    return dtype == tf.float32 and not device.is_gpu()


def frozen_trunk(stem: Stem, tower: Sequence[TowerBlock]) -> list[Block]:
    """Return the trunk's blocks as functions of a window, with filters transformed in advance.

    Args:
        stem: First block of the trunk.
        tower: The other blocks, in order.
    """
    blocks: list[Block] = [functools.partial(_run_stem, stem)]
    for block in tower[:-1]:
        filters = winograd.transform_filters(block.conv_block.conv.w)
        blocks.append(functools.partial(_run_tower_block, block, filters))
    # The last block has the largest filters and the shortest sequence: transformed filters would
    # need the most memory and save the least time.
    blocks.append(functools.partial(_run_tower_block, tower[-1], None))
    return blocks


def _run_stem(stem: Stem, sequence: tf.Tensor) -> tf.Tensor:
    width, bases, channels = stem.conv.w.shape
    length = sequence.shape[1]
    padded = tf.pad(sequence, [[0, 0], [width // 2, width // 2], [0, 0]])
    neighbours = tf.concat([padded[:, i : i + length] for i in range(width)], axis=-1)
    weights = tf.reshape(stem.conv.w, [width * bases, channels])
    return _finish(stem, ops.linear(neighbours, weights, stem.conv.b))


def _run_tower_block(block: TowerBlock, filters: tf.Tensor | None, x: tf.Tensor) -> tf.Tensor:
    conv = block.conv_block.conv
    x = _normalised_gelu(x, *_list_statistics(block.conv_block.batch_norm))
    x = conv(x) if filters is None else winograd.convolve(x, filters, conv.b)
    return _finish(block, x)


def _finish(block: Stem | TowerBlock, x: tf.Tensor) -> tf.Tensor:
    """Compute the residual pointwise block and the pool; their sum is never written to memory."""
    conv = block.pointwise.conv
    active = _normalised_gelu(x, *_list_statistics(block.pointwise.batch_norm))
    terms = (x, ops.linear(active, conv.w[0]), conv.b)
    if block.pool.w is None:
        return ops.max_pool(sum(terms))
    logits = ops.linear(_pair_difference(*terms), block.pool.w)
    return _weighted_mean(logits, *terms)


def _list_statistics(norm: BatchNorm) -> tuple[tf.Variable, ...]:
    return norm.moving_mean.average, norm.moving_variance.average, norm.scale, norm.offset


# Each of these functions is compiled to one pass over memory.


@compiled
def _normalised_gelu(x: tf.Tensor, *statistics: tf.Tensor) -> tf.Tensor:
    return ops.gelu(ops.batch_norm(x, *statistics))


@compiled
def _pair_difference(*terms: tf.Tensor) -> tf.Tensor:
    """Compute `ops.pair_difference` of a sum: `[batch, length / 2, channels]`."""
    return ops.pair_difference(sum(terms))


@compiled
def _weighted_mean(logits: tf.Tensor, *terms: tf.Tensor) -> tf.Tensor:
    x = sum(terms)
    return ops.mean_of_pairs(x, ops.pair_difference(x), logits)
