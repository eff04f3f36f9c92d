"""Intervals over sequences: statistics of records that are drawn anew, many times over.

What lies in one sequence has its surroundings in common, so bins and promoters are no independent
draws; sequences are. A statistic that is a function of sums over values is computed from the sums
of each sequence, so that a thousand resamplings cost one matrix product. Models that are resampled
with the same seed are given the same sequences: their differences are paired.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from senformer.evaluation.pearson import PearsonSums, merge

NUM_RESAMPLINGS = 1000
"""How often sequences are drawn."""


def resampled(of_sequences: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Sum over sequences as they are, and as they are drawn with replacement.

    Args:
        of_sequences: `[sequences, ...]`, sums over the values of each.
        seed: Of the draws.

    Returns:
        `[1 + NUM_RESAMPLINGS, ...]`, the first of the sequences as they are.
    """
    num_sequences = len(of_sequences)
    drawn = np.random.default_rng(seed).multinomial(
        num_sequences, np.full(num_sequences, 1 / num_sequences), size=NUM_RESAMPLINGS
    )
    counts = np.concatenate([np.ones([1, num_sequences]), drawn])
    return np.tensordot(counts, of_sequences, axes=1)


def moments(
    x: NDArray[np.floating], y: NDArray[np.floating], sequences: ArrayLike
) -> NDArray[np.float64]:
    """The sums that r is made of, of each sequence.

    Args:
        x: `[values, ...]`, what was measured.
        y: The same of the predictions.
        sequences: int `[values]`, the sequence that each value lies in, from 0 on.

    Returns:
        `[sequences, ..., 6]`: counts, and sums of x, y, x², y² and x y, around the means.
    """
    dx, dy = (values - values.mean(axis=0, dtype=np.float64) for values in (x, y))
    return sums_of_sequences(_powers(dx, dy), sequences)


def moments_of_sums(of_sequences: Sequence[PearsonSums]) -> NDArray[np.float64]:
    """As `moments`, of what streamed by and was summed up sequence by sequence.

    Args:
        of_sequences: Of each sequence, `[tracks]`.

    Returns:
        `[sequences, tracks, 6]`.
    """
    total = functools.reduce(merge, of_sequences)
    return np.stack([_powers_of_sums(sums, total) for sums in of_sequences])


def sums_of_sequences(of_values: NDArray[np.float64], sequences: ArrayLike) -> NDArray[np.float64]:
    """Sum the values of each sequence: `[values, ...]` to `[sequences, ...]`."""
    sequences = np.asarray(sequences)
    sums = np.zeros([int(sequences.max()) + 1, *of_values.shape[1:]])
    np.add.at(sums, sequences, of_values)
    return sums


def r_of_moments(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's r: `[..., 6]`, summed from `moments`, to `[...]`; NaN where nothing varies."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r: NDArray[np.float64] = (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))
    return r


def interval(drawn: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The 95 % interval of a statistic: `[1 + resamplings, ...]` to its two ends `[...]`."""
    low, high = np.quantile(drawn[1:], [0.025, 0.975], axis=0)
    return low, high


def interval_over(
    num_sequences: int, drawn: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """As `interval`; of one sequence, which is the same however it is drawn, there is none."""
    if num_sequences == 1:
        return np.full_like(drawn[0], np.nan), np.full_like(drawn[0], np.nan)
    return interval(drawn)


def with_interval(name: str, drawn: NDArray[np.floating], num_sequences: int) -> pd.DataFrame:
    """A statistic and its 95 % interval, as columns of a table.

    Args:
        name: Of the statistic.
        drawn: `[1 + resamplings, rows]`.
        num_sequences: From how many these were drawn; of one there is no interval.

    Returns:
        `name`, `<name>_low` and `<name>_high`, one row per column of `drawn`.
    """
    low, high = interval_over(num_sequences, drawn)
    return pd.DataFrame({name: drawn[0], f"{name}_low": low, f"{name}_high": high})


def in_words(row: pd.Series, name: str) -> str:
    """What `with_interval` gave, for a sentence: `0.157 (0.112 to 0.206)`."""
    value, low, high = (
        f"{round(row[column], 3) + 0.0:.3f}" for column in (name, f"{name}_low", f"{name}_high")
    )  # a sum with zero has no sign of zero
    return (
        f"{value} (no interval)" if np.isnan(row[f"{name}_low"]) else f"{value} ({low} to {high})"
    )


def mean_of_repeats(drawn: NDArray[np.floating], seed: int = 0) -> NDArray[np.floating]:
    """Average a statistic over trainings that differ in their seed, these drawn anew as well.

    Args:
        drawn: `[1 + resamplings, repeats, ...]`, of models on the same resampled sequences.
        seed: Of the draws; the same for models whose difference is wanted.

    Returns:
        `[1 + resamplings, ...]`: first the mean over the repeats and sequences as they are, then
        means over repeats drawn with replacement.
    """
    num_repeats = drawn.shape[1]
    chosen = np.random.default_rng(seed).integers(num_repeats, size=[len(drawn), num_repeats])
    chosen[0] = np.arange(num_repeats)
    return drawn[np.arange(len(drawn))[:, np.newaxis], chosen].mean(axis=1)


def _powers_of_sums(sums: PearsonSums, around: PearsonSums) -> NDArray[np.float64]:
    n = sums.num_values
    dx = sums.target_mean - around.target_mean
    dy = sums.prediction_mean - around.prediction_mean
    squares = (sums.target_squares + n * dx * dx, sums.prediction_squares + n * dy * dy)
    return np.stack([n, n * dx, n * dy, *squares, sums.products + n * dx * dy], axis=-1)


def _powers(dx: NDArray[np.float64], dy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(dx), dx, dy, dx * dx, dy * dy, dx * dy], axis=-1)
