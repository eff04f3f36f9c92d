"""What a scan of both models says of the study's claims about the receptive field."""

from __future__ import annotations

import pandas as pd

from senformer.config import BIN_SIZE_BP, preset
from senformer.experiments.comparable import agreement
from senformer.experiments.receptive_field.scan import NUM_BASES, is_reached
from senformer.model.attention.random_blocks import layer_random_blocks
from senformer.report import published
from senformer.report.claims import COLUMNS

MODELS = ("Enformer", "S-Enformer")
"""What the tables call the two models."""


def judge_claims(
    changes: pd.DataFrame, noise: pd.DataFrame, *, num_sequences: int, unlike: str
) -> pd.DataFrame:
    """Set the study's claims about its receptive field beside a scan of both models.

    Args:
        changes: from `mutation_effects`, with a column model that holds `MODELS`.
        noise: from `noise_floor`, likewise.
        num_sequences: how many sequences the scan used.
        unlike: from `comparable.unlike_the_study`; empty where the run can tell what the curves
            look like.

    Returns:
        One row per claim of `claims.COLUMNS`.
    """
    drawn = layer_random_blocks(preset("senformer"), 0, published.SEQUENCE_LENGTH_BP // BIN_SIZE_BP)
    leading = published.value("receptive_field.code_leading_blocks")
    share_reached, reaches_all = _reaches_all(changes, noise)
    ratios, has_the_shape = _has_the_shape(shape_of_curves(changes))
    num_positions = changes["mutation_position_bp"].nunique()
    rows: list[tuple[str, int | str, str]] = [
        ("num_positions", num_positions, _same_number("num_positions", num_positions)),
        ("num_sequences", num_sequences, _same_number("num_sequences", num_sequences)),
        ("full", share_reached, agreement(reaches_all, unlike=unlike)),
        ("shape", ratios, agreement(has_the_shape, unlike=unlike)),
        (
            "code_two_bases",
            NUM_BASES - 1,
            agreement(False, otherwise="here by each of three others"),
        ),
        (
            "code_leading_blocks",
            f"blocks {drawn.min() + 1} to {drawn.max() + 1} of 24 are drawn",
            agreement(bool(drawn.max() < leading)),
        ),
    ]
    named = [(f"receptive_field.{key}", measured, agrees) for key, measured, agrees in rows]
    return pd.DataFrame(named, columns=list(COLUMNS))


def shape_of_curves(changes: pd.DataFrame) -> pd.DataFrame:
    """Describe each curve by three numbers: how high, how even, how peaked.

    Args:
        changes: from `mutation_effects`, with a column model.

    Returns:
        One row per model and position: model, mutation_position_bp, mean_abs_change, unevenness
        (standard deviation over mean of the bins; 0 is flat), peak_over_median (of the bins).
    """
    curves = changes.groupby(["model", "mutation_position_bp"], sort=False)["abs_change"]
    shape = pd.DataFrame(
        {
            "mean_abs_change": curves.mean(),
            "unevenness": curves.std(ddof=0) / curves.mean(),
            "peak_over_median": curves.max() / curves.median(),
        }
    )
    return shape.reset_index()


def _same_number(key: str, measured: int) -> str:
    same = measured == published.value(f"receptive_field.{key}")
    return agreement(same, otherwise="another number here")


def _reaches_all(changes: pd.DataFrame, noise: pd.DataFrame) -> tuple[str, bool]:
    share = is_reached(changes, noise).groupby(changes["model"]).mean()
    measured = ", ".join(f"{model}: {share[model]:.1%} of bins" for model in MODELS)
    return measured, bool((share[list(MODELS)] == 1).all())


def _has_the_shape(shape: pd.DataFrame) -> tuple[str, bool]:
    """Higher and more even from the ends, more peaked from the middle: S-Enformer over Enformer."""
    by_position = shape.pivot(index="mutation_position_bp", columns="model").sort_index()
    ends, middle = [0, len(by_position) - 1], [len(by_position) // 2]

    def ratio(number: str, rows: list[int]) -> float:
        enformer, senformer = (by_position[number, model].iloc[rows].mean() for model in MODELS)
        return float(senformer / enformer)

    higher, unevenness = ratio("mean_abs_change", ends), ratio("unevenness", ends)
    peaked = ratio("peak_over_median", middle)
    measured = (
        f"S-Enformer over Enformer: change from the ends {higher:.2g} times, its unevenness "
        f"{unevenness:.2g} times, peak over median from the middle {peaked:.2g} times"
    )
    return measured, higher > 1 and unevenness < 1 and peaked > 1
