"""Pearson's r of each track from sums that are updated as the data streams by and can be merged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class PearsonSums(NamedTuple):
    """The sums that Pearson's r of each track is computed from, float64 `[tracks]` each.

    They are means and sums of squared deviations. Sums of raw squares would lose the digits that r
    depends on if a track's mean is much larger than its standard deviation.

    Attributes:
        num_values: Number of pairs of values.
        target_mean: Mean of the experiment's values.
        prediction_mean: Mean of the predictions.
        target_squares: Sum of squared deviations of the targets from their mean.
        prediction_squares: Sum of squared deviations of the predictions from their mean.
        products: Sum of the products of both deviations.

    Source: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance".
    """

    num_values: NDArray[np.float64]
    target_mean: NDArray[np.float64]
    prediction_mean: NDArray[np.float64]
    target_squares: NDArray[np.float64]
    prediction_squares: NDArray[np.float64]
    products: NDArray[np.float64]

    def select(self, tracks: NDArray[np.bool_]) -> PearsonSums:
        """Return the sums of some tracks, by a mask `[tracks]`."""
        return PearsonSums(*(sums[tracks] for sums in self))


def pearson_sums(target: ArrayLike, prediction: ArrayLike) -> PearsonSums:
    """Compute the sums of one batch, each track over all leading axes.

    Args:
        target: `[..., tracks]`, the experiment.
        prediction: `[..., tracks]`, of the same shape.

    Raises:
        ValueError: If the shapes differ, or a value is not finite.
    """
    x = np.asarray(target, np.float64)
    y = np.asarray(prediction, np.float64)
    if x.shape != y.shape:
        raise ValueError(f"target is {x.shape}, prediction {y.shape}: expected the same shape")
    x = x.reshape(-1, x.shape[-1])  # [values, tracks]
    y = y.reshape(-1, y.shape[-1])
    # Deviations from the first value first: the squares of a constant track are then exactly zero.
    x0, y0 = x[0], y[0]
    x = x - x0
    y = y - y0
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    for name, mean in (("target", x_mean), ("prediction", y_mean)):
        if not np.isfinite(mean).all():
            track = np.flatnonzero(~np.isfinite(mean))[0]
            raise ValueError(f"{name} of track {track} contains a value that is not finite")
    x -= x_mean
    y -= y_mean
    return PearsonSums(
        num_values=np.full(x.shape[1], float(len(x))),
        target_mean=x0 + x_mean,
        prediction_mean=y0 + y_mean,
        target_squares=np.einsum("vt,vt->t", x, x),
        prediction_squares=np.einsum("vt,vt->t", y, y),
        products=np.einsum("vt,vt->t", x, y),
    )


def merge(parts: Iterable[PearsonSums]) -> PearsonSums:
    """Merge the sums of all parts of the data, from first to last."""
    total, *others = parts
    for part in others:
        num_values = total.num_values + part.num_values
        weight = part.num_values / num_values
        spread = total.num_values * weight
        x_step = part.target_mean - total.target_mean
        y_step = part.prediction_mean - total.prediction_mean
        total = PearsonSums(
            num_values,
            target_mean=total.target_mean + weight * x_step,
            prediction_mean=total.prediction_mean + weight * y_step,
            target_squares=total.target_squares + part.target_squares + spread * x_step**2,
            prediction_squares=(
                total.prediction_squares + part.prediction_squares + spread * y_step**2
            ),
            products=total.products + part.products + spread * x_step * y_step,
        )
    return total


def pool(sums: PearsonSums) -> PearsonSums:
    """Merge the sums of all tracks, as if they were one track: `[tracks]` to `[1]`."""
    n = sums.num_values
    total = n.sum(keepdims=True)
    target_mean = (n * sums.target_mean).sum(keepdims=True) / total
    prediction_mean = (n * sums.prediction_mean).sum(keepdims=True) / total
    x = sums.target_mean - target_mean
    y = sums.prediction_mean - prediction_mean
    return PearsonSums(
        num_values=total,
        target_mean=target_mean,
        prediction_mean=prediction_mean,
        target_squares=(sums.target_squares + n * x * x).sum(keepdims=True),
        prediction_squares=(sums.prediction_squares + n * y * y).sum(keepdims=True),
        products=(sums.products + n * x * y).sum(keepdims=True),
    )


def pearson_r(sums: PearsonSums) -> NDArray[np.float64]:
    """Compute r of each track, `[tracks]`; NaN if target or prediction is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        r = sums.products / np.sqrt(sums.target_squares) / np.sqrt(sums.prediction_squares)
    return np.where(is_constant(sums), np.nan, np.clip(r, -1.0, 1.0))


def is_constant(sums: PearsonSums) -> NDArray[np.bool_]:
    """Return which tracks have no r because target or prediction is constant, `[tracks]`."""
    return (sums.target_squares == 0) | (sums.prediction_squares == 0)
