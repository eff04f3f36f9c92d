"""Experiment and predictions along one sequence, for a few tracks (the study's Figure 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import pandas as pd

from senformer.data import datasets
from senformer.data.record_folders import RecordFolder
from senformer.data.tracks import TRACK_TYPES, track_types
from senformer.data.windows import InputWindow
from senformer.evaluation.predictions import predictor
from senformer.experiments.run_data import TEST_SPLIT
from senformer.model.enformer import Enformer


def choose_tracks(
    folder: RecordFolder, names: Sequence[str] = (), *, per_type: int = 1, seed: int = 0
) -> list[int]:
    """Choose tracks to show: those named, or a few of each type at random.

    Args:
        folder: From `run_data.open_data`.
        names: Identifiers or descriptions in the targets table.
        per_type: Tracks of each type where none is named.
        seed: Of the random choice.

    Returns:
        Positions of the tracks in a prediction, in the order of names or of track types.

    Raises:
        ValueError: If no track has a name that is asked for.
    """
    if names:
        return [_track_named(name, folder) for name in names]
    generator = np.random.default_rng(seed)
    types = track_types(folder.targets).to_numpy()
    chosen = []
    for track_type in TRACK_TYPES:
        candidates = np.flatnonzero(types == track_type)
        size = min(per_type, len(candidates))
        chosen += sorted(generator.choice(candidates, size=size, replace=False).tolist())
    return chosen


def track_profiles(
    models: Mapping[str, Enformer],
    folder: RecordFolder,
    tracks: Sequence[int],
    *,
    sequence: int,
    sequence_length_bp: int,
    split: str = TEST_SPLIT,
) -> pd.DataFrame:
    """Experiment and predictions along one sequence (the study's Figure 7).

    Args:
        models: By the name that figures show.
        folder: From `run_data.open_data`.
        tracks: From `choose_tracks`.
        sequence: Which record of the split, from 0.
        sequence_length_bp: Length of the models' input.
        split: Which records.

    Returns:
        One row per track, bin and source: `track` (its description, with the identifier where two
        tracks share it), `track_type`, `bin`, `source` (`experiment` or a model's name), `value`.

    Raises:
        ValueError: If the split has no such record.
    """
    num_records = len(folder.intervals_of(split))
    if not 0 <= sequence < num_records:
        raise ValueError(f"{sequence=}, expected 0 to {num_records - 1}, a record of {split!r}")
    target_length = next(iter(models.values())).config.target_length
    records = datasets.examples(folder, split, InputWindow(sequence_length_bp, target_length))
    example = next(islice(records, sequence, None))
    values = {"experiment": example["target"].numpy()}
    for name, model in models.items():
        predicted = predictor(model, folder.organism)(example["sequence"][np.newaxis].numpy())
        values[name] = np.asarray(predicted)[0]
    types = track_types(folder.targets).to_numpy()
    names = _names_of(tracks, folder)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "track": names[track],
                    "track_type": types[track],
                    "bin": np.arange(target_length),
                    "source": source,
                    "value": value[:, track],
                }
            )
            for track in tracks
            for source, value in values.items()
        ],
        ignore_index=True,
    )


def _names_of(tracks: Sequence[int], folder: RecordFolder) -> dict[int, str]:
    """Descriptions, with the identifier where tracks share one, as the strands of one do."""
    of_tracks = folder.targets.iloc[list(dict.fromkeys(tracks))]
    is_shared = of_tracks["description"].duplicated(keep=False)
    named = of_tracks["description"].where(
        ~is_shared, of_tracks["description"] + " (" + of_tracks["identifier"] + ")"
    )
    return dict(zip(dict.fromkeys(tracks), named, strict=True))


def _track_named(name: str, folder: RecordFolder) -> int:
    targets = folder.targets
    matching = np.flatnonzero((targets["identifier"] == name) | (targets["description"] == name))
    if not len(matching):
        raise ValueError(f"{folder.path / 'targets.txt'}: no track {name!r}")
    return int(matching[0])
