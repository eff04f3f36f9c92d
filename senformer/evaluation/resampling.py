"""Confidence intervals over sequences: a bootstrap that draws whole sequences with replacement.

Bins and promoters of one sequence share their surroundings and are no independent draws; sequences
are. The bootstrap works on sums over the values of each sequence, so that a thousand resamplings
cost one matrix product. Models that are resampled with the same seed get the same sequences: their
differences are paired.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from senformer.evaluation.pearson import PearsonSums, is_constant, merge

NUM_RESAMPLINGS = 1000
"""Number of times that the sequences are drawn."""


def resample_sums(of_sequences: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Add up sums of sequences: of each sequence once, and of sequences drawn with replacement.

    Args:
        of_sequences: `[sequences, ...]`, sums over the values of each sequence.
        seed: Seed of the draws.

    Returns:
        `[1 + NUM_RESAMPLINGS, ...]`, first the sum over each sequence once.
    """
    num_sequences = len(of_sequences)
    drawn = np.random.default_rng(seed).multinomial(
        num_sequences, np.full(num_sequences, 1 / num_sequences), size=NUM_RESAMPLINGS
    )
    counts = np.concatenate([np.ones([1, num_sequences]), drawn])
    return np.tensordot(counts, of_sequences, axes=1)


def resample_r(of_sequences: Sequence[PearsonSums]) -> NDArray[np.float64]:
    """Compute r of each track over resampled sequences, from sums that streamed by.

    Args:
        of_sequences: Sums of each sequence, `[tracks]`.

    Returns:
        `[1 + NUM_RESAMPLINGS, tracks]`, first r of each sequence once; NaN for a track whose target
        or prediction is constant.
    """
    center = merge(of_sequences)
    moments = [_moments(s, center.target_mean, center.prediction_mean) for s in of_sequences]
    r = _r_of_moments(resample_sums(np.stack(moments)))
    r[:, is_constant(center)] = np.nan  # rounding would give it an r
    return r


def resample_r_of_values(
    x: NDArray[np.float64], y: NDArray[np.float64], sequences: ArrayLike, seed: int = 0
) -> NDArray[np.float64]:
    """Compute r over resampled sequences, from single values.

    Args:
        x: `[values, ...]`, measured values.
        y: `[values, ...]`, predictions.
        sequences: int `[values]`, the sequence that each value lies in, counted from 0.
        seed: Seed of the draws.

    Returns:
        `[1 + NUM_RESAMPLINGS, ...]`, first r of each sequence once; NaN if nothing varies.
    """
    zeros = np.zeros(x.shape)
    single = PearsonSums(np.ones(x.shape), x, y, zeros, zeros, zeros)
    means = (values.mean(axis=0, dtype=np.float64) for values in (x, y))
    moments = sum_by_sequence(_moments(single, *means), sequences)
    return _r_of_moments(resample_sums(moments, seed))


def sum_by_sequence(of_values: NDArray[np.float64], sequences: ArrayLike) -> NDArray[np.float64]:
    """Sum the values of each sequence: `[values, ...]` to `[sequences, ...]`."""
    sequences = np.asarray(sequences)
    sums = np.zeros([int(sequences.max()) + 1, *of_values.shape[1:]])
    np.add.at(sums, sequences, of_values)
    return sums


def average_repeats(drawn: NDArray[np.floating], seed: int = 0) -> NDArray[np.floating]:
    """Average a statistic over trainings that differ in their seed, and resample the trainings.

    Args:
        drawn: `[1 + resamplings, repeats, ...]`, the statistic of each training on the same
            resampled sequences.
        seed: Seed of the draws; use the same for models whose difference matters.

    Returns:
        `[1 + resamplings, ...]`: first the mean over all repeats on each sequence once, then means
        over repeats drawn with replacement.
    """
    num_repeats = drawn.shape[1]
    chosen = np.random.default_rng(seed).integers(num_repeats, size=[len(drawn), num_repeats])
    chosen[0] = np.arange(num_repeats)
    return drawn[np.arange(len(drawn))[:, np.newaxis], chosen].mean(axis=1)


def interval(
    drawn: NDArray[np.floating], num_sequences: int | None = None
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Compute the 95 % confidence interval of a statistic.

    Args:
        drawn: `[1 + resamplings, ...]`.
        num_sequences: Number of sequences that were drawn from. One sequence has no interval: both
            ends are NaN.

    Returns:
        Lower and upper end, `[...]` each.
    """
    if num_sequences == 1:
        return np.full_like(drawn[0], np.nan), np.full_like(drawn[0], np.nan)
    low, high = np.quantile(drawn[1:], [0.025, 0.975], axis=0)
    return low, high


def interval_columns(name: str, drawn: NDArray[np.floating], num_sequences: int) -> pd.DataFrame:
    """Return a statistic and its 95 % confidence interval as columns of a table.

    Args:
        name: Name of the statistic.
        drawn: `[1 + resamplings, rows]`.
        num_sequences: Number of sequences that were drawn from; see `interval`.

    Returns:
        `name`, `<name>_low` and `<name>_high`, one row per column of `drawn`.
    """
    low, high = interval(drawn, num_sequences)
    return pd.DataFrame({name: drawn[0], f"{name}_low": low, f"{name}_high": high})


def format_interval(row: pd.Series, name: str) -> str:
    """Format the columns of `interval_columns` for a sentence: `0.157 (0.112 to 0.206)`."""
    value, low, high = (
        f"{round(row[column], 3) + 0.0:.3f}" for column in (name, f"{name}_low", f"{name}_high")
    )  # adding zero turns -0.000 into 0.000
    return (
        f"{value} (no interval)" if np.isnan(row[f"{name}_low"]) else f"{value} ({low} to {high})"
    )


def _moments(
    sums: PearsonSums, target_mean: NDArray[np.float64], prediction_mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn sums around their own means into sums around common means, which can be added.

    Returns:
        `[..., 6]`: the number of values, and the sums of x, y, x², y² and x y.
    """
    n = sums.num_values
    dx = sums.target_mean - target_mean
    dy = sums.prediction_mean - prediction_mean
    squares = (sums.target_squares + n * dx * dx, sums.prediction_squares + n * dy * dy)
    return np.stack([n, n * dx, n * dy, *squares, sums.products + n * dx * dy], axis=-1)


def _r_of_moments(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r: NDArray[np.float64] = (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))
    return r
