"""Winograd convolutions along the sequence, for fixed filters.

Four neighbouring outputs of a convolution of width five need twenty matrix products if computed
directly, and eight by Winograd's method: evaluate sequence and filters at eight points, multiply
them there, and interpolate the outputs. The result is exact up to rounding. In float32 the rounding
error is that of a sum term by term, two to five times that of a processor's own convolution.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.model.compute.xla import compiled

OUTPUTS_PER_TILE = 4
"""Outputs computed together. A larger number would save products and lose precision."""

_FINITE_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Finite evaluation points, near one so that powers stay small; infinity is the last point."""


class _Matrices(NamedTuple):
    """Hold the matrices of Winograd's method.

    Attributes:
        sequence: From a tile of the sequence to the points, `[points, points]`.
        filters: From a filter to the points, `[points, width]`.
        outputs: From the points to the outputs, `[OUTPUTS_PER_TILE, points]`.
    """

    sequence: np.ndarray
    filters: np.ndarray
    outputs: np.ndarray


def transform_filters(weights: tf.Tensor) -> tf.Tensor:
    """Evaluate filters at the points, once for all sequences.

    Args:
        weights: `[width, inputs, outputs]`, width at most five.

    Returns:
        `[points, inputs, outputs]`, with `width + 3` points.
    """
    width, inputs, outputs = weights.shape
    to_points = tf.constant(_matrices(width).filters, weights.dtype)
    at_points = to_points @ tf.reshape(weights, [width, -1])
    return tf.reshape(at_points, [-1, inputs, outputs])


def convolve(x: tf.Tensor, filters: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Convolve along the sequence, with zero padding to the same length.

    Args:
        x: `[batch, length, inputs]`.
        filters: `[points, inputs, outputs]`, result of `transform_filters`.
        bias: `[outputs]`.

    Returns:
        `[batch, length, outputs]`.

    Source: Winograd 1980, "Arithmetic Complexity of Computations"; Lavin and Gray 2016, section 4.
    """
    length = x.shape[1]
    points, inputs, outputs = filters.shape
    at_points = tf.reshape(_to_points(x, points), [points, -1, inputs])
    y = _to_outputs(at_points @ filters, bias)  # [batch * tiles, outputs of a tile, outputs]
    tiles = -(-length // OUTPUTS_PER_TILE)
    return tf.reshape(y, [-1, tiles * OUTPUTS_PER_TILE, outputs])[:, :length]


@compiled  # to one pass over memory
def _to_points(x: tf.Tensor, points: int) -> tf.Tensor:
    """Evaluate `[batch, length, inputs]` at the points: `[points, batch, tiles, inputs]`."""
    width = points + 1 - OUTPUTS_PER_TILE
    length = x.shape[1]
    tiles = -(-length // OUTPUTS_PER_TILE)
    before = (width - 1) // 2
    after = tiles * OUTPUTS_PER_TILE + width - 1 - before - length
    padded = tf.pad(x, [[0, 0], [before, after], [0, 0]])
    last = OUTPUTS_PER_TILE * (tiles - 1)
    columns = [padded[:, i : i + last + 1 : OUTPUTS_PER_TILE] for i in range(points)]
    return tf.stack([_weighted_sum(row, columns) for row in _matrices(width).sequence])


@compiled
def _to_outputs(products: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Interpolate `[points, tiles, outputs]` to `[tiles, OUTPUTS_PER_TILE, outputs]`."""
    terms = tf.unstack(products)
    rows = _matrices(len(terms) + 1 - OUTPUTS_PER_TILE).outputs
    return tf.stack([_weighted_sum(row, terms) + bias for row in rows], axis=1)


def _weighted_sum(weights: np.ndarray, terms: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.add_n([w * x for w, x in zip(weights.tolist(), terms, strict=True) if w])


@functools.cache
def _matrices(width: int) -> _Matrices:
    """Compute the matrices: the transpose of polynomial multiplication by values at points."""
    points = OUTPUTS_PER_TILE + width - 1
    from_points = np.linalg.inv(_powers(points, points))
    return _Matrices(
        sequence=np.where(np.abs(from_points) < 1e-12, 0, from_points).T,
        filters=_powers(points, width),
        outputs=_powers(points, OUTPUTS_PER_TILE).T,
    )


def _powers(points: int, terms: int) -> np.ndarray:
    """Return the matrix from coefficients to values at the points, `[points, terms]`."""
    finite = np.vander(_FINITE_POINTS[: points - 1], terms, increasing=True)
    at_infinity = np.eye(terms)[-1:]
    return np.concatenate([finite, at_infinity])
