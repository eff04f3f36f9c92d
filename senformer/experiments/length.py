"""What a longer input buys, and how much of it each kind of attention takes.

One trained Enformer is the start of all: its trunk and heads stay, its attention is trained on at
each length, exact or sparse, alike. The predicted bins are the same for all lengths, so a longer
input adds nothing but what lies farther away.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data import simulate
from senformer.data.opening import RecordFolder
from senformer.evaluation import resampling
from senformer.experiments import distal_use
from senformer.experiments.held_out_accuracy import HeldOutAccuracy
from senformer.experiments.run_data import HEAD, TEST_SPLIT, is_simulated
from senformer.experiments.variants import Variant, held_out_predictions
from senformer.model.enformer import Enformer
from senformer.training.train import TrainingPlan

NO_ENHANCER = "no enhancer"
"""What the table calls the best prediction that knows no enhancer, in place of an attention."""

CEILING = "ceiling"
"""And the best that there is for the length."""


ByLength: TypeAlias = "dict[tuple[str, int], list[NDArray[np.floating]]]"


def variants_by_length(
    attention: Sequence[str],
    sequence_lengths_bp: Sequence[int],
    seeds: Sequence[int],
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    block_size: int,
    trained_length_bp: int | None = None,
) -> dict[tuple[str, int, int], Variant]:
    """Every kind at every length from every seed, by those three: warm starts, real flanks.

    Args:
        attention: Kinds that take all of Enformer's weights.
        sequence_lengths_bp: Lengths of the input that they predict from.
        seeds: Of the trainings.
        steps: Of each training.
        learning_rate: Likewise.
        batch_size: Likewise.
        block_size: Tokens per block of the sparse kinds.
        trained_length_bp: Length of the input that all are trained with: what they predict from
            others tells what a model is worth at inputs that it was not trained on. None trains
            each with the length that it predicts from.
    """
    return {
        (kind, length_bp, seed): Variant(
            changes={"attention": kind, "block_size": block_size},
            start="warm start",
            plan=TrainingPlan(
                steps=steps,
                sequence_length_bp=trained_length_bp or length_bp,
                flanks="genome",
                learning_rate=learning_rate,
                batch_size=batch_size,
                seed=seed,
            ),
            asked_length_bp=length_bp,
        )
        for length_bp in sequence_lengths_bp
        for kind in attention
        for seed in seeds
    }


def predictions_by_length(
    variants: Mapping[tuple[str, int, int], Variant],
    enformer: Enformer,
    folders: Mapping[str, RecordFolder],
    output_folder: str | Path,
) -> ByLength:
    """Train all, and collect what they predict of the test records.

    Args:
        variants: From `variants_by_length`.
        enformer: The run's, from `run_models.trained_enformer`.
        folders: From `run_data.open_data`.
        output_folder: The run's folder.

    Returns:
        By kind and length: `[records, bins, tracks]` of every seed. For simulated records also the
        best predictions for each length, by `CEILING`, and without any enhancer, by `NO_ENHANCER`
        and 0.
    """
    predicted: ByLength = {}
    for (kind, length_bp, _), variant in variants.items():
        of_seed = held_out_predictions(variant, enformer, folders, output_folder)
        predicted.setdefault((kind, length_bp), []).append(of_seed)
    if is_simulated(folders[HEAD]):
        best = functools.partial(_expected, folders[HEAD], enformer.config.target_length)
        for length_bp in sorted({length_bp for _, length_bp, _ in variants}):
            predicted[CEILING, length_bp] = [best(length_bp)]
        predicted[NO_ENHANCER, 0] = [best(0)]
    return predicted


def accuracy_by_length(predicted: ByLength, accuracy: HeldOutAccuracy) -> pd.DataFrame:
    """Say how accurate the models of each length are.

    Args:
        predicted: From `predictions_by_length`.
        accuracy: Of the same records.

    Returns:
        One row per kind, or best prediction, length and measure: `attention`,
        `sequence_length_bp`, `measure` (of `HeldOutAccuracy`), `pearson_r` and its 95 % interval
        over sequences and seeds, `pearson_r_low` and `pearson_r_high`, and `num_seeds`.
    """
    return pd.DataFrame(
        [
            row
            for (kind, length_bp), of_seeds in predicted.items()
            for row in _rows(kind, length_bp, of_seeds, accuracy)
        ]
    )


def use_by_distance(
    predicted: ByLength, promoters: distal_use.PromotersOfSplit, folder: RecordFolder
) -> pd.DataFrame:
    """Say from how far away models take what they predict, on simulated records.

    Args:
        predicted: From `predictions_by_length`.
        promoters: Of the same records, `HeldOutAccuracy.promoters`.
        folder: The records.

    Returns:
        The rows of `distal_use.share_used_by_distance` of each kind, or best prediction, and
        length: `attention` and `sequence_length_bp` before them.

    Raises:
        FileNotFoundError: If the records are not simulated.
    """
    target_length = next(iter(predicted.values()))[0].shape[1]
    expected = promoters.levels(_expected(folder, target_length, None))
    frames = []
    for (kind, length_bp), of_seeds in predicted.items():
        levels = [promoters.levels(predictions) for predictions in of_seeds]
        used = distal_use.share_used_by_distance(promoters, levels, expected)
        used.insert(0, "sequence_length_bp", length_bp)
        used.insert(0, "attention", kind)
        frames.append(used)
    return pd.concat(frames, ignore_index=True)


def _expected(folder: RecordFolder, target_length: int, seen_bp: int | None) -> NDArray[np.float64]:
    """The best prediction, of the central bins that models predict: `[records, bins, tracks]`."""
    expected = simulate.expected_targets(folder, TEST_SPLIT, seen_bp=seen_bp)
    first = (folder.target_length - target_length) // 2
    return expected[:, first : first + target_length]


def _rows(
    kind: str,
    length_bp: int,
    of_seeds: Sequence[NDArray[np.floating]],
    accuracy: HeldOutAccuracy,
) -> Iterator[dict[str, str | int | float]]:
    drawn = np.stack([accuracy.resampled_r(predictions) for predictions in of_seeds], axis=1)
    r = resampling.mean_of_repeats(drawn)
    low, high = resampling.interval(r)
    for number, measure in enumerate(accuracy.measures):
        yield {
            "attention": kind,
            "sequence_length_bp": length_bp,
            "measure": measure,
            "pearson_r": r[0, number],
            "pearson_r_low": low[number],
            "pearson_r_high": high[number],
            "num_seeds": len(of_seeds),
        }
