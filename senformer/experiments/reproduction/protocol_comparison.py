"""Measure how each choice in the evaluation protocol changes Pearson's r."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from senformer.config import BIN_SIZE_BP
from senformer.data import datasets
from senformer.data.record_folders import TARGETS_FILE, RecordFolder
from senformer.data.tracks import strand_pairs, track_types
from senformer.data.windows import InputWindow
from senformer.evaluation import resampling
from senformer.evaluation.predictions import Example, predictor
from senformer.evaluation.protocols import Evaluated, Protocol, evaluate_resampled
from senformer.experiments.run_data import TEST_SPLIT
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.report.row_labels import ALL_STUDY_CHOICES
from senformer.study import claims

FLANKS = ("genome", "zeros", "none")
"""Flanking sequence of a record's central part: real bases, zeros, or none (a shorter input)."""


@dataclasses.dataclass(frozen=True)
class Choices:
    """Hold the choices of an evaluation protocol that r depends on.

    The defaults are the reference, the protocol of Enformer's paper (Avsec et al. 2021): real
    flanking sequence, r of each track over all stored bins of all sequences, then the mean over the
    tracks of a type.

    Attributes:
        flanks: One of `FLANKS`.
        aggregation: The values that r is taken over, one of `protocols.AGGREGATIONS`.
        log1p: Whether log(1 + x) of targets and predictions is compared.
        grouping: Definition of histone tracks, one of `tracks.GROUPINGS`.
        averaging: Views of the input whose predictions are averaged, of `averaging.VIEWS`.
        central_half: Whether only the central half of the bins counts.
        compute_dtype: Type of the model's activations and products, of `config.COMPUTE_DTYPES`.
    """

    flanks: str = "genome"
    aggregation: str = "per_track"
    log1p: bool = False
    grouping: str = "published"
    averaging: str = "none"
    central_half: bool = False
    compute_dtype: str = "float32"


class Alternative(NamedTuple):
    """Describe a protocol that differs from the reference.

    Attributes:
        choice: Name of the choice.
        option: Name of the chosen option.
        choices: The whole protocol.
        is_study_choice: Whether the study's evaluation chose this option.
    """

    choice: str
    option: str
    choices: Choices
    is_study_choice: bool = False


REFERENCE = "reference"
REPORTED = "as it reports"

ALTERNATIVES = (
    Alternative(REFERENCE, "Enformer's paper", Choices()),
    Alternative("flanks", "zeros", Choices(flanks="zeros"), is_study_choice=True),
    Alternative("flanks", "none", Choices(flanks="none")),
    Alternative("r over", "each sequence, then mean", Choices(aggregation="per_sequence")),
    Alternative("r over", "tracks at a bin, then mean", Choices(aggregation="across_tracks")),
    Alternative("r over", "bins and tracks pooled", Choices(aggregation="pooled"), True),
    Alternative("scale", "log(1 + x)", Choices(log1p=True)),
    Alternative("histones", "by name, not H3 alone", Choices(grouping="curated")),
    Alternative("averaging", "both strands", Choices(averaging="strands")),
    Alternative("averaging", "shifts of 1 bp", Choices(averaging="shifts")),
    Alternative("averaging", "strands and shifts", Choices(averaging="strands and shifts")),
    Alternative("bins", "central half", Choices(central_half=True)),
    Alternative("precision", "bfloat16", Choices(compute_dtype="bfloat16")),
    Alternative(
        ALL_STUDY_CHOICES, "zeros, pooled", Choices(flanks="zeros", aggregation="pooled"), True
    ),
)
"""The compared protocols: the reference, single choices, and all of the study's choices."""


def measure_accuracy(
    model: Enformer,
    folder: RecordFolder,
    *,
    sequence_length_bp: int,
    context_length_bp: int,
    num_sequences: int | None = None,
    fasta: str | Path | None = None,
) -> pd.DataFrame:
    """Measure a model's accuracy on the test records by track type under each protocol.

    Each input is predicted once; all protocols that need the prediction reduce it.

    Args:
        model: The model; its head for the folder's organism is evaluated.
        folder: The records.
        sequence_length_bp: Length of the model's input.
        context_length_bp: Length of the central part that keeps its bases with all kinds of
            flanking sequence. The study kept the 131,072 bp of a record in an input of 196,608 bp.
        num_sequences: Number of records, by default all.
        fasta: The genome, which real flanking sequence needs if records are shorter than the input.

    Returns:
        One row per protocol and track type: `choice`, `option`, `is_study_choice`, `track_type`,
        `pearson_r`, `pearson_r_change` (from the reference), their 95 % confidence intervals over
        sequences (`<name>_low`, `<name>_high`), `num_tracks` (tracks with a value), `num_constant`
        (tracks without r), `num_undefined` (values of r that the mean leaves out).

    Raises:
        ValueError: If a length does not fit the model or the records, or there is no source of
            real flanking sequence.
    """
    target_length = model.config.target_length
    window = InputWindow(sequence_length_bp, target_length, fasta=fasta)
    pairs = strand_pairs(folder.targets, folder.path / TARGETS_FILE)
    by_input: dict[tuple[str, str], dict[str, Protocol]] = {}
    for index, (_, _, choices, _) in enumerate(ALTERNATIVES):
        protocol = Protocol(
            track_types(folder.targets, choices.grouping),
            choices.aggregation,
            log1p=choices.log1p,
            averaging=choices.averaging,
            central_bins=max(1, target_length // 2) if choices.central_half else None,
        )
        by_input.setdefault((choices.flanks, choices.compute_dtype), {})[str(index)] = protocol
    evaluated: dict[str, Evaluated] = {}
    for (flanks, compute_dtype), protocols in by_input.items():
        examples = examples_with_flanks(folder, flanks, window, context_length_bp)
        evaluated |= evaluate_resampled(
            predictor(_cast(model, compute_dtype), folder.organism),
            islice(examples, num_sequences),
            protocols,
            strand_pairs=pairs,
        )
    tables = []
    for index, one in enumerate(ALTERNATIVES):
        rows = _add_change(evaluated[str(index)], evaluated["0"])
        rows.insert(0, "choice", one.choice)
        rows.insert(1, "option", one.option)
        rows.insert(2, "is_study_choice", one.is_study_choice)
        tables.append(rows)
    return pd.concat(tables, ignore_index=True)


def compare_study_choices(frame: pd.DataFrame) -> pd.DataFrame:
    """Compare the effects of the study's choices one by one with their effect together.

    If `remainder` is far from zero, the choices depend on each other, and the difference between
    two protocols is not the sum of its parts.

    Args:
        frame: From `measure_accuracy`.

    Returns:
        One row per track type: `track_type`, the change in r by each choice of the study,
        `together`, `remainder` (together minus the sum), and `study_reports`, the change that the
        study states, if it states one.
    """
    rows = frame[frame["is_study_choice"]]
    change = rows.pivot(index="track_type", columns="choice", values="pearson_r_change")
    change = change.loc[rows["track_type"].unique()].rename(columns={ALL_STUDY_CHOICES: "together"})
    single = [name for name in rows["choice"].unique() if name != ALL_STUDY_CHOICES]
    summary = change[[*single, "together"]].assign(
        remainder=change["together"] - change[single].sum(axis=1, skipna=False),
        study_reports=-pd.Series(reported_drops()).reindex(change.index),
    )
    return summary.rename_axis(columns=None).reset_index()


def format_reference(frame: pd.DataFrame) -> pd.DataFrame:
    """Format r under the reference by track type for a page.

    Args:
        frame: From `measure_accuracy`.

    Returns:
        Columns `track_type`, `pearson_r` (text with its confidence interval), `num_tracks`,
        `num_constant`.
    """
    rows = frame[frame["choice"] == REFERENCE]
    texts = [resampling.format_interval(row, "pearson_r") for _, row in rows.iterrows()]
    return rows.assign(pearson_r=texts)[["track_type", "pearson_r", "num_tracks", "num_constant"]]


def append_reported(frame: pd.DataFrame) -> pd.DataFrame:
    """Append the changes that the study reports, for `figures.protocol_changes`.

    Args:
        frame: From `measure_accuracy`; its `attrs` are kept.
    """
    drops = pd.Series(reported_drops())
    reported = pd.DataFrame({"track_type": drops.index, "pearson_r_change": -drops.to_numpy()})
    reported = reported.assign(choice=ALL_STUDY_CHOICES, option=REPORTED, is_study_choice=True)
    both = pd.concat([frame, reported], ignore_index=True)
    both.attrs = dict(frame.attrs)
    return both


def reported_drops() -> dict[str, float]:
    """Return how much lower than published Enformer's r was in the study, by track type.

    The study states only the largest and the smallest difference.
    """
    return {
        claims.TRACK_TYPE_NAMES[name]: claims.get_value(f"reproduction.{name}_deficit")
        for name in ("chip_tf", "cage")
    }


def examples_with_flanks(
    folder: RecordFolder, flanks: str, window: InputWindow, context_length_bp: int
) -> Iterable[Example]:
    """Read the test records with one kind of flanking sequence.

    Args:
        folder: The records.
        flanks: One of `FLANKS`.
        window: The model's input and output, and the genome.
        context_length_bp: Length of the central part that keeps its bases.

    Raises:
        ValueError: If there is no source of real flanking sequence.
    """
    if flanks == "genome":
        if window.sequence_length_bp > folder.sequence_length_bp:
            if window.fasta is None:
                raise ValueError(
                    f"{folder.path}: records of {folder.sequence_length_bp} bp have no real flanks "
                    f"up to {window.sequence_length_bp} bp, expected a FASTA of the genome"
                )
            window = dataclasses.replace(window, flanks="genome")
        return datasets.examples(folder, TEST_SPLIT, window)
    context_window = InputWindow(context_length_bp, window.target_length)
    context = datasets.examples(folder, TEST_SPLIT, context_window)
    if flanks == "none":
        return context
    missing_bp = window.sequence_length_bp - context_length_bp
    left_bp = missing_bp // BIN_SIZE_BP // 2 * BIN_SIZE_BP
    padding = [[left_bp, missing_bp - left_bp], [0, 0]]
    return (
        {**example, "sequence": np.pad(np.asarray(example["sequence"]), padding)}
        for example in context
    )


def _add_change(evaluated: Evaluated, reference: Evaluated) -> pd.DataFrame:
    """Add the change of r from the reference and its paired confidence interval."""
    r, reference_r = (
        pd.DataFrame(one.drawn, columns=one.table["track_type"]) for one in (evaluated, reference)
    )
    change = (r - reference_r.reindex(columns=r.columns)).to_numpy()
    low, high = resampling.interval(change, evaluated.num_sequences)
    by_type = reference.table.set_index("track_type")["pearson_r"]
    rows = evaluated.table.assign(
        pearson_r_change=evaluated.table["pearson_r"] - evaluated.table["track_type"].map(by_type),
        pearson_r_change_low=low,
        pearson_r_change_high=high,
    )
    values = [
        f"{r}{end}" for r in ("pearson_r", "pearson_r_change") for end in ("", "_low", "_high")
    ]
    return rows[["track_type", *values, "num_tracks", "num_constant", "num_undefined"]]


def _cast(model: Enformer, compute_dtype: str) -> Enformer:
    """Return a model with the same weights and random blocks that computes in another type."""
    if model.config.compute_dtype == compute_dtype:
        return model
    other = Enformer(model.config.replace(compute_dtype=compute_dtype))
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        checkpoints.save(model, weights)
        checkpoints.restore_into(other, weights)
    return other
