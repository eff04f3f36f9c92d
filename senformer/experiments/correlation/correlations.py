"""Two models sequence by sequence: how alike they are, who is ahead, who predicts too much."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.evaluation import resampling
from senformer.evaluation.per_sequence import compare_per_sequence
from senformer.report.row_labels import POOLED_TRACKS
from senformer.study import published_tables

MODELS = {"enformer": "Enformer", "senformer": "S-Enformer"}
"""The two models that are compared: the beginning of their columns, and their names."""

R_OVER = {
    "pearson_r": "each track, then the mean",
    "pooled_pearson_r": POOLED_TRACKS,
}
"""The two ways to take r within a sequence: as the study's text says, and as its code does."""

STATISTICS = ("mean", "median")
"""What is compared to see whether a model predicts too much."""


def pair_models(fits: pd.DataFrame) -> pd.DataFrame:
    """Set Enformer's and S-Enformer's r of each sequence beside each other, both kinds of r.

    Args:
        fits: From `accuracy.accuracy_per_sequence`, of models named as in `MODELS`.

    Returns:
        One row per kind of r, sequence and track type: `r_over` (one of `R_OVER`), `sequence`,
        `track_type`, `enformer_pearson_r`, `senformer_pearson_r`; those of one kind are what
        `compare_per_sequence` and `figures.correlation` take.
    """
    kinds = []
    for column, r_over in R_OVER.items():
        wide = fits.pivot(index=["sequence", "track_type"], columns="model", values=column)
        named = {f"{key}_pearson_r": wide[name] for key, name in MODELS.items()}
        kinds.append(pd.DataFrame({"r_over": r_over, **named}).reset_index())
    columns = ["r_over", "sequence", "track_type", *(f"{key}_pearson_r" for key in MODELS)]
    return pd.concat(kinds, ignore_index=True)[columns]


def compare_models(per_sequence: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Compare the models by each kind of r, with intervals from resampling the sequences.

    Args:
        per_sequence: From `pair_models`.
        seed: Of the resampling.

    Returns:
        The columns of `compare_per_sequence`, and `r_over` before them.
    """
    compared = [
        compare_per_sequence(rows, seed=seed).assign(r_over=r_over)
        for r_over, rows in per_sequence.groupby("r_over", sort=False)
    ]
    frame = pd.concat(compared, ignore_index=True)
    return frame[["r_over", *frame.columns.drop("r_over")]]


def combine_sources(compared: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """Set the study's statements and stored results beside this run's, for `figures.accuracy`.

    Args:
        compared: From `compare`.
        stored: From `studys_results.compare`.

    Returns:
        Rows as `figures.accuracy.between_models` takes them, with the `attrs` of `compared`.
    """
    columns = ["source", "track_type", "pearson_r", "pearson_r_low", "pearson_r_high"]
    columns += ["share_senformer_ahead", "share_low", "share_high"]
    own = compared.assign(source="measured here, r over " + compared["r_over"])
    tables = [
        published_tables.published_correlation().assign(source="the study states"),
        stored.assign(source="the study stored"),
        own,
    ]
    together = pd.concat([table.reindex(columns=columns) for table in tables], ignore_index=True)
    together.attrs = compared.attrs
    return together


def measure_levels(fits: pd.DataFrame) -> pd.DataFrame:
    """Say whether models predict too much: means and medians of prediction and experiment.

    Args:
        fits: From `accuracy.accuracy_per_sequence`.

    Returns:
        One row per model, track type and statistic (`mean` or `median` over a sequence's bins):
        `model`, `track_type`, `statistic`, `experiment` and `prediction` (coverage, averaged over
        sequences and tracks), `share_above` (fraction of sequences and tracks that are predicted
        strictly above the experiment) and its 95 % interval over sequences, `share_above_low` and
        `share_above_high`, `num_sequences`.
    """
    rows = []
    for statistic in STATISTICS:
        for (model, track_type), of_type in fits.groupby(["model", "track_type"], sort=False):
            rows.append(
                {
                    "model": model,
                    "track_type": track_type,
                    "statistic": statistic,
                    "experiment": of_type[f"experiment_{statistic}"].mean(),
                    "prediction": of_type[f"prediction_{statistic}"].mean(),
                    **_share_with_interval(of_type[f"{statistic}_above"].to_numpy(np.float64)),
                    "num_sequences": len(of_type),
                }
            )
    return pd.DataFrame(rows)


def classify_levels(level: pd.DataFrame) -> pd.Series:
    """Whether most sequences and tracks are predicted too high, by row of `levels`.

    Returns:
        1 where the interval of the share lies above one half, -1 where it lies below, 0 where it
        holds one half or there is none.
    """
    above = level["share_above_low"] > 0.5
    below = level["share_above_high"] < 0.5
    return above.astype(int) - below.astype(int)


def conclusion(compared: pd.DataFrame, level: pd.DataFrame) -> str:
    """Say in words who is ahead, how alike the models are, and whether they predict too much.

    Args:
        compared: From `compare`.
        level: From `levels`.
    """
    rows = compared[compared["r_over"] == R_OVER["pearson_r"]]
    ahead = rows["share_senformer_ahead"]
    r = rows["pearson_r"]
    tendency = classify_levels(level)
    return (
        f"S-Enformer is ahead in {ahead.min():.0%} to {ahead.max():.0%} of the sequences, and r "
        f"between the models is {r.min():.2f} to {r.max():.2f}, by type of track. Of "
        f"{len(level)} cases of model, type and statistic, predictions are too high in "
        f"{(tendency > 0).sum()} and too low in {(tendency < 0).sum()}."
    )


def _share_with_interval(of_sequences: NDArray[np.float64]) -> dict[str, float]:
    """The mean of shares over sequences, and its interval."""
    drawn = resampling.resample_sums(of_sequences[:, np.newaxis]) / len(of_sequences)
    row = resampling.interval_columns("share_above", drawn, len(of_sequences)).iloc[0]
    return {str(name): float(value) for name, value in row.items()}
