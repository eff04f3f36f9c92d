"""What curves of the receptive field look like: height, evenness, peaks, steps.

A curve is the mean absolute change of every bin after one base is changed. Those of a scan and
those that the study stored are described alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.config import BIN_SIZE_BP

MODELS = ("Enformer", "S-Enformer")
"""What the tables call the two models."""

BLOCK_TOKENS = 64
"""Tokens of a block of the study's sparse attention."""

BLOCK_BP = BLOCK_TOKENS * BIN_SIZE_BP
"""Bases that they stand for."""

TRUNK_REACH_TOKENS = 3
"""How far the convolutions carry a change to either side, as `trunk.reach_tokens` computes it."""

NO_SPREAD = (
    "curves are means without a spread: values within a tenth of each other are not told apart."
)
"""Why a comparison of two curves can be left open."""

_TOLD_APART = 0.1

_SIDE_BINS = 8
"""Bins whose median is taken to either side of a step: one bin that stands out makes none."""


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


def shape_beside_enformers(shape: pd.DataFrame) -> tuple[str, bool | None]:
    """Hold S-Enformer's curves against Enformer's, as the study does in words.

    Args:
        shape: from `shape_of_curves`, of both `MODELS`.

    Returns:
        What was found, and whether S-Enformer's curves are higher and more even from the ends, and
        more peaked from the middle; None where one of the three is not told from Enformer's and
        none is the reverse.
    """
    by_position = shape.pivot(index="mutation_position_bp", columns="model").sort_index()
    ends, middle = [0, len(by_position) - 1], [len(by_position) // 2]

    def ratio(number: str, rows: list[int]) -> float:
        enformer, senformer = (by_position[number, model].iloc[rows].mean() for model in MODELS)
        return float(senformer / enformer)

    higher, unevenness = ratio("mean_abs_change", ends), ratio("unevenness", ends)
    peaked = ratio("peak_over_median", middle)
    measured = (
        f"S-Enformer over Enformer: change from the ends {higher:.3g} times, its unevenness "
        f"{unevenness:.3g} times, peak over median from the middle {peaked:.3g} times"
    )
    return measured, _all_so(
        [_side_of_one(higher), -_side_of_one(unevenness), _side_of_one(peaked)]
    )


def effect_by_position(changes: pd.DataFrame) -> pd.DataFrame:
    """Set both models' mean change beside each other, by the base that was changed.

    Args:
        changes: as of `shape_of_curves`, of both `MODELS`.

    Returns:
        One row per position, in order: mutation_position_bp, enformer_abs_change and
        senformer_abs_change (means over the bins), senformer_over_enformer.
    """
    shape = shape_of_curves(changes)
    means = shape.pivot(index="mutation_position_bp", columns="model", values="mean_abs_change")
    enformer, senformer = (means[model] for model in MODELS)
    effect = pd.DataFrame(
        {
            "enformer_abs_change": enformer,
            "senformer_abs_change": senformer,
            "senformer_over_enformer": senformer / enformer,
        }
    )
    ordered = effect.sort_index().reset_index()
    ordered.attrs = changes.attrs
    return ordered


def favours_the_ends(effect: pd.DataFrame) -> tuple[str, bool | None]:
    """Say at which positions S-Enformer's effect is the greater: towards the ends, says the study.

    Args:
        effect: from `effect_by_position`.

    Returns:
        What was found, and whether it is greater at those positions that are nearer to an end than
        to the middle, and at no other; None where no position says otherwise and one is not told
        apart.
    """
    ratios = effect["senformer_over_enformer"]
    is_greater = (ratios > 1).to_numpy()
    last = len(effect) - 1
    place = np.arange(len(effect))
    is_near_an_end = np.minimum(place, last - place) < last / 4
    bases = [f"{position:,}" for position in effect["mutation_position_bp"][is_greater]]
    where = f"when base {' or '.join(bases)} is changed" if bases else "nowhere"
    measured = f"of {len(effect)} positions, S-Enformer's effect is the greater {where}"
    sides = np.array([_side_of_one(ratio) for ratio in ratios])
    return measured, _all_so(np.where(is_near_an_end, sides, -sides))


def greatest_steps(changes: pd.DataFrame) -> pd.DataFrame:
    """Find where each curve steps most: where blocks of tokens meet, and anywhere else.

    A step in front of a bin is the median of the eight bins from there on over that of the eight
    before, or the reverse where that is more. None is taken where these hold a bin that the
    convolutions alone carry the change to.

    Args:
        changes: as of `shape_of_curves`, with the columns bin and bin_start_bp; no bin is missing.

    Returns:
        One row per model and position: model, mutation_position_bp, step_where_blocks_meet (how
        many times), step_bp (its place in the input), step_elsewhere (eight bins or more from where
        blocks meet).
    """
    rows = []
    for (model, position), curve in changes.groupby(["model", "mutation_position_bp"], sort=False):
        ordered = curve.sort_values("bin")
        tokens = ordered["bin_start_bp"].to_numpy()[_SIDE_BINS : 1 - _SIDE_BINS] // BIN_SIZE_BP
        steps = _steps(ordered["abs_change"].to_numpy(np.float64))
        changed = ordered["mutation_position_bp"].to_numpy()[0] // BIN_SIZE_BP
        steps = np.where(_is_clear_of(changed, tokens), steps, 0)
        from_edge = np.minimum(tokens % BLOCK_TOKENS, -tokens % BLOCK_TOKENS)
        at_edge = np.where(from_edge == 0, steps, 0)
        rows.append(
            {
                "model": model,
                "mutation_position_bp": position,
                "step_where_blocks_meet": at_edge.max(),
                "step_bp": BIN_SIZE_BP * tokens[at_edge.argmax()],
                "step_elsewhere": np.where(from_edge >= _SIDE_BINS, steps, 0).max(),
            }
        )
    return pd.DataFrame(rows)


def _side_of_one(ratio: float) -> int:
    """1 for a ratio above 1, -1 for one below, 0 for one that is not told from 1."""
    return int(ratio > 1 + _TOLD_APART) - int(ratio < 1 / (1 + _TOLD_APART))


def _all_so(signs: Sequence[int] | NDArray[np.integer]) -> bool | None:
    """Whether all are 1; None where one is 0 and none is -1."""
    return True if min(signs) == 1 else None if min(signs) == 0 else False


def _steps(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """In front of every bin that has `_SIDE_BINS` before it and, itself included, after it."""
    sides = np.median(np.lib.stride_tricks.sliding_window_view(curve, _SIDE_BINS), axis=1)
    before, after = sides[:-_SIDE_BINS], sides[_SIDE_BINS:]
    return np.maximum(after / before, before / after)


def _is_clear_of(changed: int, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the bins of a step in front of a token lie beyond the reach of the convolutions."""
    is_after = tokens - _SIDE_BINS > changed + TRUNK_REACH_TOKENS
    is_before = tokens + _SIDE_BINS - 1 < changed - TRUNK_REACH_TOKENS
    return is_after | is_before
