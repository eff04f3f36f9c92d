"""Measure the accuracy drop of each ablation.

The drops of the steps from Enformer to S-Enformer add up to the drop of S-Enformer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from senformer.config import STARTS
from senformer.evaluation import resampling
from senformer.experiments.finetuning.ablation_runs import AblationRun, score_ablation
from senformer.experiments.finetuning.ablations import Ablation
from senformer.experiments.held_out import HeldOutAccuracy
from senformer.experiments.workspace import Workspace
from senformer.report.row_labels import ENFORMER
from senformer.training.train import TrainingPlan


def measure_accuracy_drops(
    ablations: Sequence[Ablation],
    plans: Sequence[TrainingPlan],
    workspace: Workspace,
    accuracy: HeldOutAccuracy,
) -> pd.DataFrame:
    """Train Enformer and each ablation from each seed, and measure them before and after.

    Args:
        ablations: Each is compared with Enformer or with an ablation before it.
        plans: One training per seed, from `ablation_runs.training_plans`.
        workspace: The run's Enformer, records and folder.
        accuracy: The measures, on the records of the workspace.

    Returns:
        One row per model, moment and measure: `model`, `compared_with`, `when` (`before` or `after`
        training), `measure`, `pearson_r`, `step_pearson_r_drop` (from the model `compared_with`),
        `pearson_r_drop` (from Enformer), their 95 % confidence intervals over sequences and seeds
        (`<name>_low`, `<name>_high`; those of drops are paired), and `num_seeds`.
    """
    enformer = Ablation(name=ENFORMER, compared_with=ENFORMER, config_fields={}, start=STARTS[1])
    tables = []
    for when in ("before", "after"):
        drawn = {}
        for ablation in [enformer, *ablations]:
            repeats = []
            for plan in plans:
                run = AblationRun(
                    config_fields=ablation.config_fields,
                    start=ablation.start,
                    plan=plan if when == "after" else plan.replace(steps=0),
                )
                repeats.append(accuracy.resampled_r(score_ablation(run, workspace, accuracy)))
            r = drawn[ablation.name] = resampling.average_repeats(np.stack(repeats, axis=1))
            names = {
                "model": ablation.name,
                "compared_with": ablation.compared_with,
                "when": when,
                "measure": accuracy.measures,
            }
            statistics = {
                "pearson_r": r,
                "step_pearson_r_drop": drawn[ablation.compared_with] - r,
                "pearson_r_drop": drawn[ENFORMER] - r,
            }
            columns = [
                resampling.interval_columns(name, values, accuracy.num_sequences)
                for name, values in statistics.items()
            ]
            tables.append(pd.concat([pd.DataFrame(names), *columns], axis=1))
    return pd.concat(tables, ignore_index=True).assign(num_seeds=len(plans))


def select_ablations(drops: pd.DataFrame, ablations: Sequence[Ablation]) -> pd.DataFrame:
    """Select the rows of Enformer, of some ablations, and of what these are compared with.

    Args:
        drops: Rows of `measure_accuracy_drops`; their `attrs` are kept.
        ablations: The ablations to select.
    """
    names = {ENFORMER}.union(*({one.name, one.compared_with} for one in ablations))
    return drops[drops["model"].isin(names)].reset_index(drop=True)


def summarize_drops(drops: pd.DataFrame, measure: str) -> str:
    """Say which ablations are less accurate after training than what they are compared with.

    Args:
        drops: Rows of `select_ablations`; the last model is the end of a path.
        measure: One of the measures.
    """
    rows = drops[(drops["measure"] == measure) & (drops["when"] == "after")]
    ablations = rows[rows["model"] != ENFORMER].sort_values(
        "step_pearson_r_drop", ascending=False, kind="stable"
    )
    is_lower = ablations["step_pearson_r_drop_low"] > 0
    is_higher = ablations["step_pearson_r_drop_high"] < 0
    sentences = [
        f"Enformer's r of {measure} is {rows.iloc[0]['pearson_r']:.3f}; that of the last model is "
        f"lower by {resampling.format_interval(rows.iloc[-1], 'pearson_r_drop')}."
    ]
    for label, selected in (
        ("Significant drops (95 % interval excludes zero)", ablations[is_lower]),
        ("Significant gains", ablations[is_higher][::-1]),
    ):
        if len(selected):
            steps = [
                f"{row['model']}, {resampling.format_interval(row, 'step_pearson_r_drop')}"
                for _, row in selected.iterrows()
            ]
            sentences.append(f"{label}: {'; '.join(steps)}.")
    neither = ablations[~(is_lower | is_higher)].sort_index()
    if len(neither):
        sentences.append(f"Not distinguishable from zero: {'; '.join(neither['model'])}.")
    return " ".join(sentences)
