"""What a scan of both models says of the study's claims about the receptive field."""

from __future__ import annotations

import pandas as pd

from senformer.config import BIN_SIZE_BP, preset
from senformer.experiments.receptive_field.curves import (
    MODELS,
    effect_by_position,
    favours_the_ends,
    shape_beside_enformers,
)
from senformer.experiments.receptive_field.curves import shape_of_curves as shape_of_curves
from senformer.experiments.receptive_field.scan import NUM_BASES, is_reached
from senformer.model.attention.random_blocks import layer_random_blocks
from senformer.report import published
from senformer.report.claims import COLUMNS, agreement


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
    ratios, has_the_shape = shape_beside_enformers(shape_of_curves(changes))
    greater_at, favours = favours_the_ends(effect_by_position(changes))
    num_positions = changes["mutation_position_bp"].nunique()
    rows: list[tuple[str, int | str, str]] = [
        ("num_positions", num_positions, _same_number("num_positions", num_positions)),
        ("num_sequences", num_sequences, _same_number("num_sequences", num_sequences)),
        ("full", share_reached, agreement(reaches_all, unlike=unlike)),
        ("shape", ratios, agreement(has_the_shape, unlike=unlike)),
        ("towards_ends", greater_at, agreement(favours, unlike=unlike)),
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


def _same_number(key: str, measured: int) -> str:
    same = measured == published.value(f"receptive_field.{key}")
    return agreement(same, otherwise="another number here")


def _reaches_all(changes: pd.DataFrame, noise: pd.DataFrame) -> tuple[str, bool]:
    share = is_reached(changes, noise).groupby(changes["model"]).mean()
    measured = ", ".join(f"{model}: {share[model]:.1%} of bins" for model in MODELS)
    return measured, bool((share[list(MODELS)] == 1).all())
