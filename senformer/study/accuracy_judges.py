"""Judge the study's claims about reproduction, fine-tuning and correlation."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pandas as pd

from senformer.report.row_labels import (
    ALL_STUDY_CHOICES,
    NEW_ATTENTION,
    OVER_TYPES,
    POOLED_TRACKS,
)
from senformer.study.claims import TRACK_TYPE_NAMES, get_value
from senformer.study.verdicts import (
    STORED,
    THIS_CODE,
    Found,
    Judge,
    Tables,
    UndecidedError,
    decide,
    is_within,
)

NO_TRACKS = "there are no such tracks."


def judge_deficit(tables: Tables, *, name: str) -> Found:
    """Compare the drop of r by the study's evaluation choices with the claimed drop.

    Args:
        tables: `accuracy`, the table of `reproduction.csv`.
        name: Track type, a key of `TRACK_TYPE_NAMES`.
    """
    frame = tables["accuracy"]
    rows = frame[
        (frame["choice"] == ALL_STUDY_CHOICES) & (frame["track_type"] == TRACK_TYPE_NAMES[name])
    ].dropna(subset="pearson_r_change")
    if rows.empty:
        raise UndecidedError(NO_TRACKS)
    columns = ["pearson_r_change", "pearson_r_change_low", "pearson_r_change_high"]
    change, low, high = rows.iloc[0][columns]
    agrees = is_within(get_value(f"reproduction.{name}_deficit"), -high, -low)
    reason = f"by the study's choices alone; the 95 % interval is {-high:.3g} to {-low:.3g}."
    return Found(-change, agrees, reason)


def judge_below_enformer(tables: Tables) -> Found:
    """Count the track types for which S-Enformer with new attention is below Enformer.

    Args:
        tables: `accuracy`, the table of `finetuning_held_out.csv`; `num_steps` of the training.
    """
    accuracy = tables["accuracy"]
    by_type = accuracy[accuracy["track_type"] != OVER_TYPES]
    own = by_type[by_type["model"] == NEW_ATTENTION]
    last = own[own["step"] == own["step"].max()]
    low = last["pearson_r_drop_low"].dropna()
    high = last["pearson_r_drop_high"].dropna()
    return Found(
        f"after {tables['num_steps']:,} steps below Enformer for {(low > 0).sum()} of "
        f"{by_type['track_type'].nunique()} types",
        decide(low > 0, high < 0),
    )


def judge_still_improving(tables: Tables) -> Found:
    """Count the track types whose accuracy still rises in the last half of the training.

    Args:
        tables: `slopes`, with columns slope_low and slope_high, one row per track type.
    """
    slopes = tables["slopes"]
    is_rising, is_falling = slopes["slope_low"] > 0, slopes["slope_high"] < 0
    return Found(
        f"in the last half of the steps rising for {is_rising.sum()} of {len(slopes)} types, "
        f"falling for {is_falling.sum()}; for the others neither can be told",
        decide(is_rising, is_falling),
    )


def judge_correlation(tables: Tables, *, name: str, value: str) -> Found:
    """Compare a correlation or a share with the claimed one, which comes from the study's code.

    Args:
        tables: `compared`, from `correlations.compare`.
        name: Track type, a key of `TRACK_TYPE_NAMES`.
        value: `pearson_r` or `ahead_percent`.
    """
    compared = tables["compared"]
    pooled = compared[compared["r_over"] == POOLED_TRACKS].set_index("track_type")
    if TRACK_TYPE_NAMES[name] not in pooled.index:
        raise UndecidedError(NO_TRACKS)
    columns, scale = {
        "pearson_r": (["pearson_r", "pearson_r_low", "pearson_r_high"], 1),
        "ahead_percent": (["share_senformer_ahead", "share_low", "share_high"], 100),
    }[value]
    measured, low, high = scale * pooled.loc[TRACK_TYPE_NAMES[name], columns].astype(float)
    agrees = is_within(get_value(f"correlation.{name}_{value}"), low, high)
    reason = f"the 95 % interval is {low:.3g} to {high:.3g}."
    return Found(float(measured), agrees, reason)


def judge_overprediction(tables: Tables) -> Found:
    """Count the cases in which predictions are too high, and too low.

    Args:
        tables: `tendencies`, from `correlations.classify_levels`: 1, -1 or 0 per case.
    """
    tendency: pd.Series = tables["tendencies"]
    return Found(
        f"too high in {(tendency > 0).sum()}, too low in {(tendency < 0).sum()} of "
        f"{len(tendency)} cases of model, type of track and statistic",
        decide(tendency > 0, tendency < 0),
    )


def judge_stored_correlation(tables: Tables, *, name: str, value: str) -> Found:
    """Compare a stored correlation or share with the claimed one, digit by digit."""
    row = tables["compared"].set_index("track_type").loc[TRACK_TYPE_NAMES[name]]
    if value == "pearson_r":
        measured, digits = float(row["pearson_r"]), 3
    else:
        measured, digits = 100 * float(row["share_senformer_ahead"]), 1
    return Found(measured, round(measured, digits) == get_value(f"correlation.{name}_{value}"))


def judge_num_sequences(tables: Tables, *, key: str) -> Found:
    """Compare the number of stored sequences with a claimed number."""
    count = int(tables["compared"]["num_sequences"].max())
    return Found(count, count == get_value(key))


REPRODUCTION_JUDGES = tuple(
    Judge(f"reproduction.{name}_deficit", THIS_CODE, functools.partial(judge_deficit, name=name))
    for name in ("chip_tf", "cage")
)

FINETUNING_JUDGES = (
    Judge("finetuning.below_enformer", THIS_CODE, judge_below_enformer),
    Judge("finetuning.still_improving", THIS_CODE, judge_still_improving),
)


def _correlation_judges(evidence: str, judge: Callable[..., Found]) -> list[Judge]:
    """Return one judge per track type and claimed value: a correlation and a share."""
    return [
        Judge(
            f"correlation.{name}_{value}",
            evidence,
            functools.partial(judge, name=name, value=value),
        )
        for name in TRACK_TYPE_NAMES
        for value in ("pearson_r", "ahead_percent")
    ]


CORRELATION_JUDGES = (
    *_correlation_judges(THIS_CODE, judge_correlation),
    Judge("correlation.overprediction", THIS_CODE, judge_overprediction),
)

STORED_CORRELATION_JUDGES = (
    *_correlation_judges(STORED, judge_stored_correlation),
    *(
        Judge(key, STORED, functools.partial(judge_num_sequences, key=key))
        for key in ("correlation.num_sequences_stated", "correlation.num_sequences_stored")
    ),
)
