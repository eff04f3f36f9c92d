"""Select tracks by their names or their types."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data.tracks import TRACK_TYPES, track_types

ALL_TRACKS = "all"
"""The name that selects every track."""

_NUM_SUGGESTIONS = 3


def select_tracks(targets: pd.DataFrame, names: Iterable[str]) -> NDArray[np.intp]:
    """Return the positions of selected tracks, `[selected]`, in the table's order, each once.

    Args:
        targets: The targets table, from `tracks.read_targets`.
        names: Identifiers, descriptions, types of `TRACK_TYPES`, or `all`. All histone tracks have
            the type `Histone ChIP` (grouping `curated`).

    Raises:
        ValueError: If a name matches no track, with the nearest names; or if there is no name.
    """
    types = track_types(targets, "curated")
    is_selected = np.zeros(len(targets), bool)
    for name in names:
        found = (targets["identifier"] == name) | (targets["description"] == name)
        if name == ALL_TRACKS or name in TRACK_TYPES:
            found |= (name == ALL_TRACKS) | (types == name)
        if not found.any():
            raise ValueError(f"tracks={name!r}, expected {_suggest(name, targets, types)}")
        is_selected |= found.to_numpy()
    if not is_selected.any():
        raise ValueError(f"no tracks, expected names, types or {ALL_TRACKS!r}")
    return np.flatnonzero(is_selected)


def _suggest(name: str, targets: pd.DataFrame, types: pd.Series) -> str:
    """Describe the accepted names, and the names nearest to an unknown one."""
    found_types = ", ".join(kind for kind in TRACK_TYPES if (types == kind).any())
    if name in TRACK_TYPES:
        return f"one of the table's types: {found_types}"
    names = {text.lower(): text for text in [*targets["identifier"], *targets["description"]]}
    nearest = get_close_matches(name.lower(), names, _NUM_SUGGESTIONS, 0.4)
    suggestions = ", ".join(repr(names[text]) for text in nearest)
    return f"an identifier or description of the table, one of {found_types}, or {ALL_TRACKS}" + (
        f"; the nearest are {suggestions}" if nearest else ""
    )
