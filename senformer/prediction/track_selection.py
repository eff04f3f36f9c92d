"""Which tracks are wanted, by their names or their types."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data.tracks import TRACK_TYPES, track_types

ALL = "all"
"""Stands for every track."""

_NUM_OFFERED = 3


def select_tracks(targets: pd.DataFrame, wanted: Iterable[str]) -> NDArray[np.intp]:
    """The places of the tracks that are asked for, `[chosen]`, in the table's order, each once.

    Args:
        targets: From `tracks.read_targets`.
        wanted: Each an identifier, a description, one of `TRACK_TYPES`, or `all`. A track of a
            histone is of type `Histone ChIP`, whichever histone it is (grouping `curated`).

    Raises:
        ValueError: If no track is called so, and the nearest names; or none is asked for.
    """
    types = track_types(targets, "curated")
    chosen = np.zeros(len(targets), bool)
    for name in wanted:
        found = (targets["identifier"] == name) | (targets["description"] == name)
        if name == ALL or name in TRACK_TYPES:
            found |= (name == ALL) | (types == name)
        if not found.any():
            raise ValueError(f"tracks={name!r}, expected {_offer(name, targets, types)}")
        chosen |= found.to_numpy()
    if not chosen.any():
        raise ValueError(f"no tracks, expected names, types or {ALL!r}")
    return np.flatnonzero(chosen)


def _offer(name: str, targets: pd.DataFrame, types: pd.Series) -> str:
    there = [kind for kind in TRACK_TYPES if (types == kind).any()]
    if name in TRACK_TYPES:
        return f"one of the types that the table has: {', '.join(there)}"
    names = dict.fromkeys([*targets["identifier"], *targets["description"]])
    in_lower_case = {text.lower(): text for text in names}
    near = get_close_matches(name.lower(), in_lower_case, _NUM_OFFERED, 0.4)
    nearest = f"; the nearest are {', '.join(repr(in_lower_case[text]) for text in near)}"
    return (
        f"an identifier or description of the table, one of {', '.join(there)}, or {ALL}"
        f"{nearest if near else ''}"
    )
