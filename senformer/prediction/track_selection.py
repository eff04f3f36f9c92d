"""Select tracks by their names, their indices or their types."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data.tracks import TRACK_TYPES, track_types

ALL_TRACKS = "all"
"""The name that selects every track."""

_NUM_SUGGESTIONS = 3
_NUM_LISTED = 10


def select_tracks(targets: pd.DataFrame, names: Iterable[str]) -> NDArray[np.intp]:
    """Return the positions of selected tracks, `[selected]`, in the table's order, each once.

    A name is `all`, a type of `TRACK_TYPES`, an identifier, a description, the index of a track in
    the table, or, if it is none of these, a part of descriptions; all in any case. All histone
    tracks have the type `Histone ChIP` (grouping `curated`).

    Args:
        targets: The targets table, from `tracks.read_targets`.
        names: The names.

    Raises:
        ValueError: If a name matches no track, with the nearest names; if it is ambiguous, such as
            an index that is also the identifier of another track; or if there is no name.
    """
    is_selected = np.zeros(len(targets), bool)
    types = track_types(targets, "curated")
    for name in [names] if isinstance(names, str) else names:
        is_selected[_find_tracks(targets, types, name)] = True
    if not is_selected.any():
        raise ValueError(f"no tracks, expected names, types or {ALL_TRACKS!r}")
    return np.flatnonzero(is_selected)


def describe_tracks(targets: pd.DataFrame, positions: Iterable[int]) -> str:
    """Describe some tracks in one line, by index, identifier and description.

    Args:
        targets: The targets table.
        positions: Positions from `select_tracks`.
    """
    positions = list(positions)
    described = [
        f"{targets.index[i]} {targets['identifier'].iloc[i]} {targets['description'].iloc[i]!r}"
        for i in positions[:_NUM_LISTED]
    ]
    num_others = len(positions) - len(described)
    return "; ".join(described) + (f"; and {num_others:,} more" if num_others else "")


def _find_tracks(targets: pd.DataFrame, types: pd.Series, name: str) -> NDArray[np.intp]:
    """Return the positions of the tracks that a name matches."""
    identifiers, descriptions = targets["identifier"], targets["description"]
    folded = name.strip().casefold()
    index = int(name) if re.fullmatch("[0-9]{1,9}", name) else None
    is_type = (types.str.casefold() == folded) | (folded == ALL_TRACKS)
    is_named = (identifiers == name) | (descriptions == name)
    is_index = targets.index.to_series() == index
    exact = [is_found for is_found in (is_type, is_named, is_index) if is_found.any()]
    if exact:
        if any((is_found != exact[0]).any() for is_found in exact):
            raise ValueError(_describe_ambiguity(name, targets, is_type | is_named | is_index))
        return np.flatnonzero(exact[0])
    if not folded or folded in map(str.casefold, TRACK_TYPES):
        raise ValueError(f"tracks={name!r}, expected {_suggest(name, targets, types)}")
    has_identifier = identifiers.str.casefold() == folded
    if identifiers[has_identifier].nunique() > 1:
        raise ValueError(_describe_ambiguity(name, targets, has_identifier))
    is_alike = has_identifier | (descriptions.str.casefold() == folded)
    is_part = descriptions.str.casefold().str.contains(folded, regex=False)
    found = np.flatnonzero(is_alike if is_alike.any() else is_part)
    if not len(found):
        raise ValueError(f"tracks={reprlib.repr(name)}, expected {_suggest(name, targets, types)}")
    return found


def _describe_ambiguity(name: str, targets: pd.DataFrame, is_found: pd.Series) -> str:
    matches = describe_tracks(targets, np.flatnonzero(is_found))
    return f"tracks={name!r} is ambiguous, expected one index or another name for: {matches}"


def _suggest(name: str, targets: pd.DataFrame, types: pd.Series) -> str:
    """Describe the accepted names, and the names nearest to an unknown one."""
    found_types = ", ".join(kind for kind in TRACK_TYPES if (types == kind).any())
    if name.strip().casefold() in map(str.casefold, TRACK_TYPES):
        return f"one of the table's types: {found_types}"
    names = {text.casefold(): text for text in [*targets["identifier"], *targets["description"]]}
    nearest = get_close_matches(name[:80].casefold(), names, _NUM_SUGGESTIONS, 0.4)
    suggestions = ", ".join(repr(names[text]) for text in nearest)
    return (
        f"an identifier, an index ({targets.index[0]} to {targets.index[-1]}), a description or a "
        f"part of one, one of {found_types}, or {ALL_TRACKS}"
    ) + (f"; the nearest are {suggestions}" if nearest else "")
