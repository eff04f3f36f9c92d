"""Compare experiment and predictions along one sequence (the study's Figure 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import pandas as pd

from senformer.data import datasets
from senformer.data.record_folders import TARGETS_FILE, RecordFolder
from senformer.data.tracks import TRACK_TYPES, track_types
from senformer.data.windows import InputWindow
from senformer.evaluation.predictions import predictor
from senformer.experiments.run_data import TEST_SPLIT
from senformer.model.enformer import Enformer


def choose_tracks(folder: RecordFolder, names: Sequence[str] = (), *, seed: int = 0) -> list[int]:
    """Choose the tracks to show: the named ones, or a random one of each type.

    Args:
        folder: The records.
        names: Identifiers or descriptions in the targets table.
        seed: Seed of the random choice.

    Returns:
        Indices of the tracks in a prediction, in the order of names or of track types.

    Raises:
        ValueError: If no track has one of the names.
    """
    targets = folder.targets
    chosen: list[int] = []
    for name in names:
        is_named = (targets["identifier"] == name) | (targets["description"] == name)
        if not is_named.any():
            raise ValueError(f"{folder.path / TARGETS_FILE}: no track {name!r}")
        chosen.append(int(is_named.argmax()))
    if names:
        return chosen
    generator = np.random.default_rng(seed)
    types = track_types(targets).to_numpy()
    for track_type in TRACK_TYPES:
        candidates = np.flatnonzero(types == track_type)
        if len(candidates):
            chosen += generator.choice(candidates, size=1, replace=False).tolist()
    return chosen


def track_profiles(
    models: Mapping[str, Enformer],
    folder: RecordFolder,
    tracks: Sequence[int],
    *,
    sequence: int,
    sequence_length_bp: int,
) -> pd.DataFrame:
    """Return the experiment and the predictions of some tracks along one test sequence.

    Args:
        models: Models by name.
        folder: The records.
        tracks: Indices of the tracks, from `choose_tracks`.
        sequence: Index of the test record.
        sequence_length_bp: Length of the models' input.

    Returns:
        One row per track, source and bin: `track` (its description, with the identifier if two
        tracks share the description), `track_type`, `bin`, `source` (`experiment` or a model's
        name), `value`.

    Raises:
        ValueError: If there is no such record.
    """
    num_records = len(folder.intervals_of(TEST_SPLIT))
    if not 0 <= sequence < num_records:
        raise ValueError(f"{sequence=}, expected 0 to {num_records - 1}, a {TEST_SPLIT!r} record")
    target_length = next(iter(models.values())).config.target_length
    window = InputWindow(sequence_length_bp, target_length)
    example = next(islice(datasets.examples(folder, TEST_SPLIT, window), sequence, None))
    values = {"experiment": example["target"].numpy()}
    for name, model in models.items():
        predicted = predictor(model, folder.organism)(example["sequence"][np.newaxis].numpy())
        values[name] = np.asarray(predicted)[0]
    targets = folder.targets.assign(track_type=track_types(folder.targets).to_numpy())
    shown = targets.iloc[list(dict.fromkeys(tracks))]
    is_shared = shown["description"].duplicated(keep=False)
    labels = shown["description"].where(
        ~is_shared, shown["description"] + " (" + shown["identifier"] + ")"
    )
    profiles = [
        pd.DataFrame(
            {
                "track": label,
                "track_type": targets["track_type"].iloc[track],
                "bin": np.arange(target_length),
                "source": source,
                "value": value[:, track],
            }
        )
        for track, label in zip(dict.fromkeys(tracks), labels, strict=True)
        for source, value in values.items()
    ]
    return pd.concat(profiles, ignore_index=True)
