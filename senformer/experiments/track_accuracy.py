"""How accurate models are on the records of a folder: by track type, and sequence by sequence."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import pandas as pd

from senformer.config import expect_integer
from senformer.data import datasets
from senformer.data.record_folders import RecordFolder
from senformer.data.tracks import track_types
from senformer.data.windows import InputWindow
from senformer.evaluation.per_sequence import fit_per_sequence
from senformer.evaluation.predictions import predictor
from senformer.evaluation.protocols import Evaluated, Protocol, evaluate_resampled
from senformer.evaluation.shares import share_of
from senformer.experiments.run_data import TEST_SPLIT
from senformer.model.compute import replicas
from senformer.model.enformer import Enformer

_INTERVAL = ("pearson_r", "pearson_r_low", "pearson_r_high")
_COLUMNS = ("track_type", *_INTERVAL, "num_tracks", "num_constant")


def accuracy_by_track_type(
    model: Enformer,
    folder: RecordFolder,
    split: str,
    *,
    sequence_length_bp: int,
    num_sequences: int | None = None,
) -> pd.DataFrame:
    """The table of `evaluate_track_types`.

    Returns:
        One row per track type: `track_type`, `pearson_r`, `pearson_r_low` and `pearson_r_high` (its
        95 % interval over sequences, missing where there is one alone), `num_tracks`,
        `num_constant`.
    """
    evaluated = evaluate_track_types(
        model, folder, split, sequence_length_bp=sequence_length_bp, num_sequences=num_sequences
    )
    return evaluated.table[list(_COLUMNS)]


def evaluate_track_types(
    model: Enformer,
    folder: RecordFolder,
    split: str,
    *,
    sequence_length_bp: int,
    num_sequences: int | None = None,
) -> Evaluated:
    """Correlate prediction and experiment per track over all bins, and average by track type.

    In the scope of a strategy its devices share the records; what is returned is the same. Models
    that are evaluated on the same records are given the same resamplings, so that the interval of
    their difference can be taken.

    Args:
        model: Its head of the folder's organism is evaluated.
        folder: From `run_data.open_data`.
        split: Which records.
        sequence_length_bp: Length of the model's input.
        num_sequences: How many of them, by default all.

    Raises:
        ValueError: If the number of sequences is not a whole number of at least 1.
    """
    expect_number_of_sequences(num_sequences)
    records = datasets.examples(
        folder,
        split,
        InputWindow(sequence_length_bp, model.config.target_length),
        share=datasets.Share(replicas.worker(), replicas.num_workers()),
    )
    num_mine = None if num_sequences is None else len(share_of(num_sequences))
    [evaluated] = evaluate_resampled(
        predictor(model, folder.organism),
        islice(records, num_mine),
        {"": Protocol(track_types(folder.targets))},
        batch_size=len(replicas.local_replicas()),
    ).values()
    return evaluated


def accuracy_per_sequence(
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
        folder: From `run_data.open_data`.
        sequence_length_bp: Length of the models' input.
        num_sequences: How many records, by default all.
        split: Which records.

    Returns:
        As `per_sequence.fit_per_sequence`.

    Raises:
        ValueError: As `accuracy_by_track_type`.
    """
    expect_number_of_sequences(num_sequences)
    records = datasets.examples(
        folder,
        split,
        InputWindow(sequence_length_bp, next(iter(models.values())).config.target_length),
    )
    return fit_per_sequence(
        {name: predictor(model, folder.organism) for name, model in models.items()},
        islice(records, num_sequences),
        track_types(folder.targets),
    )


def expect_number_of_sequences(num_sequences: int | None) -> None:
    """Refuse a number of records that is none; `None` is all.

    Raises:
        ValueError: If it is not a whole number of at least 1.
    """
    if num_sequences is not None:
        expect_integer("num_sequences", num_sequences, 1)
