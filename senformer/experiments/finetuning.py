"""What a run's fine-tuning says: of the study's claim, and of the warm start."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from senformer.data.opening import RecordFolder
from senformer.evaluation import resampling
from senformer.experiments.accuracy import accuracy_by_track_type
from senformer.experiments.run_data import TEST_SPLIT
from senformer.model.enformer import Enformer
from senformer.report.claims import COLUMNS, agreement

ENFORMER = "Enformer"
NEW_ATTENTION = "S-Enformer, new attention"
WARM_START = "S-Enformer, warm start"


def held_out_accuracy(
    models: Mapping[tuple[str, int], Enformer],
    folder: RecordFolder,
    *,
    sequence_length_bp: int,
    num_sequences: int | None = None,
) -> pd.DataFrame:
    """What fine-tuning is judged by: accuracy on test records, which no training looked at.

    Args:
        models: By name and the number of steps that they were trained for.
        folder: From `run_data.open_data`.
        sequence_length_bp: Length of the models' input.
        num_sequences: How many of the test records; all if none is said.

    Returns:
        The columns of `accuracy_by_track_type`, `model` and `step`.

    Raises:
        ValueError: As `accuracy_by_track_type`.
    """
    tables = [
        accuracy_by_track_type(
            model,
            folder,
            TEST_SPLIT,
            sequence_length_bp=sequence_length_bp,
            num_sequences=num_sequences,
        ).assign(model=name, step=step)
        for (name, step), model in models.items()
    ]
    return pd.concat(tables, ignore_index=True)


def at_the_ends(accuracy: pd.DataFrame, value: str = "pearson_r") -> pd.DataFrame:
    """Each model's accuracy before its first step and after its last, by track type.

    Args:
        accuracy: One row per evaluation: `step`, `model`, `track_type`, `value`.
        value: The column to show.

    Returns:
        Index `track_type`; columns `(model, "before")` and `(model, "after")`; Enformer, which is
        not trained further, has the same twice.
    """
    columns = {}
    for model, rows in accuracy.groupby("model", sort=False):
        table = rows.pivot(index="track_type", columns="step", values=value)
        columns[str(model), "before"] = table[table.columns.min()]
        columns[str(model), "after"] = table[table.columns.max()]
    types = accuracy["track_type"].unique()
    return pd.DataFrame(columns).loc[types]


def table_of_ends(accuracy: pd.DataFrame) -> pd.DataFrame:
    """`at_the_ends` for a page: each r with its interval, Enformer once, the others twice.

    Args:
        accuracy: From `held_out_accuracy`.

    Returns:
        One row per model and end: `model`, and a column per track type.
    """
    texts = [resampling.in_words(row, "pearson_r") for _, row in accuracy.iterrows()]
    ends = at_the_ends(accuracy.assign(in_words=texts), "in_words")
    rows: dict[str, pd.Series] = {ENFORMER: ends[ENFORMER, "after"]}
    for model in (NEW_ATTENTION, WARM_START):
        for when in ("before", "after"):
            rows[f"{model}, {when}"] = ends[model, when]
    return pd.DataFrame(rows).T.reset_index(names="model")


def judge_claims(accuracy: pd.DataFrame, *, num_steps: int, unlike: str) -> pd.DataFrame:
    """Set the study's claim of fine-tuning beside what a run measured.

    Args:
        accuracy: As for `at_the_ends`.
        num_steps: Of the run's fine-tuning.
        unlike: From `comparable.unlike_the_study`; empty where the run can tell.

    Returns:
        One row per claim of `claims.COLUMNS`.
    """
    every_type = at_the_ends(accuracy)
    ends = every_type.dropna()
    is_below = ends[NEW_ATTENTION, "after"] < ends[ENFORMER, "after"]
    has_risen = ends[NEW_ATTENTION, "after"] > ends[NEW_ATTENTION, "before"]
    measured = (
        f"after {num_steps:,} steps below Enformer for {is_below.sum()} of {len(ends)} track "
        f"types, above its own start for {has_risen.sum()}{_left_out(every_type)}"
    )
    agrees = agreement(bool(len(ends) and is_below.all()), unlike=unlike)
    return pd.DataFrame([("finetuning.parity", measured, agrees)], columns=list(COLUMNS))


def what_was_found(accuracy: pd.DataFrame) -> str:
    """Say in words how the three ways compare, from the numbers.

    Args:
        accuracy: As for `at_the_ends`.
    """
    ends = at_the_ends(accuracy)
    enformer = ends[ENFORMER, "after"]
    parts = []
    for model, when, how in (
        (NEW_ATTENTION, "before", "New attention before any step"),
        (NEW_ATTENTION, "after", "after the last"),
        (WARM_START, "before", "The warm start before any step"),
        (WARM_START, "after", "after the last"),
    ):
        difference = ends[model, when] - enformer
        parts.append(
            f"{how}: {difference.mean():+.3f} from Enformer on average "
            f"({difference.min():+.3f} to {difference.max():+.3f} by track type)"
        )
    return f"{parts[0]}; {parts[1]}. {parts[2]}; {parts[3]}{_left_out(ends)}."


def _left_out(ends: pd.DataFrame) -> str:
    """How many track types a mean leaves out since a model has no r there; mostly none."""
    num_undefined = int(ends.isna().any(axis=1).sum())
    return f"; {num_undefined} of {len(ends)} types have no r and are left out" * bool(
        num_undefined
    )
