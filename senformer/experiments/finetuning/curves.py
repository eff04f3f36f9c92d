"""What a run's fine-tuning says: of the study's claims, and of the warm start."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data.record_folders import RecordFolder
from senformer.evaluation import resampling
from senformer.evaluation.protocols import Evaluated
from senformer.experiments.run_data import TEST_SPLIT
from senformer.experiments.track_accuracy import evaluated_by_track_type
from senformer.model.enformer import Enformer
from senformer.study.verdicts import THIS_CODE, judgement, table

ENFORMER = "Enformer"
NEW_ATTENTION = "S-Enformer, new attention"
WARM_START = "S-Enformer, warm start"

OVER_TYPES = "mean of the types"
"""What the tables call the mean of r over types of track, in place of a type."""

_STUDENTS_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""The 97.5 % quantile of Student's t, by degrees of freedom from 1 on."""


def measure_held_out_accuracy(
    models: Mapping[tuple[str, int], Enformer],
    folder: RecordFolder,
    *,
    sequence_length_bp: int,
    num_sequences: int | None = None,
) -> pd.DataFrame:
    """What fine-tuning is judged by: accuracy on test records, which no training looked at.

    Args:
        models: By name and the number of steps that they were trained for; `(ENFORMER, 0)` is one.
        folder: From `run_data.open_data`.
        sequence_length_bp: Length of the models' input.
        num_sequences: How many of the test records; all if none is said.

    Returns:
        One row per model and type of track, and one for `OVER_TYPES`: `model`, `step`,
        `track_type`, `pearson_r`, `behind` (r of Enformer less its own), and the 95 % intervals of
        the two over sequences, `<name>_low` and `<name>_high`, that of the difference paired.

    Raises:
        ValueError: As `accuracy.evaluated_by_track_type`.
    """
    evaluated = {
        which: evaluated_by_track_type(
            model,
            folder,
            TEST_SPLIT,
            sequence_length_bp=sequence_length_bp,
            num_sequences=num_sequences,
        )
        for which, model in models.items()
    }
    tables = [
        _beside(of, evaluated[ENFORMER, 0]).assign(model=name, step=step)
        for (name, step), of in evaluated.items()
    ]
    rows = pd.concat(tables, ignore_index=True)
    return rows[["model", "step", *rows.columns.drop(["model", "step"])]]


def compare_before_after(accuracy: pd.DataFrame, value: str = "pearson_r") -> pd.DataFrame:
    """Each model's accuracy before its first step and after its last, by track type.

    Args:
        accuracy: From `held_out_accuracy`.
        value: The column to show.

    Returns:
        Index `track_type`; columns `(model, "before")` and `(model, "after")`; Enformer, which is
        not trained further, has the same twice.
    """
    columns = {}
    for model, rows in accuracy.groupby("model", sort=False):
        by_step = rows.pivot(index="track_type", columns="step", values=value)
        columns[str(model), "before"] = by_step[by_step.columns.min()]
        columns[str(model), "after"] = by_step[by_step.columns.max()]
    types = accuracy["track_type"].unique()
    return pd.DataFrame(columns).loc[types]


def format_before_after(accuracy: pd.DataFrame) -> pd.DataFrame:
    """`compare_before_after` for a page: each r with its interval, Enformer once, the others twice.

    Args:
        accuracy: From `held_out_accuracy`.

    Returns:
        One row per model and end: `model`, and a column per track type.
    """
    texts = [resampling.format_interval(row, "pearson_r") for _, row in accuracy.iterrows()]
    ends = compare_before_after(accuracy.assign(in_words=texts), "in_words")
    rows: dict[str, pd.Series] = {ENFORMER: ends[ENFORMER, "after"]}
    for model in (NEW_ATTENTION, WARM_START):
        for when in ("before", "after"):
            rows[f"{model}, {when}"] = ends[model, when]
    return pd.DataFrame(rows).T.reset_index(names="model")


def fit_final_slopes(during_training: pd.DataFrame, model: str) -> pd.DataFrame:
    """How steeply accuracy still rises in the last half of a training.

    Args:
        during_training: One row per evaluation and type of track: `model`, `step`, `track_type`,
            `pearson_r`.
        model: Whose.

    Returns:
        One row per type: `track_type`, `slope`, the rise of r in 1,000 steps by least squares, and
        its 95 % interval, `slope_low` and `slope_high`: by how far the evaluations lie off the
        line. Missing of fewer than three evaluations.
    """
    rows = during_training[during_training["model"] == model]
    last_half = rows[rows["step"] >= rows["step"].max() / 2]
    slopes = []
    for track_type, of_type in last_half.groupby("track_type", sort=False):
        slope, half_width = _slope(of_type["step"].to_numpy() / 1000, of_type["pearson_r"])
        slopes.append((track_type, slope, slope - half_width, slope + half_width))
    return pd.DataFrame(slopes, columns=["track_type", "slope", "slope_low", "slope_high"])


def judge_claims(
    accuracy: pd.DataFrame, during_training: pd.DataFrame, *, num_steps: int, unlike: str
) -> pd.DataFrame:
    """Set the study's claims of fine-tuning beside what a run measured.

    Args:
        accuracy: From `held_out_accuracy`.
        during_training: As for `fit_final_slopes`.
        num_steps: Of the run's fine-tuning.
        unlike: From `comparable.unlike_the_study`; empty where the run can tell.

    Returns:
        Rows of `claims.COLUMNS`.
    """
    ends = {
        name: compare_before_after(accuracy, name)
        for name in ("pearson_r_drop_low", "pearson_r_drop_high")
    }
    low, high = (
        of_end.loc[of_end.index != OVER_TYPES, (NEW_ATTENTION, "after")].dropna()
        for of_end in ends.values()
    )
    below = None
    if len(low) and (low > 0).all():
        below = True
    elif (high < 0).any():
        below = False
    num_types = accuracy.loc[accuracy["track_type"] != OVER_TYPES, "track_type"].nunique()
    said = f"after {num_steps:,} steps below Enformer for {(low > 0).sum()} of {num_types} types"
    slopes = fit_final_slopes(during_training, NEW_ATTENTION)
    rising, falling = slopes["slope_low"] > 0, slopes["slope_high"] < 0
    improving = None
    if len(slopes) and rising.all():
        improving = True
    elif falling.any():
        improving = False
    trend = (
        f"in the last half of the steps rising for {rising.sum()} of {len(slopes)} types, falling "
        f"for {falling.sum()}; for the others neither can be told"
    )
    return table(
        [
            judgement("finetuning.below_enformer", THIS_CODE, said, below, unlike=unlike),
            judgement("finetuning.still_improving", THIS_CODE, trend, improving, unlike=unlike),
        ]
    )


def summarize_starts(accuracy: pd.DataFrame, sequence_length_bp: int, share_kept: float) -> str:
    """Say in words how far the two starts are behind Enformer, before and after training.

    Args:
        accuracy: From `held_out_accuracy`.
        sequence_length_bp: Length of the models' input.
        share_kept: Of a query's keys by the sparse pattern, `pattern.share_of_keys_kept`: where it
            is large, little is said of what a pattern costs.
    """
    rows = accuracy[accuracy["track_type"] == OVER_TYPES].sort_values("step")
    behind = {
        model: [resampling.format_interval(row, "pearson_r_drop") for _, row in of_model.iterrows()]
        for model, of_model in rows.groupby("model")
    }
    warm, new = behind[WARM_START], behind[NEW_ATTENTION]
    return (
        f"With Enformer's own weights and {share_kept:.0%} of the keys of an input of "
        f"{sequence_length_bp:,} bp, r is behind Enformer's by {warm[0]} before "
        f"any training and by {warm[-1]} after it; with new attention layers, the study's way, by "
        f"{new[0]} and by {new[-1]}{_left_out(accuracy)}."
    )


def _beside(of: Evaluated, enformer: Evaluated) -> pd.DataFrame:
    """A model's r and how far it is behind, by type and over types, with paired intervals."""
    r, of_enformer = (_with_mean(one.drawn) for one in (of, enformer))
    types = [*of.table["track_type"], OVER_TYPES]
    return pd.DataFrame({"track_type": types}).join(
        [
            resampling.interval_columns(name, drawn, of.num_sequences)
            for name, drawn in (("pearson_r", r), ("pearson_r_drop", of_enformer - r))
        ]
    )


def _with_mean(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """`[draws, types]` and, last, the mean over the types that have an r."""
    mean = np.ma.masked_invalid(drawn).mean(axis=1).filled(np.nan)
    return np.concatenate([drawn, mean[:, np.newaxis]], axis=1)


def _slope(x: NDArray[np.float64], y: pd.Series) -> tuple[float, float]:
    """The least-squares slope and half the width of its 95 % interval."""
    freedom = len(x) - 2
    if freedom < 1:
        return np.nan, np.nan
    slope, intercept = np.polyfit(x, y, deg=1)
    residual = y - intercept - slope * x
    error = np.sqrt((residual**2).sum() / freedom / ((x - x.mean()) ** 2).sum())
    return float(slope), float(_STUDENTS_T[min(freedom, len(_STUDENTS_T)) - 1] * error)


def _left_out(accuracy: pd.DataFrame) -> str:
    """How many types of track a mean leaves out since a model has no r there; mostly none."""
    r = compare_before_after(accuracy).drop(index=OVER_TYPES)
    num_undefined = int(r.isna().any(axis=1).sum())
    return f"; {num_undefined} types have no r and are left out" if num_undefined else ""
