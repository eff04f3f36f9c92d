"""Convolutions along the sequence by fewer products, for filters that do not change.

Four neighbouring outputs of a convolution of width five take twenty products of matrices written
out, and eight this way: sequence and filters are both evaluated at eight points, multiplied there,
and the outputs are interpolated. Exact but for rounding: in float32 about as much as a sum has that
is taken term by term, which is two to five times as much as a processor's own convolution has.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.model.compute.xla import compiled

OUTPUTS_PER_TILE = 4
"""Outputs computed together. More would save products and lose digits."""

_FINITE_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Where polynomials are evaluated, besides at infinity; near one, so that powers stay small."""


class _Matrices(NamedTuple):
    """From a tile of a sequence, and from a filter, to the points; and back to the outputs.

    Attributes:
        sequence: `[points, points]`.
        filters: `[points, width]`.
        outputs: `[OUTPUTS_PER_TILE, points]`.
    """

    sequence: np.ndarray
    filters: np.ndarray
    outputs: np.ndarray


def transform_filters(weights: tf.Tensor) -> tf.Tensor:
    """Filters at the points, to be computed once for all that is convolved with them.

    Args:
        weights: `[width, inputs, outputs]`, of width five at most.

    Returns:
        `[points, inputs, outputs]`, with `width + 3` points.
    """
    width, inputs, outputs = weights.shape
    to_points = tf.constant(_matrices(width).filters, weights.dtype)
    at_points = to_points @ tf.reshape(weights, [width, -1])
    return tf.reshape(at_points, [-1, inputs, outputs])


def convolve(x: tf.Tensor, filters: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Convolution along the sequence, zero-padded to the same length.

    Args:
        x: `[batch, length, inputs]`.
        filters: `[points, inputs, outputs]`, from `transform_filters`.
        bias: `[outputs]`.

    Returns:
        `[batch, length, outputs]`, as from `ops.conv1d`.

    Source: Winograd 1980, "Arithmetic Complexity of Computations"; Lavin and Gray 2016, section 4.
    """
    length = x.shape[1]
    points, inputs, outputs = filters.shape
    at_points = tf.reshape(_to_points(x, points), [points, -1, inputs])
    y = _to_outputs(at_points @ filters, bias)  # [batch * tiles, outputs of a tile, outputs]
    tiles = -(-length // OUTPUTS_PER_TILE)
    return tf.reshape(y, [-1, tiles * OUTPUTS_PER_TILE, outputs])[:, :length]


@compiled  # one pass over memory instead of one for each term
def _to_points(x: tf.Tensor, points: int) -> tf.Tensor:
    """`[batch, length, inputs]` to `[points, batch, tiles, inputs]`."""
    width = points + 1 - OUTPUTS_PER_TILE
    length = x.shape[1]
    tiles = -(-length // OUTPUTS_PER_TILE)
    before = (width - 1) // 2
    after = tiles * OUTPUTS_PER_TILE + width - 1 - before - length
    padded = tf.pad(x, [[0, 0], [before, after], [0, 0]])
    last = OUTPUTS_PER_TILE * (tiles - 1)
    of_tile = [padded[:, i : i + last + 1 : OUTPUTS_PER_TILE] for i in range(points)]
    return tf.stack([_weighted_sum(row, of_tile) for row in _matrices(width).sequence])


@compiled
def _to_outputs(products: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """`[points, tiles, outputs]` to `[tiles, OUTPUTS_PER_TILE, outputs]`."""
    terms = tf.unstack(products)
    rows = _matrices(len(terms) + 1 - OUTPUTS_PER_TILE).outputs
    return tf.stack([_weighted_sum(row, terms) + bias for row in rows], axis=1)


def _weighted_sum(weights: np.ndarray, terms: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.add_n([w * x for w, x in zip(weights.tolist(), terms, strict=True) if w])


@functools.cache
def _matrices(width: int) -> _Matrices:
    """The transposed form of multiplying polynomials by their values at some points."""
    points = OUTPUTS_PER_TILE + width - 1
    from_points = np.linalg.inv(_powers(points, points))
    return _Matrices(
        sequence=np.where(np.abs(from_points) < 1e-12, 0, from_points).T,
        filters=_powers(points, width),
        outputs=_powers(points, OUTPUTS_PER_TILE).T,
    )


def _powers(points: int, terms: int) -> np.ndarray:
    """`[points, terms]`: a polynomial's values from its coefficients, the last one at infinity."""
    finite = np.vander(_FINITE_POINTS[: points - 1], terms, increasing=True)
    at_infinity = np.eye(terms)[-1:]
    return np.concatenate([finite, at_infinity])
