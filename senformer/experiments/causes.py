"""What each difference between Enformer and S-Enformer costs, one at a time.

The study changes four things at once: which keys a query sees, what its attention layers start
with, whether they know positions, and how wide their keys are. Here they are changed one after the
other, all else equal, so that what each costs adds up to what all cost. Beside that path stand
other patterns and other efficient attentions, each a change of one thing as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.config import ModelConfig
from senformer.data.opening import RecordFolder
from senformer.evaluation import resampling
from senformer.experiments.held_out_accuracy import HeldOutAccuracy
from senformer.experiments.run_data import HEAD
from senformer.experiments.variants import Variant, held_out_predictions
from senformer.model.enformer import Enformer
from senformer.training.train import TrainingPlan

ENFORMER = "Enformer"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that is changed.

    Attributes:
        name: What figures and tables call the model that results.
        of: The name of the model that it is a change of.
        changes: Fields of `ModelConfig` in which the model differs from Enformer, that of the model
            that it is a change of included.
        start: One of `run_models.STARTS`.
    """

    name: str
    of: str
    changes: Mapping[str, Any]
    start: str


def steps_to_senformer(config: ModelConfig) -> list[Change]:
    """The path from Enformer to S-Enformer, in steps of one change each.

    Args:
        config: Enformer's, with the block size of the sparse models.
    """
    pattern = {"attention": "bigbird_relative", "block_size": config.block_size}
    no_positions = {**pattern, "relative_positions": False}
    wide_keys = {**no_positions, "key_size": config.value_size}
    path: list[tuple[str, dict[str, Any], str]] = [
        ("sparse pattern, random blocks from anywhere", {**pattern, **_UNIFORM}, "warm start"),
        ("random blocks as published", pattern, "warm start"),
        ("new attention weights", pattern, "new attention"),
        ("no positions", no_positions, "new attention"),
        ("wide queries and keys", wide_keys, "new attention"),
        ("biases: S-Enformer", {**pattern, "attention": "bigbird"}, "new attention"),
    ]
    names = [ENFORMER, *(name for name, _, _ in path)]
    return [
        Change(name=name, of=before, changes=changes, start=start)
        for before, (name, changes, start) in zip(names, path, strict=False)
    ]


def other_patterns(config: ModelConfig) -> list[Change]:
    """Patterns and attentions beside that path, each a change of Enformer, started warm if it can.

    Args:
        config: Enformer's, with the block size of the sparse models.
    """
    blocks = {"block_size": config.block_size}
    pattern = {"attention": "bigbird_relative", **blocks, **_UNIFORM}
    half, twice = config.block_size // 2, config.block_size * 2
    beside: list[tuple[str, dict[str, Any], str]] = [
        ("window alone", {**blocks, "attention": "local"}, "warm start"),
        ("window and global blocks", {**pattern, "num_random_blocks": 0}, "warm start"),
        ("one random block", {**pattern, "num_random_blocks": 1}, "warm start"),
        ("blocks of half the size", {**pattern, "block_size": half}, "warm start"),
        ("blocks of twice the size", {**pattern, "block_size": twice}, "warm start"),
        ("Performer", {**blocks, "attention": "performer"}, "warm start"),
        ("linear attention", {**blocks, "attention": "linear"}, "warm start"),
        ("Reformer", {**blocks, "attention": "reformer"}, "new attention"),
    ]
    return [
        Change(name=name, of=ENFORMER, changes=changes, start=start)
        for name, changes, start in beside
    ]


_UNIFORM = {"random_block_plan": "uniform"}


def cost_of_changes(
    changes: Sequence[Change],
    plans: Sequence[TrainingPlan],
    enformer: Enformer,
    folders: Mapping[str, RecordFolder],
    output_folder: str | Path,
) -> pd.DataFrame:
    """Train every model from every seed, and say what each change costs, before and after.

    Args:
        changes: From `steps_to_senformer` and `other_patterns`. Enformer itself is trained on as
            they are.
        plans: One for each repetition, alike but for their seeds.
        enformer: The run's, from `run_models.trained_enformer`.
        folders: From `run_data.open_data`.
        output_folder: The run's folder.

    Returns:
        One row per model, moment and measure: `model`, `of`, `when` (`before` or `after` training),
        `measure` (of `HeldOutAccuracy`), `pearson_r`, `cost` (r of the model it is a change of,
        less its own), the 95 % intervals of both over sequences and seeds, paired, and `num_seeds`.
    """
    start = Change(name=ENFORMER, of=ENFORMER, changes={}, start="warm start")
    accuracy = HeldOutAccuracy(folders[HEAD], enformer.config.target_length)
    rows: list[dict[str, str | float]] = []
    for when in ("before", "after"):
        drawn = {}
        for change in [start, *changes]:
            repeats = [
                accuracy.resampled_r(
                    held_out_predictions(variant, enformer, folders, output_folder)
                )
                for variant in _variants(change, plans, when)
            ]
            drawn[change.name] = resampling.mean_of_repeats(np.stack(repeats, axis=1))
            rows += _rows(change, when, drawn, accuracy.measures, num_seeds=len(plans))
    return pd.DataFrame(rows)


def _variants(change: Change, plans: Sequence[TrainingPlan], when: str) -> Iterator[Variant]:
    for plan in plans:
        steps = plan.steps if when == "after" else 0
        yield Variant(
            changes=change.changes,
            start=change.start,
            plan=dataclasses.replace(plan, steps=steps),
        )


def _rows(
    change: Change,
    when: str,
    drawn: Mapping[str, NDArray[np.floating]],
    measures: Sequence[str],
    *,
    num_seeds: int,
) -> Iterator[dict[str, str | float]]:
    r, cost = drawn[change.name], drawn[change.of] - drawn[change.name]
    r_low, r_high = resampling.interval(r)
    cost_low, cost_high = resampling.interval(cost)
    for number, measure in enumerate(measures):
        yield {
            "model": change.name,
            "of": change.of,
            "when": when,
            "measure": measure,
            "pearson_r": r[0, number],
            "pearson_r_low": r_low[number],
            "pearson_r_high": r_high[number],
            "cost": cost[0, number],
            "cost_low": cost_low[number],
            "cost_high": cost_high[number],
            "num_seeds": num_seeds,
        }
