"""Two models side by side: accuracy by track type, sequence by sequence, and along one sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import numpy as np
import pandas as pd

from senformer.config import preset
from senformer.data import datasets
from senformer.data.opening import RecordFolder
from senformer.data.tracks import TRACK_TYPES, track_types
from senformer.evaluation import evaluation
from senformer.model.enformer import Enformer
from senformer.report import published

TEST_SPLIT = "test"

MODELS = {"enformer": "Enformer", "senformer": "S-Enformer"}
"""The two models that are compared: the beginning of their columns, and their names."""


def accuracy_by_track_type(
    model: Enformer,
    folder: RecordFolder,
    split: str,
    *,
    sequence_length_bp: int,
    num_sequences: int | None = None,
) -> pd.DataFrame:
    """Correlate prediction and experiment per track over all bins, and average by track type.

    Args:
        model: Its head of the folder's organism is evaluated.
        folder: From `open_data`.
        split: Which records.
        sequence_length_bp: Length of the model's input.
        num_sequences: How many of them, by default all.

    Returns:
        One row per track type: `track_type`, `pearson_r`, `num_tracks`, `num_constant`.
    """
    records = datasets.examples(
        folder,
        split,
        sequence_length_bp=sequence_length_bp,
        target_length=model.config.target_length,
    )
    per_track = evaluation.correlation_per_track(
        predictor(model, folder.organism), islice(records, num_sequences)
    )
    return evaluation.mean_by_track_type(per_track, track_types(folder.targets))


def predictor(model: Enformer, head: str) -> Callable[[np.ndarray], np.ndarray]:
    """One head of a model as a function: `[batch, length, 4]` to `[batch, bins, tracks]`."""
    return lambda sequence: model.predict_on_batch(sequence)[head].numpy()


def fit_per_sequence(
    models: Mapping[str, Enformer],
    folder: RecordFolder,
    *,
    sequence_length_bp: int,
    num_sequences: int | None = None,
    split: str = TEST_SPLIT,
) -> pd.DataFrame:
    """Say how well and how high models predict each sequence (the study's Figures 6 and 7).

    Args:
        models: By the name that tables show.
        folder: From `open_data`.
        sequence_length_bp: Length of the models' input.
        num_sequences: How many records, by default all.
        split: Which records.

    Returns:
        As `evaluation.fit_per_sequence`.
    """
    records = datasets.examples(
        folder,
        split,
        sequence_length_bp=sequence_length_bp,
        target_length=next(iter(models.values())).config.target_length,
    )
    return evaluation.fit_per_sequence(
        {name: predictor(model, folder.organism) for name, model in models.items()},
        islice(records, num_sequences),
        track_types(folder.targets),
    )


def unlike_the_study(
    model: Enformer,
    folder: RecordFolder,
    *,
    sequence_length_bp: int,
    num_sequences: int | None,
    published_weights: bool,
) -> str:
    """Say why what a run measures can not be held against what the study states.

    Args:
        model: The run's Enformer.
        folder: The records that it is evaluated on.
        sequence_length_bp: Length of its input.
        num_sequences: How many test sequences; `None` is all.
        published_weights: Whether its weights are those that DeepMind published.

    Returns:
        A sentence that names each difference, or nothing where there is none.
    """
    config, study = model.config, preset("enformer")
    num_tracks = int(
        sum(published.value(f"data.human_{key}") for key in published.TRACK_TYPE_NAMES)
    )
    num_test = len(folder.intervals_of(TEST_SPLIT)[:num_sequences])
    sizes = (
        (config.channels, study.channels, "channels"),
        (config.num_transformer_layers, study.num_transformer_layers, "layers"),
        (sequence_length_bp, published.SEQUENCE_LENGTH_BP, "bp"),
        (folder.num_tracks, num_tracks, "tracks"),
        (num_test, int(published.value("data.human_test")), "test sequences"),
    )
    differences = [
        f"{here:,} {unit} instead of {there:,}" for here, there, unit in sizes if here != there
    ]
    if not published_weights:
        differences.append("weights trained in this run instead of the published ones")
    return f"here {', '.join(differences)}." if differences else ""


def choose_tracks(
    folder: RecordFolder, names: Sequence[str] = (), *, per_type: int = 1, seed: int = 0
) -> list[int]:
    """Choose tracks to show: those named, or a few of each type at random.

    Args:
        folder: From `open_data`.
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
        folder: From `open_data`.
        tracks: From `choose_tracks`.
        sequence: Which record of the split, from 0.
        sequence_length_bp: Length of the models' input.
        split: Which records.

    Returns:
        One row per track, bin and source: `track`, `track_type`, `bin`, `source` (`experiment` or
        a model's name), `value`.

    Raises:
        ValueError: If the split has no such record.
    """
    num_records = len(folder.intervals_of(split))
    if not 0 <= sequence < num_records:
        raise ValueError(f"{sequence=}, expected 0 to {num_records - 1}, a record of {split!r}")
    target_length = next(iter(models.values())).config.target_length
    records = datasets.examples(
        folder, split, sequence_length_bp=sequence_length_bp, target_length=target_length
    )
    example = next(islice(records, sequence, None))
    values = {"experiment": example["target"].numpy()}
    for name, model in models.items():
        values[name] = predictor(model, folder.organism)(example["sequence"][np.newaxis].numpy())[0]
    types = track_types(folder.targets).to_numpy()
    descriptions = folder.targets["description"].to_numpy()
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "track": descriptions[track],
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


def _track_named(name: str, folder: RecordFolder) -> int:
    targets = folder.targets
    matching = np.flatnonzero((targets["identifier"] == name) | (targets["description"] == name))
    if not len(matching):
        raise ValueError(f"{folder.path / 'targets.txt'}: no track {name!r}")
    return int(matching[0])
