"""Interpolate peak memory between the lengths and depths that were compiled for a card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd


class CompiledPeaks(NamedTuple):
    """Peaks of one kind of attention and one trainable set on one card.

    Attributes:
        sequence_lengths_bp: Lengths in bp that were compiled at every depth, ascending.
        num_transformer_layers: Depths, ascending.
        peaks_gb: `[depths, lengths]`.
        largest_error: Largest `|interpolated - compiled| / compiled` over the inner lengths, each
            left out in turn; None if there is no inner length.
    """

    sequence_lengths_bp: np.ndarray
    num_transformer_layers: np.ndarray
    peaks_gb: np.ndarray
    largest_error: float | None


def compiled_peaks(compiled: pd.DataFrame) -> Mapping[tuple[str, str], CompiledPeaks]:
    """Arrange the peaks of one card for `interpolated_peak_gb`.

    A compiler's peaks have no noise, so they are interpolated and not fitted: at a compiled
    length the result is the compiled peak.

    Args:
        compiled: Rows of one card and one width from `compilations.compile_all`. Rows without a
            peak are ignored.

    Returns:
        The peaks by attention and trainable set, for sets with at least two compiled lengths.
    """
    arranged = {}
    usable = compiled.dropna(subset="peak_memory_gb")
    for (attention, trainable), rows in usable.groupby(["attention", "trainable"], sort=True):
        table = rows.pivot_table(
            index="num_transformer_layers", columns="sequence_length_bp", values="peak_memory_gb"
        ).dropna(axis="columns")
        if table.shape[1] >= 2:
            lengths, peaks_gb = table.columns.to_numpy(), table.to_numpy()
            arranged[str(attention), str(trainable)] = CompiledPeaks(
                sequence_lengths_bp=lengths,
                num_transformer_layers=table.index.to_numpy(),
                peaks_gb=peaks_gb,
                largest_error=_largest_error(lengths, peaks_gb),
            )
    return arranged


def _largest_error(lengths: np.ndarray, peaks_gb: np.ndarray) -> float | None:
    errors = []
    for peaks in peaks_gb:
        for i in range(1, len(lengths) - 1):
            interpolated = np.interp(lengths[i], lengths[[i - 1, i + 1]], peaks[[i - 1, i + 1]])
            errors.append(float(abs(interpolated - peaks[i]) / peaks[i]))
    return max(errors, default=None)


def interpolated_peak_gb(
    peaks: CompiledPeaks, *, sequence_length_bp: int, num_transformer_layers: int
) -> float:
    """Interpolate the peak of a training step linearly between lengths and depths, in GB.

    Raises:
        ValueError: If the length or the depth is outside the compiled range; the message has it.
    """
    for name, value, compiled in (
        ("sequence_length_bp", sequence_length_bp, peaks.sequence_lengths_bp),
        ("num_transformer_layers", num_transformer_layers, peaks.num_transformer_layers),
    ):
        if not compiled[0] <= value <= compiled[-1]:
            raise ValueError(f"{name}={value}, compiled from {compiled[0]} to {compiled[-1]}")
    at_length = [
        np.interp(sequence_length_bp, peaks.sequence_lengths_bp, p) for p in peaks.peaks_gb
    ]
    return float(np.interp(num_transformer_layers, peaks.num_transformer_layers, at_length))
