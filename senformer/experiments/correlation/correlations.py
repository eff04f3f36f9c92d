"""Compare two models sequence by sequence: their r, and how often they predict too much."""

from __future__ import annotations

import numpy as np
import pandas as pd

from senformer.evaluation import resampling
from senformer.evaluation.per_sequence import compare_per_sequence
from senformer.report.row_labels import POOLED_TRACKS
from senformer.study import published_tables

MODELS = {"enformer": "Enformer", "senformer": "S-Enformer"}
"""The compared models: prefixes of their columns, and their names."""

R_OVER = {
    "pearson_r": "each track, then the mean",
    "pooled_pearson_r": POOLED_TRACKS,
}
"""The two kinds of r within a sequence: the one in the study's text, and the one in its code."""


def pair_models(fits: pd.DataFrame) -> pd.DataFrame:
    """Pair Enformer's and S-Enformer's r of each sequence, for both kinds of r.

    Args:
        fits: From `track_accuracy.accuracy_per_sequence`, of models named as in `MODELS`.

    Returns:
        One row per kind of r, sequence and track type: `r_over` (one of `R_OVER`), `sequence`,
        `track_type`, `enformer_pearson_r`, `senformer_pearson_r`.
    """
    kinds = []
    for column, r_over in R_OVER.items():
        wide = fits.pivot(index=["sequence", "track_type"], columns="model", values=column)
        r = {f"{prefix}_pearson_r": wide[name] for prefix, name in MODELS.items()}
        rows = pd.DataFrame(r).reset_index()
        rows.insert(0, "r_over", r_over)
        kinds.append(rows)
    return pd.concat(kinds, ignore_index=True)


def compare_models(per_sequence: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Compare the models by each kind of r, with confidence intervals over sequences.

    Args:
        per_sequence: From `pair_models`.
        seed: Seed of the resampling.

    Returns:
        `r_over` and the columns of `compare_per_sequence`.
    """
    compared = []
    for r_over, rows in per_sequence.groupby("r_over", sort=False):
        compared.append(compare_per_sequence(rows, seed=seed))
        compared[-1].insert(0, "r_over", r_over)
    return pd.concat(compared, ignore_index=True)


def combine_sources(compared: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """Combine the study's statements, its stored results and this run's results.

    Args:
        compared: From `compare_models`; its `attrs` are kept.
        stored: The study's stored results, from `stored_results`.

    Returns:
        Rows for `figures.accuracy.between_models`.
    """
    columns = ["source", "track_type", "pearson_r", "pearson_r_low", "pearson_r_high"]
    columns += ["share_senformer_ahead", "share_low", "share_high"]
    sources = [
        published_tables.published_correlation().assign(source="the study states"),
        stored.assign(source="the study stored"),
        compared.assign(source="measured here, r over " + compared["r_over"]),
    ]
    combined = pd.concat([rows.reindex(columns=columns) for rows in sources], ignore_index=True)
    combined.attrs = compared.attrs
    return combined


def measure_levels(fits: pd.DataFrame) -> pd.DataFrame:
    """Compare the level of predictions with the level of the experiment.

    Args:
        fits: From `track_accuracy.accuracy_per_sequence`.

    Returns:
        One row per model, track type and statistic (`mean` or `median` over a sequence's bins):
        `model`, `track_type`, `statistic`, `experiment` and `prediction` (coverage, averaged over
        sequences and tracks), `share_above` (share of sequences and tracks whose prediction is
        above the experiment) and its 95 % confidence interval over sequences, `share_above_low` and
        `share_above_high`, `num_sequences`.
    """
    rows = []
    for statistic in ("mean", "median"):
        for (model, track_type), group in fits.groupby(["model", "track_type"], sort=False):
            above = group[f"{statistic}_above"].to_numpy(np.float64)[:, np.newaxis]
            share = resampling.resample_sums(above) / len(group)
            row = pd.DataFrame(
                {
                    "model": model,
                    "track_type": track_type,
                    "statistic": statistic,
                    "experiment": [group[f"experiment_{statistic}"].mean()],
                    "prediction": group[f"prediction_{statistic}"].mean(),
                }
            )
            interval = resampling.interval_columns("share_above", share, len(group))
            rows.append(row.join(interval).assign(num_sequences=len(group)))
    return pd.concat(rows, ignore_index=True)


def classify_levels(levels: pd.DataFrame) -> pd.Series:
    """Classify whether most sequences and tracks are predicted too high.

    Args:
        levels: From `measure_levels`.

    Returns:
        For each row 1 if the confidence interval of the share is above one half, -1 if it is below,
        0 if it contains one half or there is no interval.
    """
    above = levels["share_above_low"] > 0.5
    below = levels["share_above_high"] < 0.5
    return above.astype(int) - below.astype(int)
