"""Two models sequence by sequence: how alike they are, who is ahead, who predicts too much."""

from __future__ import annotations

import numpy as np
import pandas as pd

from senformer.evaluation.per_sequence import compare_per_sequence
from senformer.report import published
from senformer.report.claims import COLUMNS, agreement, not_comparable

MODELS = {"enformer": "Enformer", "senformer": "S-Enformer"}
"""The two models that are compared: the beginning of their columns, and their names."""

R_OVER = {
    "pearson_r": "each track, then the mean",
    "pooled_pearson_r": "all tracks of a type",
}
"""The two ways to take r within a sequence: as the study's text says, and as its code does."""

STATISTICS = ("mean", "median")
"""What is compared to see whether a model predicts too much."""


def r_of_both_models(fits: pd.DataFrame) -> pd.DataFrame:
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


def compare(per_sequence: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Compare the models by each kind of r, with intervals from resampling the sequences.

    Args:
        per_sequence: From `r_of_both_models`.
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


def levels(fits: pd.DataFrame) -> pd.DataFrame:
    """Say whether models predict too much: means and medians of prediction and experiment.

    Args:
        fits: From `accuracy.accuracy_per_sequence`.

    Returns:
        One row per model, track type and statistic (`mean` or `median` over a sequence's bins):
        `model`, `track_type`, `statistic`, `experiment` and `prediction` (coverage, averaged over
        sequences and tracks), `share_above` (fraction of sequences and tracks that are predicted
        strictly above the experiment), `num_sequences`.
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
                    "share_above": of_type[f"{statistic}_above"].mean(),
                    "num_sequences": len(of_type),
                }
            )
    return pd.DataFrame(rows)


def overprediction(level: pd.DataFrame) -> int:
    """Count the rows of `levels` in which most sequences and tracks are predicted too high."""
    return int((level["share_above"] > 0.5).sum())


def conclusion(compared: pd.DataFrame, level: pd.DataFrame, unlike: str) -> str:
    """Say in words who is ahead, how alike the models are, and whether they predict too much.

    Args:
        compared: From `compare`.
        level: From `levels`.
        unlike: From `comparable.unlike_the_study`; empty where the run can tell.
    """
    rows = compared[compared["r_over"] == R_OVER["pearson_r"]]
    ahead = rows["share_senformer_ahead"]
    r = rows["pearson_r"]
    measured = (
        f"S-Enformer is ahead in {ahead.min():.0%} to {ahead.max():.0%} of the sequences, and r "
        f"between the models is {r.min():.2f} to {r.max():.2f}, depending on the type of track. "
        f"Predictions are more often above the experiment than not in {overprediction(level)} of "
        f"{len(level)} cases of model, track type and statistic."
    )
    if unlike:
        return f"{measured} Whether that agrees with the study cannot be said: {unlike}"
    study = published.per_sequence_comparison().set_index("track_type")["share_senformer_ahead"]
    of_code = compared[compared["r_over"] == R_OVER["pooled_pearson_r"]].set_index("track_type")
    low, high = (of_code[name].reindex(study.index) for name in ("share_low", "share_high"))
    inside = study.between(low, high).sum()
    return (
        f"{measured} The study's shares, of r as its code takes it, lie within the intervals for "
        f"{inside} of {len(study)} types of track."
    )


def judge_claims(compared: pd.DataFrame, level: pd.DataFrame, *, unlike: str) -> pd.DataFrame:
    """Set each published claim about correlation beside what this run measured.

    The study's values of r and of shares come from its code, so they are held against r over all
    tracks of a type together, by the 95 % intervals.

    Args:
        compared: From `compare`.
        level: From `levels`.
        unlike: From `comparable.unlike_the_study`; empty where the run can tell.

    Returns:
        One row per claim of `claims.COLUMNS`.
    """
    as_in_code = compared[compared["r_over"] == R_OVER["pooled_pearson_r"]].set_index("track_type")
    rows: list[tuple[str, float | str | None, str]] = []
    for key, track_type in published.TRACK_TYPE_NAMES.items():
        row = as_in_code.loc[track_type] if track_type in as_in_code.index else None
        for claim, value, low, high, scale in (
            (f"{key}_pearson_r", "pearson_r", "pearson_r_low", "pearson_r_high", 1),
            (f"{key}_ahead_percent", "share_senformer_ahead", "share_low", "share_high", 100),
        ):
            interval = (np.nan,) * 3 if row is None else tuple(scale * row[[value, low, high]])
            rows.append((claim, *_within(claim, interval, unlike)))
    num_sequences = int(compared["num_sequences"].max())
    for claim in ("num_sequences_stated", "num_sequences_stored"):
        same = num_sequences == published.value(f"correlation.{claim}")
        rows.append((claim, num_sequences, agreement(same, unlike=unlike)))
    for claim, r_over in zip(
        ("text_averages_tracks", "code_pools_tracks"), R_OVER.values(), strict=True
    ):
        r = compared.loc[compared["r_over"] == r_over, "pearson_r"]
        measured = f"so taken, r between the models is {r.min():.3f} to {r.max():.3f}"
        about = "the claim is about how r is taken; measured is r between the models when so taken."
        rows.append((claim, measured, not_comparable(about)))
    above = overprediction(level)
    rows.append(
        (
            "overprediction",
            f"more often above than below in {above} of {len(level)} cases of model, track type "
            "and statistic",
            agreement(above == len(level), unlike=unlike, otherwise="in some it is below."),
        )
    )
    named = [(f"correlation.{key}", measured, agrees) for key, measured, agrees in rows]
    return pd.DataFrame(named, columns=list(COLUMNS))


def _within(
    claim: str, interval: tuple[float, float, float], unlike: str
) -> tuple[float | None, str]:
    """What was measured, and whether the published value lies within its interval."""
    value, low, high = interval
    if np.isnan(value):
        return None, not_comparable(unlike or "there are no such tracks.")
    inside = low <= published.value(f"correlation.{claim}") <= high
    otherwise = f"the 95 % interval is {low:.3g} to {high:.3g}."
    return value, agreement(inside, unlike=unlike, otherwise=otherwise)
