"""One r per track type: the mean over its tracks, or one r over all of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data.tracks import TRACK_TYPES
from senformer.evaluation import resampling
from senformer.evaluation.pearson import PearsonSums, is_constant, merge, pearson_r, pool

TrackTypes = Sequence[str] | NDArray[Any] | pd.Series
"""One type per track, as `tracks.track_types` gives them."""


def mean_by_track_type(per_track: pd.DataFrame, track_types: TrackTypes) -> pd.DataFrame:
    """Average r over the tracks of each type, constant tracks left out and counted.

    Args:
        per_track: column pearson_r, one row per track.
        track_types: one type per track, `[tracks]`.

    Returns:
        One row per type that occurs, in the order of `tracks.TRACK_TYPES`: track_type, pearson_r,
        num_tracks (those with an r), num_constant.

    Raises:
        ValueError: if types and tracks differ in number, or a type is unknown.
    """
    r = per_track["pearson_r"].to_numpy(np.float64)
    types = validated_types(track_types, len(r))
    rows = []
    for track_type in types_present(types):
        of_type = r[types == track_type]
        known = of_type[~np.isnan(of_type)]
        rows.append(
            {
                "track_type": track_type,
                "pearson_r": known.mean() if known.size else np.nan,
                "num_tracks": known.size,
                "num_constant": of_type.size - known.size,
            }
        )
    return pd.DataFrame(rows)


def mean_r_by_track_type(sums: PearsonSums, track_types: TrackTypes) -> pd.DataFrame:
    """Give `mean_by_track_type` of the r that sums of each track hold."""
    return mean_by_track_type(pd.DataFrame({"pearson_r": pearson_r(sums)}), track_types)


def pooled_r_by_track_type(sums: PearsonSums, track_types: TrackTypes) -> pd.DataFrame:
    """Take one r over the values of all tracks of a type together.

    Args:
        sums: of each track, `[tracks]`.
        track_types: one type per track, `[tracks]`.

    Returns:
        The columns of `mean_by_track_type`; num_tracks counts all tracks, the constant ones too.

    Raises:
        ValueError: if types and tracks differ in number, or a type is unknown.
    """
    types = validated_types(track_types, len(sums.num_values))
    rows = []
    for track_type in types_present(types):
        of_type = PearsonSums(*(part[types == track_type] for part in sums))
        rows.append(
            {
                "track_type": track_type,
                "pearson_r": pearson_r(pool(of_type))[0],
                "num_tracks": len(of_type.num_values),
                "num_constant": int(is_constant(of_type).sum()),
            }
        )
    return pd.DataFrame(rows)


def resampled_mean_r_by_track_type(
    of_sequences: Sequence[PearsonSums], track_types: TrackTypes
) -> NDArray[np.float64]:
    """`mean_r_by_track_type` of sequences as they are and drawn anew.

    Args:
        of_sequences: sums of each sequence, `[tracks]`, from `pearson.pearson_sums`.
        track_types: one type per track, `[tracks]`.

    Returns:
        `[1 + resamplings, types]`, types as `types_present` gives them.
    """
    r = resampling.r_of_moments(resampling.resampled(resampling.moments_of_sums(of_sequences)))
    # Of a track that never changes, rounding would make an r.
    r[:, is_constant(functools.reduce(merge, of_sequences))] = np.nan
    return mean_over_tracks_of_types(r, track_types)


def resampled_pooled_r_by_track_type(
    of_sequences: Sequence[PearsonSums], track_types: TrackTypes
) -> NDArray[np.float64]:
    """`pooled_r_by_track_type` of sequences as they are and drawn anew.

    Args:
        of_sequences: as of `resampled_mean_r_by_track_type`.
        track_types: one type per track, `[tracks]`.

    Returns:
        As `resampled_mean_r_by_track_type`.
    """
    types = np.asarray(track_types)
    drawn = []
    for name in types_present(types):
        pooled = [pool(PearsonSums(*(part[types == name] for part in s))) for s in of_sequences]
        moments = resampling.moments_of_sums(pooled)
        drawn.append(resampling.r_of_moments(resampling.resampled(moments))[:, 0])
    return np.stack(drawn, axis=1)


def mean_over_tracks_of_types(
    values: NDArray[np.float64], track_types: TrackTypes
) -> NDArray[np.float64]:
    """Average over the tracks of each type: `[..., tracks]` to `[..., types]`, NaN left out."""
    types = np.asarray(track_types)
    means = [
        np.ma.masked_invalid(values[..., types == name]).mean(axis=-1).filled(np.nan)
        for name in types_present(types)
    ]
    return np.stack(means, axis=-1)


def validated_types(track_types: TrackTypes, num_tracks: int) -> NDArray[Any]:
    """Give the types as an array, once they are known and as many as the tracks.

    Raises:
        ValueError: if types and tracks differ in number, or a type is unknown.
    """
    types = np.asarray(track_types)
    if len(types) != num_tracks:
        raise ValueError(f"{len(types)} track types for {num_tracks} tracks: expected one each")
    unknown = sorted(set(types) - set(TRACK_TYPES))
    if unknown:
        raise ValueError(f"track type '{unknown[0]}': expected one of {', '.join(TRACK_TYPES)}")
    return types


def types_present(track_types: TrackTypes) -> list[str]:
    """Give the types that occur, in the order of `tracks.TRACK_TYPES`."""
    present = set(np.asarray(track_types))
    return [name for name in TRACK_TYPES if name in present]
