"""What each difference between Enformer and S-Enformer costs, all else equal.

What the changes of a path cost adds up to what all of them cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.config import STARTS
from senformer.evaluation import resampling
from senformer.experiments.finetuning.ablation_runs import Run, Variant, held_out_score
from senformer.experiments.finetuning.ablations import ENFORMER, Ablation
from senformer.experiments.held_out import HeldOutAccuracy
from senformer.training.train import TrainingPlan


def measure_accuracy_drops(
    changes: Sequence[Ablation], plans: Sequence[TrainingPlan], run: Run
) -> pd.DataFrame:
    """Train every model from every seed, and say what each change costs, before and after.

    Args:
        changes: Each of Enformer, which is trained on as they are, or of one that comes before it.
        plans: One for each repetition, alike but for their seeds.
        run: What they share.

    Returns:
        One row per model, moment and measure: `model`, `of`, `when` (`before` or `after` training),
        `measure` (of `HeldOutAccuracy`), `pearson_r`, `cost` (r of the model it is a change of,
        less its own), `loss` (r of Enformer, less its own), the 95 % intervals of the three over
        sequences and seeds, those of differences paired, and `num_seeds`.
    """
    start = Ablation(name=ENFORMER, compared_with=ENFORMER, config_fields={}, start=STARTS[1])
    accuracy = run.held_out_accuracy()
    tables = []
    for when in ("before", "after"):
        drawn = {}
        for ablation in [start, *changes]:
            repeats = [
                accuracy.resampled_r(held_out_score(variant, run, accuracy))
                for variant in _variants(ablation, plans, when)
            ]
            drawn[ablation.name] = resampling.average_repeats(np.stack(repeats, axis=1))
            tables.append(_rows(ablation, when, drawn, accuracy))
    return pd.concat(tables, ignore_index=True).assign(num_seeds=len(plans))


def select_ablations(costs: pd.DataFrame, changes: Sequence[Ablation]) -> pd.DataFrame:
    """Enformer's rows and those of some changes, and of what these are changes of.

    Args:
        costs: From `measure_accuracy_drops`.
        changes: Some of those that were compared.
    """
    names = {
        ENFORMER,
        *(ablation.name for ablation in changes),
        *(ablation.compared_with for ablation in changes),
    }
    rows = costs[costs["model"].isin(names)].reset_index(drop=True)
    rows.attrs = costs.attrs
    return rows


def select_measure(costs: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The rows of one measure, with what `results.read` attached to them."""
    rows = costs[costs["measure"] == measure].reset_index(drop=True)
    rows.attrs = costs.attrs
    return rows


def summarize_drops(costs: pd.DataFrame, measure: str) -> str:
    """Say in words which changes cost accuracy after training, from the numbers.

    Args:
        costs: Of a path, from `select_ablations`.
        measure: Of `HeldOutAccuracy`.
    """
    trained = costs[(costs["measure"] == measure) & (costs["when"] == "after")]
    changed, last = trained[trained["model"] != ENFORMER], trained.iloc[-1]
    costing = changed[changed["step_pearson_r_drop_low"] > 0].sort_values(
        "step_pearson_r_drop", ascending=False
    )
    gaining = changed[changed["step_pearson_r_drop_high"] < 0].sort_values("step_pearson_r_drop")
    neither = changed.drop([*costing.index, *gaining.index])
    parts = [
        f"Of Enformer's r of {measure}, {trained.iloc[0]['pearson_r']:.3f}, "
        f"{resampling.format_interval(last, 'pearson_r_drop')} is lost from end to end."
    ]
    for rows, what in ((costing, "Costs"), (gaining, "Gains")):
        if len(rows):
            named = [
                f"{row['model']}, {resampling.format_interval(row, 'step_pearson_r_drop')}"
                for _, row in rows.iterrows()
            ]
            parts.append(f"{what} that are told from nothing: {'; '.join(named)}.")
    if len(neither):
        parts.append(f"Not told from nothing: {'; '.join(neither['model'])}.")
    return " ".join(parts)


def _variants(ablation: Ablation, plans: Sequence[TrainingPlan], when: str) -> Iterator[Variant]:
    for plan in plans:
        steps = plan.steps if when == "after" else 0
        yield Variant(
            changes=ablation.config_fields,
            start=ablation.start,
            plan=plan.replace(steps=steps),
        )


def _rows(
    ablation: Ablation,
    when: str,
    drawn: Mapping[str, NDArray[np.floating]],
    accuracy: HeldOutAccuracy,
) -> pd.DataFrame:
    r = drawn[ablation.name]
    statistics = {
        "pearson_r": r,
        "step_pearson_r_drop": drawn[ablation.compared_with] - r,
        "pearson_r_drop": drawn[ENFORMER] - r,
    }
    named = {
        "model": ablation.name,
        "compared_with": ablation.compared_with,
        "when": when,
        "measure": accuracy.measures,
    }
    return pd.DataFrame(named).join(
        [
            resampling.interval_columns(name, values, accuracy.num_sequences)
            for name, values in statistics.items()
        ]
    )
