"""What a scan of both models says of the study's claims about the receptive field."""

from __future__ import annotations

import pandas as pd

from senformer.config import BIN_SIZE_BP, preset
from senformer.experiments.receptive_field.curves import (
    MODELS,
    NO_SPREAD,
    effect_by_position,
    favours_the_ends,
    shape_beside_enformers,
)
from senformer.experiments.receptive_field.curves import shape_of_curves as shape_of_curves
from senformer.experiments.receptive_field.scan import is_reached
from senformer.model.attention.random_blocks import layer_random_blocks
from senformer.study import claims
from senformer.study.verdicts import THIS_CODE, judgement, table


def judge_claims(changes: pd.DataFrame, noise: pd.DataFrame, *, unlike: str) -> pd.DataFrame:
    """Set the study's claims about its receptive field beside a scan of both models.

    Args:
        changes: from `mutation_effects`, with a column model that holds `MODELS`.
        noise: from `noise_floor`, likewise.
        unlike: from `comparable.unlike_the_study`; empty where the run can tell what the curves
            look like.

    Returns:
        One row of `claims.COLUMNS` per claim.
    """
    drawn = layer_random_blocks(preset("senformer"), 0, claims.SEQUENCE_LENGTH_BP // BIN_SIZE_BP)
    leading = claims.get_value("receptive_field.code_leading_blocks")
    reached, reaches_all = _reaches_all(changes, noise)
    shape, has_the_shape = shape_beside_enformers(shape_of_curves(changes))
    greater_at, favours = favours_the_ends(effect_by_position(changes))
    found: list[tuple[str, str, bool | None, str]] = [
        ("full", reached, reaches_all, "what does not stand clear of rounding may be a change."),
        ("shape", shape, has_the_shape, NO_SPREAD),
        ("towards_ends", greater_at, favours, NO_SPREAD),
    ]
    blocks = f"blocks {drawn.min() + 1} to {drawn.max() + 1} of 24 are drawn"
    return table(
        [
            *(
                judgement(
                    f"receptive_field.{key}",
                    THIS_CODE,
                    measured,
                    agrees,
                    unlike=unlike,
                    reason=reason if agrees is None else "",
                )
                for key, measured, agrees, reason in found
            ),
            judgement(
                "receptive_field.code_leading_blocks",
                THIS_CODE,
                blocks,
                bool(drawn.max() < leading),
            ),
        ]
    )


def _reaches_all(changes: pd.DataFrame, noise: pd.DataFrame) -> tuple[str, bool | None]:
    """The share of bins whose change stands clear of rounding; all of them, or it is left open."""
    share = is_reached(changes, noise).groupby(changes["model"]).mean()
    measured = ", ".join(f"{model}: {share[model]:.1%} of bins" for model in MODELS)
    return measured, True if (share[list(MODELS)] == 1).all() else None
