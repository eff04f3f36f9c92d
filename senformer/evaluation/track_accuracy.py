"""Measure the accuracy of models on records, by track type and for each sequence."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import pandas as pd

from senformer.data import datasets
from senformer.data.record_folders import RecordFolder
from senformer.data.tracks import track_types
from senformer.data.windows import InputWindow
from senformer.evaluation.per_sequence import fit_per_sequence
from senformer.evaluation.predictions import predictor
from senformer.evaluation.protocols import Evaluated, Protocol, evaluate_resampled
from senformer.evaluation.shares import share_of
from senformer.model.compute import replicas
from senformer.model.enformer import Enformer


def evaluate_track_types(
    model: Enformer,
    folder: RecordFolder,
    split: str,
    *,
    sequence_length_bp: int,
    num_sequences: int | None = None,
) -> Evaluated:
    """Compute r of each track over all bins of all sequences, and average it by track type.

    In the scope of a strategy, its devices share the records; the result is the same. Models that
    are evaluated on the same records get the same resamplings, so differences are paired.

    Args:
        model: The model; its head for the folder's organism is evaluated.
        folder: The records.
        split: Name of the split.
        sequence_length_bp: Length of the model's input.
        num_sequences: Number of records, by default all.
    """
    window = InputWindow(sequence_length_bp, model.config.target_length)
    share = datasets.Share(replicas.worker(), replicas.num_workers())
    examples = datasets.examples(folder, split, window, share=share)
    [evaluated] = evaluate_resampled(
        predictor(model, folder.organism),
        islice(examples, None if num_sequences is None else len(share_of(num_sequences))),
        {"": Protocol(track_types(folder.targets))},
        batch_size=len(replicas.local_replicas()),
    ).values()
    return evaluated


def accuracy_per_sequence(
    models: Mapping[str, Enformer],
    folder: RecordFolder,
    split: str,
    *,
    sequence_length_bp: int,
    num_sequences: int | None = None,
) -> pd.DataFrame:
    """Measure accuracy and level of the predictions of each sequence (Figures 6 and 7).

    Args:
        models: Models by name.
        folder: The records.
        split: Name of the split.
        sequence_length_bp: Length of the models' input.
        num_sequences: Number of records, by default all.

    Returns:
        The table of `per_sequence.fit_per_sequence`.
    """
    target_length = next(iter(models.values())).config.target_length
    window = InputWindow(sequence_length_bp, target_length)
    return fit_per_sequence(
        {name: predictor(model, folder.organism) for name, model in models.items()},
        islice(datasets.examples(folder, split, window), num_sequences),
        track_types(folder.targets),
    )
