"""One r per track type: the mean over its tracks, or one r over all its tracks together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from senformer.data.tracks import TRACK_TYPES
from senformer.evaluation.pearson import PearsonSums, is_constant, pearson_r, pool

TrackTypes = Sequence[str] | NDArray[Any] | pd.Series
"""One type per track, as `tracks.track_types` returns them."""

_COLUMNS = ["track_type", "pearson_r", "num_tracks", "num_constant"]


def mean_by_track_type(r: ArrayLike, track_types: TrackTypes) -> pd.DataFrame:
    """Average r over the tracks of each type, without constant tracks.

    Args:
        r: `[tracks]`, NaN for constant tracks.
        track_types: One type per track, `[tracks]`.

    Returns:
        One row per type that occurs, in the order of `tracks.TRACK_TYPES`: track_type, pearson_r,
        num_tracks (those with an r), num_constant.

    Raises:
        ValueError: If types and tracks differ in number, or a type is unknown.
    """
    r = np.asarray(r, np.float64)
    rows = []
    for name, is_of_type in type_masks(track_types, len(r)).items():
        of_type = r[is_of_type]
        known = of_type[~np.isnan(of_type)]
        mean = known.mean() if known.size else np.nan
        rows.append((name, mean, known.size, of_type.size - known.size))
    return pd.DataFrame(rows, columns=_COLUMNS)


def pooled_by_track_type(sums: PearsonSums, track_types: TrackTypes) -> pd.DataFrame:
    """Compute one r over the values of all tracks of a type together.

    Args:
        sums: Sums of each track, `[tracks]`.
        track_types: One type per track, `[tracks]`.

    Returns:
        The columns of `mean_by_track_type`; num_tracks counts all tracks, constant ones too.

    Raises:
        ValueError: If types and tracks differ in number, or a type is unknown.
    """
    rows = []
    for name, is_of_type in type_masks(track_types, len(sums.num_values)).items():
        of_type = sums.select(is_of_type)
        num_constant = int(is_constant(of_type).sum())
        rows.append((name, pearson_r(pool(of_type))[0], len(of_type.num_values), num_constant))
    return pd.DataFrame(rows, columns=_COLUMNS)


def mean_over_types(values: NDArray[np.float64], track_types: TrackTypes) -> NDArray[np.float64]:
    """Average over the tracks of each type: `[..., tracks]` to `[..., types]`, NaN left out."""
    means = [
        np.ma.masked_invalid(values[..., is_of_type]).mean(axis=-1).filled(np.nan)
        for is_of_type in type_masks(track_types, values.shape[-1]).values()
    ]
    return np.stack(means, axis=-1)


def type_masks(track_types: TrackTypes, num_tracks: int) -> dict[str, NDArray[np.bool_]]:
    """Return which tracks are of each type that occurs, in the order of `tracks.TRACK_TYPES`.

    Args:
        track_types: One type per track, `[tracks]`.
        num_tracks: Number of tracks, for the check.

    Returns:
        A mask `[tracks]` for each type.

    Raises:
        ValueError: If types and tracks differ in number, or a type is unknown.
    """
    types = np.asarray(track_types)
    if len(types) != num_tracks:
        raise ValueError(f"{len(types)} track types for {num_tracks} tracks: expected one each")
    unknown = sorted(set(types) - set(TRACK_TYPES))
    if unknown:
        raise ValueError(f"track type '{unknown[0]}': expected one of {', '.join(TRACK_TYPES)}")
    return {name: types == name for name in TRACK_TYPES if name in types}
