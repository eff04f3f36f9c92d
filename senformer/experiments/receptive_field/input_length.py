"""What a longer input buys, and how much of it each kind of attention takes.

One trained Enformer is the start of all: its trunk and heads stay, its attention is trained on at
each length, exact or sparse, alike. The predicted bins are the same for all lengths, so a longer
input adds nothing but what lies farther away.
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
from senformer.experiments.run_data import TEST_SPLIT, is_simulated
from senformer.experiments.workspace import Workspace
from senformer.report.row_labels import CEILING, NO_ENHANCER
from senformer.training.train import TrainingPlan

ByLength: TypeAlias = "dict[tuple[str, int], list[Score]]"


def runs_by_length(
    attention: Sequence[str],
    sequence_lengths_bp: Sequence[int],
    plans: Sequence[TrainingPlan],
    *,
    block_size: int,
    trained_length_bp: int | None = None,
) -> dict[tuple[str, int, int], AblationRun]:
    """Every kind at every length from every seed, by those three: warm starts.

    Args:
        attention: Kinds that take all of Enformer's weights.
        sequence_lengths_bp: Lengths of the input that they predict from.
        plans: One for each repetition, alike but for their seeds; lengths are put in their place.
        block_size: Tokens per block of the sparse kinds.
        trained_length_bp: Length of the input that all are trained with: what they predict from
            others tells what a model is worth at inputs that it was not trained on. None trains
            each with the length that it predicts from.
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
    """Train all, and score what they predict of the test records.

    Args:
        runs: From `runs_by_length`.
        workspace: The run's Enformer, records and folder.
        accuracy: The measures, on the workspace's records.

    Returns:
        By kind and length: the score of every seed. For simulated records also those of the best
        predictions for each length, by `CEILING`, and without any enhancer, by `NO_ENHANCER` and 0.
    """
    scores: ByLength = {}
    for (kind, length_bp, _), run in runs.items():
        of_seed = score_ablation(run, workspace, accuracy)
        scores.setdefault((kind, length_bp), []).append(of_seed)
    if is_simulated(workspace.human):
        for length_bp in sorted({length_bp for _, length_bp, _ in runs}):
            scores[CEILING, length_bp] = [accuracy.score(_expected(workspace, length_bp))]
        scores[NO_ENHANCER, 0] = [accuracy.score(_expected(workspace, 0))]
    return scores


def accuracy_by_length(scores: ByLength, accuracy: HeldOutAccuracy) -> pd.DataFrame:
    """Say how accurate the models of each length are.

    Args:
        scores: From `scores_by_length`.
        accuracy: Of the same records.

    Returns:
        One row per kind, or best prediction, length and measure: `attention`,
        `sequence_length_bp`, `measure` (of `HeldOutAccuracy`), `pearson_r` and its 95 % interval
        over sequences and seeds, `pearson_r_low` and `pearson_r_high`, and `num_seeds`.
    """
    return pd.concat(
        [
            _rows(kind, length_bp, of_seeds, accuracy)
            for (kind, length_bp), of_seeds in scores.items()
        ],
        ignore_index=True,
    )


def use_by_distance(
    scores: ByLength, promoters: enhancer_distance.PromotersOfSplit, workspace: Workspace
) -> pd.DataFrame:
    """Say from how far away models take what they predict, on simulated records.

    Args:
        scores: From `scores_by_length`.
        promoters: Of the same records, `HeldOutAccuracy.promoters`.
        workspace: Their workspace.

    Returns:
        The rows of `distal_use.share_used_by_distance` of each kind, or best prediction, and
        length: `attention` and `sequence_length_bp` before them.

    Raises:
        FileNotFoundError: If the records are not simulated.
    """
    expected = promoters.levels(_expected(workspace, None))
    frames = []
    for (kind, length_bp), of_seeds in scores.items():
        levels = [score.levels for score in of_seeds]
        used = enhancer_distance.share_used_by_distance(promoters, levels, expected)
        used.insert(0, "sequence_length_bp", length_bp)
        used.insert(0, "attention", kind)
        frames.append(used)
    return pd.concat(frames, ignore_index=True)


def describe_gain_from_length(by_length: pd.DataFrame, measure: str) -> str:
    """Say in words what each attention gains from the shortest input to the longest.

    Args:
        by_length: From `accuracy_by_length`.
        measure: Of `HeldOutAccuracy`.
    """
    rows = by_length[(by_length["measure"] == measure) & (by_length["sequence_length_bp"] > 0)]
    lengths_bp = rows["sequence_length_bp"]
    parts = []
    for kind, of_kind in rows.groupby("attention", sort=False):
        r = of_kind.set_index("sequence_length_bp")
        ends = [
            resampling.format_interval(r.loc[bp], "pearson_r")
            for bp in (lengths_bp.min(), lengths_bp.max())
        ]
        name = "the best possible" if kind == CEILING else f"`{kind}`"
        parts.append(f"{name} from {ends[0]} to {ends[1]}")
    return (
        f"From an input of {lengths_bp.min():,} bp to one of {lengths_bp.max():,} bp, r of "
        f"{measure} goes for {'; for '.join(parts)}."
    )


def select_transcription(by_length: pd.DataFrame) -> pd.DataFrame:
    """Those rows whose measure is of CAGE, or all where no track is."""
    rows = by_length[by_length["measure"].isin(("CAGE", AT_PROMOTERS))]
    if rows.empty:
        return by_length
    rows.attrs = by_length.attrs
    return rows


def describe_other_training_length(
    trained: pd.DataFrame, elsewhere: pd.DataFrame, measure: str
) -> str:
    """Say in words what a model loses at the longest input if it was trained at another.

    Args:
        trained: From `accuracy_by_length`, of models that were trained at each length.
        elsewhere: Likewise, of models that were all trained at one.
        measure: Of `HeldOutAccuracy`.
    """
    longest_bp = trained["sequence_length_bp"].max()
    parts = []
    for kind in trained["attention"].unique():
        if kind in (CEILING, NO_ENHANCER):
            continue
        there, here = (
            table[
                (table["attention"] == kind)
                & (table["measure"] == measure)
                & (table["sequence_length_bp"] == longest_bp)
            ].iloc[0]
            for table in (elsewhere, trained)
        )
        r_there, r_here = (resampling.format_interval(row, "pearson_r") for row in (there, here))
        parts.append(f"`{kind}` {r_there} instead of {r_here}")
    return (
        f"Asked at {longest_bp:,} bp and trained elsewhere, r of {measure} is for "
        f"{'; for '.join(parts)}."
    )


def _expected(workspace: Workspace, seen_bp: int | None) -> NDArray[np.float64]:
    """The best prediction, of the central bins that models predict: `[records, bins, tracks]`."""
    expected = simulate.compute_expected_targets(workspace.human, TEST_SPLIT, seen_bp=seen_bp)
    target_length = workspace.parameters.target_length
    first = (workspace.human.target_length - target_length) // 2
    return expected[: workspace.parameters.num_test_sequences, first : first + target_length]


def _rows(
    kind: str,
    length_bp: int,
    of_seeds: Sequence[Score],
    accuracy: HeldOutAccuracy,
) -> pd.DataFrame:
    drawn = np.stack([accuracy.resampled_r(score) for score in of_seeds], axis=1)
    r = resampling.interval_columns(
        "pearson_r", resampling.average_repeats(drawn), accuracy.num_sequences
    )
    named = {"attention": kind, "sequence_length_bp": length_bp, "measure": accuracy.measures}
    return pd.DataFrame(named).join(r).assign(num_seeds=len(of_seeds))
