"""What each choice in the evaluation protocol is worth in Pearson's r."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import tensorflow as tf

from senformer import comparison, datasets, evaluation
from senformer.config import BIN_SIZE_BP
from senformer.datasets import RecordFolder
from senformer.enformer import Enformer
from senformer.tracks import track_types


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a model's accuracy is measured.

    Attributes:
        name: What tables and figures call it.
        flanks: What surrounds the central `context_length_bp` of the model's input: the real
            bases (`genome`), `zeros`, or nothing, so that the input is shorter (`none`).
        average: Correlate each track over all bins of all sequences (`bins`), or within each
            sequence and take the mean (`sequences`).
        log1p: Compare log(1 + x) of prediction and experiment.
        grouping: Which tracks count as histone marks, as in `senformer.tracks.track_types`.
    """

    name: str
    flanks: str = "genome"
    average: str = "bins"
    log1p: bool = False
    grouping: str = "published"


PROTOCOLS = (
    Protocol(name="as Enformer's paper"),
    Protocol(name="zero padding", flanks="zeros"),
    Protocol(name="no flanks", flanks="none"),
    Protocol(name="mean over sequences", average="sequences"),
    Protocol(name="log(1 + x)", log1p=True),
    Protocol(name="histones by name", grouping="curated"),
    Protocol(
        name="all of these", flanks="zeros", average="sequences", log1p=True, grouping="curated"
    ),
)
"""The reference first, then each choice changed alone, then all together.

The reference is that of Avsec et al. 2021: real flanks, each track over all bins of all sequences,
coverage as it is.
"""


def accuracy(
    model: Enformer,
    folder: RecordFolder,
    protocols: Sequence[Protocol] = PROTOCOLS,
    *,
    sequence_length_bp: int,
    context_length_bp: int,
    split: str = "test",
    num_sequences: int | None = None,
    fasta: str | Path | None = None,
) -> pd.DataFrame:
    """Measure a model's accuracy by track type under each protocol.

    Args:
        model: Its head of the folder's organism is evaluated.
        folder: From `datasets.open_folders`.
        protocols: The first is what the others are compared with.
        sequence_length_bp: Length of the model's input.
        context_length_bp: Its central part that keeps its bases under every protocol. The study's
            was the 131,072 bp of a record, in an input of 196,608.
        split: Which records.
        num_sequences: How many of them, by default all.
        fasta: The genome, needed for real flanks where records are shorter than the input.

    Returns:
        One row per protocol and track type: protocol, track_type, pearson_r, num_tracks (those
        that have an r), num_constant (those that have none), and change (of r, from the first
        protocol).

    Raises:
        ValueError: If a length does not suit the model or the records, or real flanks are asked
            for and neither the records nor a FASTA have them.
    """
    for length in (sequence_length_bp, context_length_bp):
        model.config.num_tokens(length)
    frames = []
    for protocol in protocols:
        records = _examples(
            folder,
            protocol.flanks,
            split=split,
            sequence_length_bp=sequence_length_bp,
            context_length_bp=context_length_bp,
            target_length=model.config.target_length,
            fasta=fasta,
        )
        by_type = _accuracy(model, folder, protocol, records.take(num_sequences or -1))
        frames.append(by_type.assign(protocol=protocol.name))
    frame = pd.concat(frames, ignore_index=True)
    reference = frame[frame["protocol"] == protocols[0].name].set_index("track_type")["pearson_r"]
    change = frame["pearson_r"] - frame["track_type"].map(reference)
    columns = ["protocol", "track_type", "pearson_r", "num_tracks", "num_constant"]
    return frame[columns].assign(change=change)


def _accuracy(
    model: Enformer, folder: RecordFolder, protocol: Protocol, records: tf.data.Dataset
) -> pd.DataFrame:
    predict = comparison.predictor(model, folder.organism)
    types = track_types(folder.targets, protocol.grouping)
    if protocol.average == "bins":
        per_track = evaluation.correlation_per_track(predict, records, log1p=protocol.log1p)
        return evaluation.mean_by_track_type(per_track, types)
    per_sequence = evaluation.correlation_per_sequence(
        predict, records, types, log1p=protocol.log1p
    )
    return _mean_over_sequences(per_sequence)


def _mean_over_sequences(per_sequence: pd.DataFrame) -> pd.DataFrame:
    grouped = per_sequence.groupby("track_type", sort=False)
    return pd.DataFrame(
        {
            "pearson_r": grouped["pearson_r"].mean(),
            "num_tracks": grouped["num_tracks"].max(),
            "num_constant": 0,
        }
    ).reset_index()


def _examples(
    folder: RecordFolder,
    flanks: str,
    *,
    split: str,
    sequence_length_bp: int,
    context_length_bp: int,
    target_length: int,
    fasta: str | Path | None,
) -> tf.data.Dataset:
    if flanks != "genome":
        context = datasets.examples(
            folder, split, sequence_length_bp=context_length_bp, target_length=target_length
        )
        if flanks == "none":
            return context
        return context.map(lambda example: _zero_padded(example, sequence_length_bp))
    if sequence_length_bp <= folder.sequence_length_bp:
        return datasets.examples(
            folder, split, sequence_length_bp=sequence_length_bp, target_length=target_length
        )
    if fasta is None:
        raise ValueError(
            f"{folder.path}: records of {folder.sequence_length_bp} bp have no real flanks up to "
            f"{sequence_length_bp} bp, expected a FASTA of the genome"
        )
    return datasets.examples(
        folder,
        split,
        sequence_length_bp=sequence_length_bp,
        target_length=target_length,
        flanks="genome",
        fasta=fasta,
    )


def _zero_padded(example: dict[str, tf.Tensor], sequence_length_bp: int) -> dict[str, tf.Tensor]:
    missing_bp = sequence_length_bp - example["sequence"].shape[0]
    left_bp = missing_bp // BIN_SIZE_BP // 2 * BIN_SIZE_BP
    padding = [[left_bp, missing_bp - left_bp], [0, 0]]
    return {**example, "sequence": tf.pad(example["sequence"], padding)}
