"""Measure what a longer input contributes to the accuracy of each kind of attention.

All models start from one trained Enformer and keep its trunk and heads; only their attention is
trained, dense or sparse, at each length of the input under one protocol. They predict the same
bins at all lengths, so a longer input adds only more distant sequence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data.simulation import simulate
from senformer.evaluation import resampling
from senformer.experiments.finetuning.ablation_runs import AblationRun, score_ablation
from senformer.experiments.held_out import AT_PROMOTERS, HeldOutAccuracy, Score
from senformer.experiments.receptive_field import enhancer_distance
from senformer.experiments.run_data import TEST_SPLIT
from senformer.experiments.workspace import Workspace
from senformer.report.row_labels import CEILING, NO_ENHANCER
from senformer.training.train import TrainingPlan

ByLength: TypeAlias = "dict[tuple[str, int], list[Score]]"
"""The score of every seed, by kind of attention and length of the input in bp."""


def runs_by_length(
    attention: Sequence[str],
    sequence_lengths_bp: Sequence[int],
    plans: Sequence[TrainingPlan],
    *,
    block_size: int,
    trained_length_bp: int | None = None,
) -> dict[tuple[str, int, int], AblationRun]:
    """Plan a warm start of every kind at every length from every seed.

    Args:
        attention: Kinds that take all of Enformer's weights.
        sequence_lengths_bp: Lengths of the input in bp at which the models predict.
        plans: Training plans that differ in their seeds; this function sets their lengths.
        block_size: Tokens per block of the sparse kinds.
        trained_length_bp: Length of the training inputs in bp, which shows how models predict at
            other lengths than that. None trains each model at the length at which it predicts.

    Returns:
        The runs by kind, length in bp and seed.
    """
    return {
        (kind, length_bp, plan.seed): AblationRun(
            config_fields={"attention": kind, "block_size": block_size},
            start="warm start",
            plan=plan.replace(sequence_length_bp=trained_length_bp or length_bp),
            evaluated_length_bp=length_bp,
        )
        for length_bp in sequence_lengths_bp
        for kind in attention
        for plan in plans
    }


def scores_by_length(
    runs: Mapping[tuple[str, int, int], AblationRun],
    workspace: Workspace,
    accuracy: HeldOutAccuracy,
) -> ByLength:
    """Train all models and score their predictions of the test records.

    Args:
        runs: From `runs_by_length`.
        workspace: The run's Enformer, records and folder.
        accuracy: The measures, on the workspace's records.

    Returns:
        The scores of the models. For simulated records also those of the best possible
        predictions at each length, by `CEILING`, and without any enhancer, by `NO_ENHANCER` and 0.
    """
    scores: ByLength = {}
    for (kind, length_bp, _), run in runs.items():
        score = score_ablation(run, workspace, accuracy)
        scores.setdefault((kind, length_bp), []).append(score)
    if simulate.is_simulated(workspace.human):
        for length_bp in sorted({length_bp for _, length_bp, _ in runs}):
            scores[CEILING, length_bp] = [accuracy.score(_expected_targets(workspace, length_bp))]
        scores[NO_ENHANCER, 0] = [accuracy.score(_expected_targets(workspace, 0))]
    return scores


def _expected_targets(workspace: Workspace, seen_bp: int | None) -> NDArray[np.float64]:
    """Compute the best possible prediction of the central bins: `[records, bins, tracks]`."""
    expected = simulate.compute_expected_targets(workspace.human, TEST_SPLIT, seen_bp=seen_bp)
    target_length = workspace.parameters.target_length
    first = (workspace.human.target_length - target_length) // 2
    return expected[: workspace.parameters.num_test_sequences, first : first + target_length]


def accuracy_by_length(scores: ByLength, accuracy: HeldOutAccuracy) -> pd.DataFrame:
    """Compute the accuracy of the models at each length, with confidence intervals.

    Args:
        scores: From `scores_by_length`.
        accuracy: The measures that made the scores.

    Returns:
        One row per kind or best prediction, length and measure: `attention`,
        `sequence_length_bp`, `measure` (of `HeldOutAccuracy`), `pearson_r` and its 95 %
        confidence interval over sequences and seeds, `pearson_r_low` and `pearson_r_high`, and
        `num_seeds`.
    """
    tables = []
    for (kind, length_bp), by_seed in scores.items():
        resampled = np.stack([accuracy.resampled_r(score) for score in by_seed], axis=1)
        r = resampling.interval_columns(
            "pearson_r", resampling.average_repeats(resampled), accuracy.num_sequences
        )
        key = {"attention": kind, "sequence_length_bp": length_bp, "measure": accuracy.measures}
        tables.append(pd.DataFrame(key).join(r).assign(num_seeds=len(by_seed)))
    return pd.concat(tables, ignore_index=True)


def use_by_distance(
    scores: ByLength, promoters: enhancer_distance.PromotersOfSplit, workspace: Workspace
) -> pd.DataFrame:
    """Estimate which share of the enhancers' effects models use, by distance.

    Args:
        scores: From `scores_by_length`, on simulated records.
        promoters: Promoters of these records, `HeldOutAccuracy.promoters`.
        workspace: The workspace of the scores.

    Returns:
        `attention`, `sequence_length_bp` and the columns of
        `enhancer_distance.share_used_by_distance`, for each kind or best prediction and length.

    Raises:
        FileNotFoundError: If the records are not simulated.
    """
    expected = promoters.levels(_expected_targets(workspace, None))
    frames = []
    for (kind, length_bp), by_seed in scores.items():
        levels = [score.levels for score in by_seed]
        used = enhancer_distance.share_used_by_distance(promoters, levels, expected)
        used.insert(0, "sequence_length_bp", length_bp)
        used.insert(0, "attention", kind)
        frames.append(used)
    return pd.concat(frames, ignore_index=True)


def select_transcription(by_length: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose measure is of CAGE, or all rows if there is none."""
    rows = by_length[by_length["measure"].isin(("CAGE", AT_PROMOTERS))]
    if rows.empty:
        return by_length
    rows.attrs = by_length.attrs
    return rows


def describe_gain_from_length(by_length: pd.DataFrame, measure: str) -> str:
    """Describe in a sentence how accuracy changes from the shortest input to the longest.

    Args:
        by_length: From `accuracy_by_length`.
        measure: A measure of `HeldOutAccuracy`.
    """
    rows = by_length[(by_length["measure"] == measure) & (by_length["sequence_length_bp"] > 0)]
    lengths_bp = rows["sequence_length_bp"]
    parts = []
    for kind, by_kind in rows.groupby("attention", sort=False):
        r = by_kind.set_index("sequence_length_bp")
        shortest, longest = (
            resampling.format_interval(r.loc[length_bp], "pearson_r")
            for length_bp in (lengths_bp.min(), lengths_bp.max())
        )
        name = "the best possible prediction" if kind == CEILING else f"`{kind}`"
        parts.append(f"from {shortest} to {longest} for {name}")
    return (
        f"When the input grows from {lengths_bp.min():,} bp to {lengths_bp.max():,} bp, r of "
        f"{measure} changes {'; '.join(parts)}."
    )


def describe_other_training_length(
    trained: pd.DataFrame, elsewhere: pd.DataFrame, measure: str
) -> str:
    """Describe in a sentence the accuracy at the longest input after training at another length.

    Args:
        trained: From `accuracy_by_length`, of models trained at each length.
        elsewhere: From `accuracy_by_length`, of models all trained at one length.
        measure: A measure of `HeldOutAccuracy`.
    """
    longest_bp = trained["sequence_length_bp"].max()
    r_trained, r_elsewhere = (
        table[(table["measure"] == measure) & (table["sequence_length_bp"] == longest_bp)]
        .set_index("attention")
        .apply(resampling.format_interval, axis=1, name="pearson_r")
        for table in (trained, elsewhere)
    )
    parts = [
        f"{r_elsewhere[kind]} instead of {r_trained[kind]} for `{kind}`"
        for kind in trained["attention"].unique()
        if kind not in (CEILING, NO_ENHANCER)
    ]
    return (
        f"At {longest_bp:,} bp, r of {measure} of models trained at another length is "
        f"{'; '.join(parts)}."
    )
