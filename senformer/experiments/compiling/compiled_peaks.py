"""Peak memory between the lengths and depths that were compiled for a card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd


class CompiledPeaks(NamedTuple):
    """One kind of attention and one trainable set on one card.

    Attributes:
        sequence_lengths_bp: Lengths that were compiled at every depth, ascending.
        num_transformer_layers: Depths, ascending.
        peaks_gb: `[depths, lengths]`.
        largest_error: The largest `|interpolated - compiled| / compiled` of the lengths between the
            first and the last, each left out in turn; none where there is none.
    """

    sequence_lengths_bp: np.ndarray
    num_transformer_layers: np.ndarray
    peaks_gb: np.ndarray
    largest_error: float | None


def compiled_peaks(compiled: pd.DataFrame) -> Mapping[tuple[str, str], CompiledPeaks]:
    """Arrange the peaks of one card for `interpolated_peak_gb`.

    A compiler's account has no noise, so it is interpolated and not fitted: at a length that was
    compiled the answer is what was compiled.

    Args:
        compiled: Rows of one card and one width, as `compilations.compile_all` gives them; those
            without a peak are left out.

    Returns:
        By attention and trainable set, where at least two lengths were compiled.
    """
    known = compiled.dropna(subset="peak_memory_gb")
    arranged = {}
    for (attention, trainable), rows in known.groupby(["attention", "trainable"], sort=True):
        table = rows.pivot_table(
            index="num_transformer_layers", columns="sequence_length_bp", values="peak_memory_gb"
        ).dropna(axis="columns")
        if table.shape[1] >= 2:
            arranged[str(attention), str(trainable)] = _peaks_of(table)
    return arranged


def interpolated_peak_gb(
    peaks: CompiledPeaks, *, sequence_length_bp: int, num_transformer_layers: int
) -> float:
    """The peak of a training step, linear between the nearest lengths and depths, in GB.

    Raises:
        ValueError: If length or depth is outside what was compiled; the message says what was.
    """
    for name, asked, known in (
        ("sequence_length_bp", sequence_length_bp, peaks.sequence_lengths_bp),
        ("num_transformer_layers", num_transformer_layers, peaks.num_transformer_layers),
    ):
        if not known[0] <= asked <= known[-1]:
            raise ValueError(f"{name}={asked}, compiled from {known[0]} to {known[-1]}")
    at_length = [
        np.interp(sequence_length_bp, peaks.sequence_lengths_bp, p) for p in peaks.peaks_gb
    ]
    return float(np.interp(num_transformer_layers, peaks.num_transformer_layers, at_length))


def _peaks_of(table: pd.DataFrame) -> CompiledPeaks:
    lengths, peaks_gb = table.columns.to_numpy(), table.to_numpy()
    errors = [error for peaks in peaks_gb for error in _left_out_errors(lengths, peaks)]
    return CompiledPeaks(
        sequence_lengths_bp=lengths,
        num_transformer_layers=table.index.to_numpy(),
        peaks_gb=peaks_gb,
        largest_error=max(errors, default=None),
    )


def _left_out_errors(lengths: np.ndarray, peaks: np.ndarray) -> list[float]:
    errors = []
    for i in range(1, len(lengths) - 1):
        found = np.interp(lengths[i], lengths[[i - 1, i + 1]], peaks[[i - 1, i + 1]])
        errors.append(float(abs(found - peaks[i]) / peaks[i]))
    return errors
