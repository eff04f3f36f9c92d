"""What a longer input buys, and how much of it each kind of attention takes.

One trained Enformer is the start of all: its trunk and heads stay, its attention is trained on at
each length, exact or sparse, alike. The predicted bins are the same for all lengths, so a longer
input adds nothing but what lies farther away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data import simulate
from senformer.data.opening import RecordFolder
from senformer.evaluation import resampling
from senformer.experiments import distal_use
from senformer.experiments.run_data import HEAD, TEST_SPLIT
from senformer.experiments.variants import Variant, held_out_predictions, held_out_targets
from senformer.model.enformer import Enformer
from senformer.training.train import TrainingPlan

NO_DISTAL = "no enhancer"
"""What the table calls the best prediction that knows no enhancer, in place of an attention."""

CEILING = "ceiling"
"""And the best that there is for the length."""


def variants_by_length(
    attention: Sequence[str],
    sequence_lengths_bp: Sequence[int],
    seeds: Sequence[int],
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
) -> dict[tuple[str, int, int], Variant]:
    """Every kind at every length from every seed, by those three: warm starts, real flanks."""
    return {
        (kind, length_bp, seed): Variant(
            changes={"attention": kind},
            start="warm start",
            plan=TrainingPlan(
                steps=steps,
                sequence_length_bp=length_bp,
                flanks="genome",
                learning_rate=learning_rate,
                batch_size=batch_size,
                seed=seed,
            ),
        )
        for length_bp in sequence_lengths_bp
        for kind in attention
        for seed in seeds
    }


def use_of_length(
    variants: Mapping[tuple[str, int, int], Variant],
    enformer: Enformer,
    folders: Mapping[str, RecordFolder],
    output_folder: str | Path,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train all, and say how accurate they are and from how far away they take it.

    Args:
        variants: From `variants_by_length`.
        enformer: The run's, from `run_models.trained_enformer`.
        folders: From `run_data.open_data`; simulated.
        output_folder: The run's folder.

    Returns:
        Two tables. Accuracy, one row per kind, or ceiling, and length: `attention`,
        `sequence_length_bp`, `pearson_r` over promoters and its 95 % interval over sequences and
        seeds, `pearson_r_low` and `pearson_r_high`, `num_seeds`, `num_promoters`. And use by
        distance, one row per kind or ceiling, length and band: `nearest_bp`, `farthest_bp`,
        `share_used`, `share_low`, `share_high`.

    Raises:
        FileNotFoundError: If the records are not simulated.
    """
    human, target_length = folders[HEAD], enformer.config.target_length
    promoters = distal_use.PromotersOfSplit(human, TEST_SPLIT, target_length)
    measured = promoters.levels(held_out_targets(human, target_length))
    expected = promoters.levels(_expected(human, target_length, None))
    levels: dict[tuple[str, int], list[NDArray[np.float64]]] = {}
    for (kind, length_bp, _), variant in variants.items():
        predictions = held_out_predictions(variant, enformer, folders, output_folder)
        levels.setdefault((kind, length_bp), []).append(promoters.levels(predictions))
    for length_bp in sorted({length_bp for _, length_bp, _ in variants}):
        held = promoters.levels(_expected(human, target_length, length_bp))
        levels[CEILING, length_bp] = [held]
    levels[NO_DISTAL, 0] = [promoters.levels(_expected(human, target_length, 0))]
    return (
        pd.DataFrame(_accuracy(levels, promoters, measured)),
        pd.concat(_use_by_distance(levels, promoters, expected), ignore_index=True),
    )


def _expected(folder: RecordFolder, target_length: int, seen_bp: int | None) -> NDArray[np.float64]:
    """The best prediction, of the central bins that models predict: `[records, bins, tracks]`."""
    expected = simulate.expected_targets(folder, TEST_SPLIT, seen_bp=seen_bp)
    first = (folder.target_length - target_length) // 2
    return expected[:, first : first + target_length]


def _accuracy(
    levels: Mapping[tuple[str, int], Sequence[NDArray[np.float64]]],
    promoters: distal_use.PromotersOfSplit,
    measured: NDArray[np.float64],
) -> Iterator[dict[str, str | int | float]]:
    for (kind, length_bp), of_seeds in levels.items():
        drawn = distal_use.r_over_promoters(promoters, of_seeds, measured)
        r = resampling.mean_of_repeats(drawn)
        low, high = resampling.interval(r)
        yield {
            "attention": kind,
            "sequence_length_bp": length_bp,
            "pearson_r": r[0],
            "pearson_r_low": float(low),
            "pearson_r_high": float(high),
            "num_seeds": len(of_seeds),
            "num_promoters": len(measured),
        }


def _use_by_distance(
    levels: Mapping[tuple[str, int], Sequence[NDArray[np.float64]]],
    promoters: distal_use.PromotersOfSplit,
    expected: NDArray[np.float64],
) -> Iterator[pd.DataFrame]:
    for (kind, length_bp), of_seeds in levels.items():
        used = distal_use.share_used_by_distance(promoters, of_seeds, expected)
        used.insert(0, "sequence_length_bp", length_bp)
        used.insert(0, "attention", kind)
        yield used
