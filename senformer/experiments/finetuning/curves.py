"""Measure how accurate the fine-tuned models are, before, during and after their training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from senformer.data.record_folders import RecordFolder
from senformer.evaluation import resampling
from senformer.evaluation.track_accuracy import evaluate_track_types
from senformer.experiments.run_data import TEST_SPLIT
from senformer.model.enformer import Enformer
from senformer.report.row_labels import ENFORMER, NEW_ATTENTION, OVER_TYPES, WARM_START

_STUDENTS_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""The 97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom."""


def measure_held_out_accuracy(
    models: Mapping[tuple[str, int], Enformer],
    folder: RecordFolder,
    *,
    sequence_length_bp: int,
    num_sequences: int | None = None,
) -> pd.DataFrame:
    """Measure the accuracy of models and their drops from Enformer on the test records.

    Args:
        models: By name and number of training steps; Enformer is `(ENFORMER, 0)`.
        folder: The records.
        sequence_length_bp: Length of the models' input.
        num_sequences: Number of test records, by default all.

    Returns:
        One row per model and track type, and one for `OVER_TYPES`: `model`, `step`, `track_type`,
        `pearson_r`, `pearson_r_drop` (from Enformer), and their 95 % confidence intervals over
        sequences, `<name>_low` and `<name>_high`; those of drops are paired.
    """
    evaluated = {
        key: evaluate_track_types(
            model,
            folder,
            TEST_SPLIT,
            sequence_length_bp=sequence_length_bp,
            num_sequences=num_sequences,
        )
        for key, model in models.items()
    }
    drawn = {}
    for key, one in evaluated.items():  # the mean is over the types that have an r
        mean = np.ma.masked_invalid(one.drawn).mean(axis=1, keepdims=True).filled(np.nan)
        drawn[key] = np.concatenate([one.drawn, mean], axis=1)
    tables = []
    for (name, step), one in evaluated.items():
        r = drawn[name, step]
        types = [*one.table["track_type"], OVER_TYPES]
        rows = pd.DataFrame({"model": name, "step": step, "track_type": types})
        columns = [
            resampling.interval_columns(column, values, one.num_sequences)
            for column, values in (("pearson_r", r), ("pearson_r_drop", drawn[ENFORMER, 0] - r))
        ]
        tables.append(pd.concat([rows, *columns], axis=1))
    return pd.concat(tables, ignore_index=True)


def format_before_after(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Format accuracy before the first step and after the last one, by track type, for a page.

    Args:
        accuracy: From `measure_held_out_accuracy`.

    Returns:
        `model`, and a column per track type with r and its confidence interval: one row for
        Enformer, which is not trained further, two for each other model.
    """
    texts = [resampling.format_interval(row, "pearson_r") for _, row in accuracy.iterrows()]
    by_step = accuracy.assign(text=texts).pivot(
        index=["model", "step"], columns="track_type", values="text"
    )[accuracy["track_type"].unique()]
    rows = {ENFORMER: by_step.loc[ENFORMER].iloc[0]}
    for model in (NEW_ATTENTION, WARM_START):
        rows[f"{model}, before"] = by_step.loc[model].iloc[0]
        rows[f"{model}, after"] = by_step.loc[model].iloc[-1]
    return pd.DataFrame(rows).T.reset_index(names="model")


def fit_final_slopes(during_training: pd.DataFrame, model: str) -> pd.DataFrame:
    """Fit how steeply accuracy still rises in the last half of a training, by least squares.

    Args:
        during_training: One row per evaluation and track type: `model`, `step`, `track_type`,
            `pearson_r`.
        model: Name of the model.

    Returns:
        One row per track type: `track_type`, `slope` (increase of r in 1,000 steps) and its 95 %
        confidence interval from the residuals, `slope_low` and `slope_high`. With fewer than three
        evaluations the values are missing.
    """
    rows = during_training[during_training["model"] == model]
    last_half = rows[rows["step"] >= rows["step"].max() / 2]
    slopes = []
    for track_type, group in last_half.groupby("track_type", sort=False):
        x, y = group["step"].to_numpy() / 1000, group["pearson_r"]
        slope = half_width = np.nan
        degrees_of_freedom = len(x) - 2
        if degrees_of_freedom > 0:
            slope, intercept = map(float, np.polyfit(x, y, deg=1))
            variance = ((y - intercept - slope * x) ** 2).sum() / degrees_of_freedom
            error = np.sqrt(variance / ((x - x.mean()) ** 2).sum())
            half_width = _STUDENTS_T[min(degrees_of_freedom, len(_STUDENTS_T)) - 1] * float(error)
        slopes.append((track_type, slope, slope - half_width, slope + half_width))
    return pd.DataFrame(slopes, columns=["track_type", "slope", "slope_low", "slope_high"])


def summarize_starts(accuracy: pd.DataFrame, sequence_length_bp: int, share_kept: float) -> str:
    """Say how much less accurate the two starts are than Enformer, before and after training.

    Args:
        accuracy: From `measure_held_out_accuracy`.
        sequence_length_bp: Length of the models' input.
        share_kept: Share of a query's keys that the sparse pattern keeps, from
            `pattern.share_of_keys_kept`. If it is large, the drop says little about the pattern.
    """
    rows = accuracy[accuracy["track_type"] == OVER_TYPES].sort_values("step")
    drops = {
        model: [resampling.format_interval(row, "pearson_r_drop") for _, row in group.iterrows()]
        for model, group in rows.groupby("model")
    }
    warm, new = drops[WARM_START], drops[NEW_ATTENTION]
    is_undefined = accuracy["pearson_r"].isna() & (accuracy["track_type"] != OVER_TYPES)
    num_undefined = accuracy.loc[is_undefined, "track_type"].nunique()
    note = f" Without r, and not in the mean: {num_undefined} track types." if num_undefined else ""
    return (
        f"With Enformer's own weights and {share_kept:.0%} of the keys of an input of "
        f"{sequence_length_bp:,} bp, r is lower than Enformer's by {warm[0]} before training and "
        f"by {warm[-1]} after it; with new attention layers, as in the study, by {new[0]} and by "
        f"{new[-1]}.{note}"
    )
