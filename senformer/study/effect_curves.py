"""Describe curves of the receptive field: height, evenness, peaks and steps.

A curve is the mean absolute change of each bin after one base is changed. The functions take the
curves of a scan and those that the study stored.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from senformer.config import BIN_SIZE_BP
from senformer.study.verdicts import decide

MODELS = ("Enformer", "S-Enformer")
"""Names of the two models in the tables."""

BLOCK_TOKENS = 64
"""Number of tokens in a block of the study's sparse attention."""

BLOCK_BP = BLOCK_TOKENS * BIN_SIZE_BP
"""Length of such a block in bp."""

TRUNK_REACH_TOKENS = 3
"""Tokens on each side that convolutions carry a change to, from `trunk.reach_positions`."""

NO_SPREAD = (
    "the curves are means without a spread: values within a tenth of each other count as equal."
)
"""Why a comparison of two curves can leave a claim open."""

_EQUAL_WITHIN = 0.1

_SIDE_BINS = 8
"""Bins on each side of a step whose medians are compared, so that one outlier makes no step."""


def shape_of_curves(changes: pd.DataFrame) -> pd.DataFrame:
    """Describe each curve by its height, unevenness and peak.

    Args:
        changes: Columns model, mutation_position_bp, bin, abs_change.

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


def compare_shapes(shape: pd.DataFrame) -> tuple[str, bool | None]:
    """Compare the shapes of S-Enformer's and Enformer's curves, as the study does in words.

    Args:
        shape: From `shape_of_curves`, with both `MODELS`.

    Returns:
        A description, and whether S-Enformer's curves are higher and more even for changes at the
        ends and more peaked for a change in the middle; None if one of the three is about equal and
        none is the reverse.
    """
    by_position = shape.pivot(index="mutation_position_bp", columns="model").sort_index()
    ends, middle = [0, len(by_position) - 1], [len(by_position) // 2]

    def ratio(number: str, rows: list[int]) -> float:
        enformer, senformer = (by_position[number, model].iloc[rows].mean() for model in MODELS)
        return float(senformer / enformer)

    higher, unevenness = ratio("mean_abs_change", ends), ratio("unevenness", ends)
    peaked = ratio("peak_over_median", middle)
    description = (
        f"S-Enformer over Enformer: change from the ends {higher:.3g} times, its unevenness "
        f"{unevenness:.3g} times, peak over median from the middle {peaked:.3g} times"
    )
    higher_side, uneven_side, peaked_side = map(_compare_with_one, (higher, unevenness, peaked))
    sides = np.array([higher_side, -uneven_side, peaked_side])
    return description, decide(sides > 0, sides < 0)


def effect_by_position(changes: pd.DataFrame) -> pd.DataFrame:
    """Compute both models' mean change for each changed base.

    Args:
        changes: As for `shape_of_curves`, with both `MODELS`.

    Returns:
        One row per position, in order: mutation_position_bp, enformer_abs_change and
        senformer_abs_change (means over the bins), senformer_over_enformer.
    """
    means = shape_of_curves(changes).pivot(
        index="mutation_position_bp", columns="model", values="mean_abs_change"
    )
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


def compare_effects(effect: pd.DataFrame) -> tuple[str, bool | None]:
    """Find the positions where S-Enformer's effect is greater: those near the ends, says the study.

    Args:
        effect: From `effect_by_position`.

    Returns:
        A description, and whether the effect is greater at the positions that are nearer to an end
        than to the middle, and at no other; None if a position is about equal and none contradicts.
    """
    ratios = effect["senformer_over_enformer"]
    is_greater = (ratios > 1).to_numpy()
    last = len(effect) - 1
    place = np.arange(len(effect))
    is_near_an_end = np.minimum(place, last - place) < last / 4
    bases = [f"{position:,}" for position in effect["mutation_position_bp"][is_greater]]
    where = f"when base {' or '.join(bases)} is changed" if bases else "nowhere"
    description = f"of {len(effect)} positions, S-Enformer's effect is the greater {where}"
    sides = np.array([_compare_with_one(ratio) for ratio in ratios])
    as_stated = np.where(is_near_an_end, sides, -sides)
    return description, decide(as_stated > 0, as_stated < 0)


def find_steps(changes: pd.DataFrame) -> pd.DataFrame:
    """Find the greatest step of each curve where blocks of tokens meet, and elsewhere.

    A step before a bin is the ratio of the medians of the eight bins after and before its edge, the
    greater over the smaller. Steps are left out where convolutions alone carry the change.

    Args:
        changes: As for `shape_of_curves`, with column bin_start_bp; no bin may be missing.

    Returns:
        One row per model and position: model, mutation_position_bp, step_where_blocks_meet (a
        ratio), step_bp (its place in the input), step_elsewhere (at least eight bins from a block's
        edge).
    """
    rows = []
    for (model, position), curve in changes.groupby(["model", "mutation_position_bp"], sort=False):
        ordered = curve.sort_values("bin")
        tokens = ordered["bin_start_bp"].to_numpy()[_SIDE_BINS : 1 - _SIDE_BINS] // BIN_SIZE_BP
        values = ordered["abs_change"].to_numpy(np.float64)
        medians = np.median(np.lib.stride_tricks.sliding_window_view(values, _SIDE_BINS), axis=1)
        before, after = medians[:-_SIDE_BINS], medians[_SIDE_BINS:]
        changed = ordered["mutation_position_bp"].to_numpy()[0] // BIN_SIZE_BP
        is_after = tokens - _SIDE_BINS > changed + TRUNK_REACH_TOKENS
        is_before = tokens + _SIDE_BINS - 1 < changed - TRUNK_REACH_TOKENS
        steps = np.where(is_after | is_before, np.maximum(after / before, before / after), 0)
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


def compare_steps(changes: pd.DataFrame) -> tuple[str, bool]:
    """Tell whether S-Enformer's curves step where blocks meet and Enformer's do not.

    Args:
        changes: As for `find_steps`, with both `MODELS`.

    Returns:
        A description, and the answer: more than half of S-Enformer's curves, and less than half of
        Enformer's, step most where blocks meet.
    """
    steps = find_steps(changes)
    is_at_edge = steps["step_where_blocks_meet"] > steps["step_elsewhere"]
    share = is_at_edge.groupby(steps["model"]).mean()
    count = is_at_edge.groupby(steps["model"]).sum()
    enformer, senformer = MODELS
    own = steps[steps["model"] == senformer]
    description = (
        f"{senformer}'s curves step most where blocks of tokens meet for {count[senformer]} of "
        f"{len(own)} positions (up to {own['step_where_blocks_meet'].max():.1f} times, elsewhere "
        f"{own['step_elsewhere'].max():.1f}), {enformer}'s for {count[enformer]}"
    )
    return description, bool(share[enformer] < 0.5 < share[senformer])


def _compare_with_one(ratio: float) -> int:
    """Return 1 for a ratio above 1, -1 for one below 1, 0 for one that is about 1."""
    return int(ratio > 1 + _EQUAL_WITHIN) - int(ratio < 1 / (1 + _EQUAL_WITHIN))
