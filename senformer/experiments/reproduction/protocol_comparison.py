"""What each choice in the evaluation protocol is worth in Pearson's r."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from senformer.config import BIN_SIZE_BP
from senformer.data import datasets
from senformer.data.record_folders import TARGETS_FILE, RecordFolder
from senformer.data.tracks import strand_pairs, track_types
from senformer.data.windows import InputWindow
from senformer.evaluation import averaging, resampling
from senformer.evaluation.predictions import Example, predictor
from senformer.evaluation.protocols import Evaluated, Protocol, evaluate_resampled
from senformer.experiments.run_data import TEST_SPLIT
from senformer.experiments.track_accuracy import expect_number_of_sequences
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.report.row_labels import ALL_STUDY_CHOICES
from senformer.study import claims

FLANKS = ("genome", "zeros", "none")
"""What surrounds the records' central part: the real bases, zeros, or nothing (a shorter input)."""


@dataclasses.dataclass(frozen=True)
class Choices:
    """Everything that has to be stated before a value of r means something.

    The defaults are the reference, the protocol of Enformer's paper (Avsec et al. 2021): real
    flanks, r of each track over all bins of all sequences as they are stored, then the mean over a
    type's tracks.

    Attributes:
        flanks: One of `FLANKS`.
        aggregation: Over what r is taken, one of `protocols.AGGREGATIONS`.
        log1p: Whether log(1 + x) of both is compared.
        grouping: What counts as a histone track, one of `tracks.GROUPINGS`.
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
    """Another protocol than the reference.

    Attributes:
        choice: What is chosen, in a few words.
        option: How it is chosen.
        changes: The fields of `Choices` in which it differs.
        is_study_choice: Whether the study's evaluation chose so.
    """

    choice: str
    option: str
    changes: Mapping[str, Any]
    is_study_choice: bool = False

    @property
    def choices(self) -> Choices:
        """The whole protocol: the reference's but for the changes."""
        return dataclasses.replace(Choices(), **self.changes)


STUDY = {"flanks": "zeros", "aggregation": "pooled"}
"""What the study's evaluation chose otherwise than the reference, as its code has it.

In all other choices (raw values, histones by H3, one strand, every bin) it is the reference's.
"""

REFERENCE = "reference"
REPORTED = "as it reports"
FLANKS_CHOICE, R_OVER, SCALE, HISTONES, AVERAGING, BINS, PRECISION = (
    "flanks",
    "r over",
    "scale",
    "histones",
    "averaging",
    "bins",
    "precision",
)

ALTERNATIVES = (
    Alternative(REFERENCE, "Enformer's paper", {}),
    Alternative(FLANKS_CHOICE, "zeros", {"flanks": "zeros"}, is_study_choice=True),
    Alternative(FLANKS_CHOICE, "none", {"flanks": "none"}),
    Alternative(R_OVER, "each sequence, then mean", {"aggregation": "per_sequence"}),
    Alternative(R_OVER, "tracks at a bin, then mean", {"aggregation": "across_tracks"}),
    Alternative(R_OVER, "bins and tracks pooled", {"aggregation": "pooled"}, is_study_choice=True),
    Alternative(SCALE, "log(1 + x)", {"log1p": True}),
    Alternative(HISTONES, "by name, not H3 alone", {"grouping": "curated"}),
    Alternative(AVERAGING, "both strands", {"averaging": "strands"}),
    Alternative(AVERAGING, "shifts of 1 bp", {"averaging": "shifts"}),
    Alternative(AVERAGING, "strands and shifts", {"averaging": "strands and shifts"}),
    Alternative(BINS, "central half", {"central_half": True}),
    Alternative(PRECISION, "bfloat16", {"compute_dtype": "bfloat16"}),
    Alternative(ALL_STUDY_CHOICES, "zeros, pooled", STUDY, is_study_choice=True),
)
"""The protocols that are compared: the reference, one choice changed at a time, the study's."""


def measure_accuracy(
    model: Enformer,
    folder: RecordFolder,
    *,
    sequence_length_bp: int,
    context_length_bp: int,
    num_sequences: int | None = None,
    fasta: str | Path | None = None,
    split: str = TEST_SPLIT,
) -> pd.DataFrame:
    """Measure a model's accuracy by track type under each of `ALTERNATIVES`.

    Each input is predicted once and each prediction is reduced by all protocols that it serves.

    Args:
        model: Its head of the folder's organism is evaluated.
        folder: From `record_folders.open_folders`.
        sequence_length_bp: Length of the model's input.
        context_length_bp: Its central part that keeps its bases whatever the flanks. The study's
            was the 131,072 bp of a record, in an input of 196,608.
        num_sequences: How many records, by default all.
        fasta: The genome, needed for real flanks where records are shorter than the input.
        split: Which records.

    Returns:
        One row per protocol and track type: `choice` and `option` (of an `Alternative`),
        `is_study_choice`, `track_type`, `pearson_r`, `change` (of r, from the reference), both with
        their 95 % intervals over sequences (`<name>_low`, `<name>_high`), `num_tracks` (those that
        took part), `num_constant` (those without an r of their own), `num_undefined` (values of r
        that the mean left out, as of `protocols.evaluate`).

    Raises:
        ValueError: If a length does not suit the model or the records, the predicted bins are not
            the middle of both strands, or neither the records nor a FASTA have the real flanks.
    """
    expect_number_of_sequences(num_sequences)
    for length in (sequence_length_bp, context_length_bp):
        model.config.num_tokens(length)
        averaging.expect_same_middle(length, model.config.target_length)
    pairs = strand_pairs(folder.targets, folder.path / TARGETS_FILE)
    chosen = [one.choices for one in ALTERNATIVES]
    evaluated: dict[str, Evaluated] = {}
    for flanks, compute_dtype in dict.fromkeys((one.flanks, one.compute_dtype) for one in chosen):
        computing = _computing_in(model, compute_dtype)
        records = _examples(
            folder,
            flanks,
            split=split,
            sequence_length_bp=sequence_length_bp,
            context_length_bp=context_length_bp,
            target_length=model.config.target_length,
            fasta=fasta,
        )
        evaluated |= evaluate_resampled(
            predictor(computing, folder.organism),
            islice(records, num_sequences),
            protocols(
                folder.targets,
                flanks,
                compute_dtype,
                target_length=model.config.target_length,
            ),
            strand_pairs=pairs,
        )
    return _changes({int(place): one for place, one in evaluated.items()})


def protocols(
    targets: pd.DataFrame, flanks: str, compute_dtype: str, *, target_length: int
) -> dict[str, Protocol]:
    """Those of `ALTERNATIVES` that need the same predictions, by their place.

    Args:
        targets: The targets table.
        flanks: One of `FLANKS`.
        compute_dtype: As of `Choices`.
        target_length: Bins that the model predicts.
    """
    chosen = {str(place): one.choices for place, one in enumerate(ALTERNATIVES)}
    return {
        place: Protocol(
            track_types(targets, choices.grouping),
            choices.aggregation,
            log1p=choices.log1p,
            averaging=choices.averaging,
            central_bins=max(1, target_length // 2) if choices.central_half else None,
        )
        for place, choices in chosen.items()
        if (choices.flanks, choices.compute_dtype) == (flanks, compute_dtype)
    }


def predictions_per_record() -> int:
    """How often `accuracy` predicts each record: every input once for each view and type."""
    views: dict[tuple[str, str], set[averaging.View]] = {}
    for one in ALTERNATIVES:
        choices = one.choices
        views.setdefault((choices.flanks, choices.compute_dtype), set()).update(
            averaging.VIEWS[choices.averaging]
        )
    return sum(map(len, views.values()))


def compare_study_choices(frame: pd.DataFrame) -> pd.DataFrame:
    """Set what the study's choices are worth one by one beside what they are worth together.

    Where `remainder` is not near zero the choices depend on each other, and the difference between
    two protocols is not the sum of what their parts are worth.

    Args:
        frame: From `accuracy`.

    Returns:
        One row per track type: `track_type`, one column per choice of the study with its `change`
        in r, `together`, `remainder` (together less the sum), and `study_reports`, the change that
        the study states, where it does.
    """
    rows = frame[frame["is_study_choice"]]
    change = rows.pivot(index="track_type", columns="choice", values="pearson_r_change")
    change = change.loc[rows["track_type"].unique()].rename(columns={ALL_STUDY_CHOICES: "together"})
    alone = [name for name in dict.fromkeys(rows["choice"]) if name != ALL_STUDY_CHOICES]
    summary = change[[*alone, "together"]].assign(
        remainder=change["together"] - change[alone].sum(axis=1, skipna=False),
        study_reports=-pd.Series(reported_drops()).reindex(change.index),
    )
    return summary.rename_axis(columns=None).reset_index()


def format_reference(frame: pd.DataFrame) -> pd.DataFrame:
    """Give r under the reference by type of track, for a page.

    Args:
        frame: From `accuracy`.

    Returns:
        Columns `track_type`, `pearson_r` (in words, with its interval), `num_tracks`,
        `num_constant`.
    """
    rows = frame[frame["choice"] == REFERENCE]
    texts = [resampling.format_interval(row, "pearson_r") for _, row in rows.iterrows()]
    return rows.assign(pearson_r=texts)[["track_type", "pearson_r", "num_tracks", "num_constant"]]


def append_reported(frame: pd.DataFrame) -> pd.DataFrame:
    """Append the differences that the study reports, for `figures.protocol_changes`.

    Args:
        frame: From `accuracy`; what `results.read` attached to it is kept.
    """
    reported = pd.DataFrame(
        [
            {
                "choice": ALL_STUDY_CHOICES,
                "option": REPORTED,
                "track_type": track_type,
                "pearson_r_change": -deficit,
            }
            for track_type, deficit in reported_drops().items()
        ]
    )
    both = pd.concat([frame, reported.assign(is_study_choice=True)], ignore_index=True)
    both.attrs = dict(frame.attrs)
    return both


def reported_drops() -> dict[str, float]:
    """How much lower than published Enformer's r came out in the study, by track type.

    It gives the largest and the smallest difference only.
    """
    return {
        claims.TRACK_TYPE_NAMES[name]: claims.get_value(f"reproduction.{name}_deficit")
        for name in ("chip_tf", "cage")
    }


def conclusion(frame: pd.DataFrame) -> str:
    """Say in words what the study's choices are worth, and which choice is worth most.

    Args:
        frame: From `accuracy`.
    """
    by_size = _mean_change(frame).abs().sort_values(ascending=False)
    (choice, option), size = by_size.index[0], by_size.iloc[0]
    found = compare_study_choices(frame)
    low, high = found["together"].min(), found["together"].max()
    return (
        f"How r is taken can change it by {size:.2f} with the same predictions ({choice}: "
        f"{option}); the study's two choices together change it by {low:+.3f} to {high:+.3f}, by "
        f"type of track, and lower it for {(found['together'] < 0).sum()} of {len(found)} types. "
        "The study reports lower values for all."
    )


def _changes(evaluated: Mapping[int, Evaluated]) -> pd.DataFrame:
    """Put places back into words, the reference first, and r into its change."""
    [reference] = [place for place, one in enumerate(ALTERNATIVES) if one.choice == REFERENCE]
    tables = [
        _with_change(evaluated[place], evaluated[reference]).assign(
            choice=ALTERNATIVES[place].choice,
            option=ALTERNATIVES[place].option,
            is_study_choice=ALTERNATIVES[place].is_study_choice,
        )
        for place in sorted(evaluated)
    ]
    columns = ["choice", "option", "is_study_choice", "track_type"]
    values = [
        f"{name}{end}"
        for name in ("pearson_r", "pearson_r_change")
        for end in ("", "_low", "_high")
    ]
    counts = ["num_tracks", "num_constant", "num_undefined"]
    return pd.concat(tables, ignore_index=True)[[*columns, *values, *counts]]


def _with_change(one: Evaluated, reference: Evaluated) -> pd.DataFrame:
    """A protocol's table and the change of r from the reference, on the same sequences drawn."""
    r, of_reference = (
        pd.DataFrame(which.drawn, columns=which.table["track_type"]) for which in (one, reference)
    )
    change = (r - of_reference.reindex(columns=r.columns)).to_numpy()
    low, high = resampling.interval(change, one.num_sequences)
    by_type = reference.table.set_index("track_type")["pearson_r"]
    return one.table.assign(
        pearson_r_change=one.table["pearson_r"] - one.table["track_type"].map(by_type),
        pearson_r_change_low=low,
        pearson_r_change_high=high,
    )


def _mean_change(frame: pd.DataFrame) -> pd.Series:
    """The mean change over types of each alternative that changes one choice."""
    one = frame[~frame["choice"].isin([REFERENCE, ALL_STUDY_CHOICES])]
    return one.groupby(["choice", "option"], sort=False)["pearson_r_change"].mean()


def _computing_in(model: Enformer, compute_dtype: str) -> Enformer:
    """The same weights in a model that computes in another type."""
    if model.config.compute_dtype == compute_dtype:
        return model
    other = Enformer(model.config.replace(compute_dtype=compute_dtype))
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        checkpoints.save(model, weights)  # random blocks that came with the weights included
        checkpoints.restore_into(other, weights)
    return other


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
        window = InputWindow(sequence_length_bp, target_length)
        if beyond_records:
            window = InputWindow(sequence_length_bp, target_length, "genome", fasta)
        return datasets.examples(folder, split, window)
    context = datasets.examples(folder, split, InputWindow(context_length_bp, target_length))
    if flanks == "none":
        return context
    return (_zero_padded(example, sequence_length_bp) for example in context)


def _zero_padded(example: Example, sequence_length_bp: int) -> Example:
    sequence = np.asarray(example["sequence"])  # [context, 4]
    missing_bp = sequence_length_bp - len(sequence)
    left_bp = missing_bp // BIN_SIZE_BP // 2 * BIN_SIZE_BP
    return {**example, "sequence": np.pad(sequence, [[left_bp, missing_bp - left_bp], [0, 0]])}
