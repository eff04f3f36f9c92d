"""What each choice in the evaluation protocol is worth in Pearson's r."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from senformer import comparison, datasets, evaluation
from senformer.config import BIN_SIZE_BP
from senformer.datasets import RecordFolder
from senformer.enformer import Enformer
from senformer.evaluation import Example, Protocol
from senformer.tracks import track_types

FLANKS = ("genome", "zeros", "none")
"""What surrounds the records' central part: the real bases, zeros, or nothing (a shorter input)."""

REFERENCE = "as in Enformer's paper"


def protocols(targets: pd.DataFrame) -> dict[str, dict[str, Protocol]]:
    """The choices that are compared, by what surrounds the central part and by name.

    The first is the reference, that of Avsec et al. 2021: real flanks, r of each track over all
    bins of all sequences, then the mean over tracks. Each other differs from it in one choice,
    but for the study's, which differs in two.

    Args:
        targets: The targets table.
    """
    published, curated = (track_types(targets, name) for name in ("published", "curated"))
    return {
        "genome": {
            REFERENCE: Protocol(published),
            "r per sequence, then mean": Protocol(published, "per_sequence"),
            "r across tracks, then mean": Protocol(published, "across_tracks"),
            "one r for all tracks": Protocol(published, "pooled"),
            "log(1 + x)": Protocol(published, log1p=True),
            "histones by name": Protocol(curated),
        },
        "zeros": {
            "zeros for flanks": Protocol(published),
            "the study's: zeros, one r": Protocol(published, "pooled"),
        },
        "none": {"no flanks": Protocol(published)},
    }


def accuracy(
    model: Enformer,
    folder: RecordFolder,
    *,
    sequence_length_bp: int,
    context_length_bp: int,
    num_sequences: int | None = None,
    fasta: str | Path | None = None,
    split: str = comparison.TEST_SPLIT,
) -> pd.DataFrame:
    """Measure a model's accuracy by track type under each of `protocols`.

    Args:
        model: Its head of the folder's organism is evaluated.
        folder: From `datasets.open_folders`.
        sequence_length_bp: Length of the model's input.
        context_length_bp: Its central part that keeps its bases whatever the flanks. The study's
            was the 131,072 bp of a record, in an input of 196,608.
        num_sequences: How many records, by default all.
        fasta: The genome, needed for real flanks where records are shorter than the input.
        split: Which records.

    Returns:
        One row per protocol and track type: `protocol`, `track_type`, `pearson_r`, `num_tracks`
        (those that took part), `num_constant` (those without an r of their own), and `change` (of
        r, from the reference).

    Raises:
        ValueError: If a length does not suit the model or the records, or neither the records nor
            a FASTA have the real flanks.
    """
    for length in (sequence_length_bp, context_length_bp):
        model.config.num_tokens(length)
    frames = []
    for flanks, of_flanks in protocols(folder.targets).items():
        records = _examples(
            folder,
            flanks,
            split=split,
            sequence_length_bp=sequence_length_bp,
            context_length_bp=context_length_bp,
            target_length=model.config.target_length,
            fasta=fasta,
        )
        predict = comparison.predictor(model, folder.organism)
        frames.append(evaluation.evaluate(predict, islice(records, num_sequences), of_flanks))
    frame = pd.concat(frames, ignore_index=True)
    reference = frame[frame["protocol"] == REFERENCE].set_index("track_type")["pearson_r"]
    return frame.assign(change=frame["pearson_r"] - frame["track_type"].map(reference))


def _examples(
    folder: RecordFolder,
    flanks: str,
    *,
    split: str,
    sequence_length_bp: int,
    context_length_bp: int,
    target_length: int,
    fasta: str | Path | None,
) -> Iterable[Example]:
    if flanks == "genome":
        beyond_records = sequence_length_bp > folder.sequence_length_bp
        if beyond_records and fasta is None:
            raise ValueError(
                f"{folder.path}: records of {folder.sequence_length_bp} bp have no real flanks up "
                f"to {sequence_length_bp} bp, expected a FASTA of the genome"
            )
        return datasets.examples(
            folder,
            split,
            sequence_length_bp=sequence_length_bp,
            target_length=target_length,
            flanks="genome" if beyond_records else "zeros",
            fasta=fasta if beyond_records else None,
        )
    context = datasets.examples(
        folder, split, sequence_length_bp=context_length_bp, target_length=target_length
    )
    if flanks == "none":
        return context
    return (_zero_padded(example, sequence_length_bp) for example in context)


def _zero_padded(example: Example, sequence_length_bp: int) -> Example:
    sequence = np.asarray(example["sequence"])  # [context, 4]
    missing_bp = sequence_length_bp - len(sequence)
    left_bp = missing_bp // BIN_SIZE_BP // 2 * BIN_SIZE_BP
    return {**example, "sequence": np.pad(sequence, [[left_bp, missing_bp - left_bp], [0, 0]])}
