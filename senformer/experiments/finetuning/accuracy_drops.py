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
from senformer.experiments.finetuning.ablations import ENFORMER, Change
from senformer.experiments.held_out import HeldOutAccuracy
from senformer.training.train import TrainingPlan


def cost_of_changes(
    changes: Sequence[Change], plans: Sequence[TrainingPlan], run: Run
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
    start = Change(name=ENFORMER, of=ENFORMER, changes={}, start=STARTS[1])
    accuracy = run.held_out_accuracy()
    tables = []
    for when in ("before", "after"):
        drawn = {}
        for change in [start, *changes]:
            repeats = [
                accuracy.resampled_r(held_out_score(variant, run, accuracy))
                for variant in _variants(change, plans, when)
            ]
            drawn[change.name] = resampling.average_repeats(np.stack(repeats, axis=1))
            tables.append(_rows(change, when, drawn, accuracy))
    return pd.concat(tables, ignore_index=True).assign(num_seeds=len(plans))


def compared_with_enformer(costs: pd.DataFrame, changes: Sequence[Change]) -> pd.DataFrame:
    """Enformer's rows and those of some changes, and of what these are changes of.

    Args:
        costs: From `cost_of_changes`.
        changes: Some of those that were compared.
    """
    names = {ENFORMER, *(change.name for change in changes), *(change.of for change in changes)}
    rows = costs[costs["model"].isin(names)].reset_index(drop=True)
    rows.attrs = costs.attrs
    return rows


def of_measure(costs: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The rows of one measure, with what `results.read` attached to them."""
    rows = costs[costs["measure"] == measure].reset_index(drop=True)
    rows.attrs = costs.attrs
    return rows


def what_was_found(costs: pd.DataFrame, measure: str) -> str:
    """Say in words which changes cost accuracy after training, from the numbers.

    Args:
        costs: Of a path, from `compared_with_enformer`.
        measure: Of `HeldOutAccuracy`.
    """
    trained = costs[(costs["measure"] == measure) & (costs["when"] == "after")]
    changed, last = trained[trained["model"] != ENFORMER], trained.iloc[-1]
    costing = changed[changed["cost_low"] > 0].sort_values("cost", ascending=False)
    gaining = changed[changed["cost_high"] < 0].sort_values("cost")
    neither = changed.drop([*costing.index, *gaining.index])
    parts = [
        f"Of Enformer's r of {measure}, {trained.iloc[0]['pearson_r']:.3f}, "
        f"{resampling.format_interval(last, 'loss')} is lost from end to end."
    ]
    for rows, what in ((costing, "Costs"), (gaining, "Gains")):
        if len(rows):
            named = [
                f"{row['model']}, {resampling.format_interval(row, 'cost')}"
                for _, row in rows.iterrows()
            ]
            parts.append(f"{what} that are told from nothing: {'; '.join(named)}.")
    if len(neither):
        parts.append(f"Not told from nothing: {'; '.join(neither['model'])}.")
    return " ".join(parts)


def _variants(change: Change, plans: Sequence[TrainingPlan], when: str) -> Iterator[Variant]:
    for plan in plans:
        steps = plan.steps if when == "after" else 0
        yield Variant(
            changes=change.changes,
            start=change.start,
            plan=plan.replace(steps=steps),
        )


def _rows(
    change: Change,
    when: str,
    drawn: Mapping[str, NDArray[np.floating]],
    accuracy: HeldOutAccuracy,
) -> pd.DataFrame:
    r = drawn[change.name]
    statistics = {"pearson_r": r, "cost": drawn[change.of] - r, "loss": drawn[ENFORMER] - r}
    named = {"model": change.name, "of": change.of, "when": when, "measure": accuracy.measures}
    return pd.DataFrame(named).join(
        [
            resampling.interval_columns(name, values, accuracy.num_sequences)
            for name, values in statistics.items()
        ]
    )
