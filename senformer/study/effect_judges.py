"""Judge the study's claims about the receptive field by scans of both models."""

from __future__ import annotations

from senformer.config import BIN_SIZE_BP, preset
from senformer.model.attention.random_blocks import layer_random_blocks
from senformer.study import claims
from senformer.study.effect_curves import (
    MODELS,
    NO_SPREAD,
    compare_effects,
    compare_shapes,
    compare_steps,
    effect_by_position,
    shape_of_curves,
)
from senformer.study.verdicts import STORED, THIS_CODE, Found, Judge, Tables


def judge_reach(tables: Tables) -> Found:
    """Compute the share of bins that a change reaches: all of them, says the study.

    A bin that rounding could explain leaves the claim open.
    """
    changes = tables["changes"]
    share = changes["is_reached"].groupby(changes["model"]).mean()
    measured = ", ".join(f"{model}: {share[model]:.1%} of bins" for model in MODELS)
    if (share[list(MODELS)] == 1).all():
        return Found(measured, True)
    return Found(measured, None, "what rounding could explain may still be a change.")


def judge_stored_reach(tables: Tables) -> Found:
    """Find the smallest stored change of a bin; without a control for rounding it proves little."""
    least = tables["changes"].groupby("model")["abs_change"].min()
    measured = "least change of a bin: " + ", ".join(f"{m} {least[m]:.1e}" for m in MODELS)
    agrees = None if (least > 0).all() else False
    return Found(measured, agrees, "no control for rounding was stored.")


def judge_shape(tables: Tables) -> Found:
    """Compare the shapes of both models' curves."""
    measured, agrees = compare_shapes(shape_of_curves(tables["changes"]))
    return Found(measured, agrees, NO_SPREAD if agrees is None else "")


def judge_ends(tables: Tables) -> Found:
    """Compare both models' effects at the ends and in the middle of the input."""
    measured, agrees = compare_effects(effect_by_position(tables["changes"]))
    return Found(measured, agrees, NO_SPREAD if agrees is None else "")


def judge_drawn_blocks(tables: Tables) -> Found:
    """Draw random blocks as published and find which blocks are ever drawn."""
    del tables
    num_tokens = claims.SEQUENCE_LENGTH_BP // BIN_SIZE_BP
    drawn = layer_random_blocks(preset("senformer"), 0, num_tokens)
    leading = claims.get_value("receptive_field.code_leading_blocks")
    measured = f"blocks {drawn.min() + 1} to {drawn.max() + 1} of 24 are drawn"
    return Found(measured, bool(drawn.max() < leading))


def judge_stored_steps(tables: Tables) -> Found:
    """Tell whether the stored curves step where blocks meet."""
    return Found(*compare_steps(tables["changes"]))


def judge_num_positions(tables: Tables) -> Found:
    """Count the stored positions."""
    count = int(tables["changes"]["mutation_position_bp"].nunique())
    return Found(count, count == claims.get_value("receptive_field.num_positions"))


RECEPTIVE_FIELD_JUDGES = (
    Judge("receptive_field.full", THIS_CODE, judge_reach),
    Judge("receptive_field.shape", THIS_CODE, judge_shape),
    Judge("receptive_field.towards_ends", THIS_CODE, judge_ends),
    Judge("receptive_field.code_leading_blocks", THIS_CODE, judge_drawn_blocks, difference=""),
)
"""Judges of a scan: table `changes` with columns model, mutation_position_bp, bin, abs_change and
is_reached (bool)."""

STORED_RECEPTIVE_FIELD_JUDGES = (
    Judge("receptive_field.num_positions", STORED, judge_num_positions),
    Judge("receptive_field.full", STORED, judge_stored_reach),
    Judge("receptive_field.shape", STORED, judge_shape),
    Judge("receptive_field.towards_ends", STORED, judge_ends),
    Judge("receptive_field.code_leading_blocks", STORED, judge_stored_steps),
)
"""Judges of the study's stored curves: table `changes` from `read_receptive_field`."""
