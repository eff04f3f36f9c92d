"""What each difference between Enformer and S-Enformer costs, one at a time.

The study changes four things at once: which keys a query sees, what its attention layers start
with, whether they know positions, and how wide their keys are. Here they are changed one after the
other, all else equal, so that what each costs adds up to what all cost. Beside that path stand
other patterns and other efficient attentions, each a change of one thing as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.attention_kinds import attention_kind
from senformer.config import ModelConfig, expect_one_of
from senformer.evaluation import resampling
from senformer.experiments.run_models import STARTS
from senformer.experiments.variants import Run, Variant, held_out_predictions
from senformer.training.train import TrainingPlan

ENFORMER = "Enformer"
PATTERN = "sparse pattern, random blocks from anywhere"

FURTHER = ("fewer keys", "other attentions")
"""What can be compared beside the path from Enformer to S-Enformer."""

_NEIGHBOURING_TOKENS = 2  # per block: a window of less than the 6 tokens between two elements


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
        (PATTERN, {**pattern, **_UNIFORM}, _WARM),
        ("random blocks as published", pattern, _WARM),
        ("new attention weights", pattern, _NEW),
        ("no positions", no_positions, _NEW),
        ("wide queries and keys", wide_keys, _NEW),
        ("biases: S-Enformer", {**pattern, "attention": "bigbird"}, _NEW),
    ]
    return _one_after_the_other(ENFORMER, path)


def steps_to_no_reach(config: ModelConfig) -> list[Change]:
    """On from `PATTERN`, keys taken away step by step, until none is left that lies far.

    Args:
        config: Enformer's, with the block size of the sparse models.
    """
    window = {"attention": "local", "block_size": config.block_size}
    pattern = {**window, "attention": "bigbird_relative", **_UNIFORM}
    neighbours = {**window, "block_size": _NEIGHBOURING_TOKENS}
    path: list[tuple[str, dict[str, Any], str]] = [
        ("one random block", {**pattern, "num_random_blocks": 1}, _WARM),
        ("window and global blocks", {**pattern, "num_random_blocks": 0}, _WARM),
        ("window alone", window, _WARM),
        ("neighbouring tokens alone", neighbours, _WARM),
    ]
    return _one_after_the_other(PATTERN, path)


def other_attentions(config: ModelConfig) -> list[Change]:
    """Blocks of other sizes, a change of `PATTERN`, and other kinds of attention, of Enformer.

    Args:
        config: Enformer's, with the block size of the sparse models.
    """
    pattern = {"attention": "bigbird_relative", **_UNIFORM}
    half, twice = (
        {**pattern, "block_size": size} for size in (config.block_size // 2, config.block_size * 2)
    )
    beside: list[tuple[str, str, dict[str, Any], str]] = [
        ("blocks of half the size", PATTERN, half, _WARM),
        ("blocks of twice the size", PATTERN, twice, _WARM),
        ("Performer", ENFORMER, {"attention": "performer"}, _WARM),
        ("linear attention", ENFORMER, {"attention": "linear"}, _WARM),
        ("Reformer", ENFORMER, {"attention": "reformer", "block_size": config.block_size}, _WARM),
    ]
    return [
        Change(name=name, of=of, changes=changes, start=start)
        for name, of, changes, start in beside
    ]


def further_changes(name: str, config: ModelConfig) -> list[Change]:
    """One of the comparisons `FURTHER`.

    Args:
        name: Which.
        config: Enformer's, with the block size of the sparse models.

    Raises:
        ValueError: If there is no such comparison.
    """
    expect_one_of("compared_further", name, FURTHER)
    return steps_to_no_reach(config) if name == FURTHER[0] else other_attentions(config)


_UNIFORM = {"random_block_plan": "uniform"}
_NEW, _WARM = STARTS


def _one_after_the_other(
    first: str, path: Sequence[tuple[str, dict[str, Any], str]]
) -> list[Change]:
    names = [first, *(name for name, _, _ in path)]
    return [
        Change(name=name, of=before, changes=changes, start=start)
        for before, (name, changes, start) in zip(names, path, strict=False)
    ]


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
    start = Change(name=ENFORMER, of=ENFORMER, changes={}, start=_WARM)
    accuracy = run.held_out_accuracy()
    rows: list[dict[str, str | float]] = []
    for when in ("before", "after"):
        drawn = {}
        for change in [start, *changes]:
            repeats = [
                accuracy.resampled_r(held_out_predictions(variant, run))
                for variant in _variants(change, plans, when)
            ]
            drawn[change.name] = resampling.mean_of_repeats(np.stack(repeats, axis=1))
            rows += _rows(change, when, drawn, accuracy.measures, num_seeds=len(plans))
    return pd.DataFrame(rows)


def patterns_of(
    changes: Sequence[Change], plans: Sequence[TrainingPlan], config: ModelConfig
) -> dict[str, list[ModelConfig]]:
    """The models that are Enformer but for a fixed pattern, with the random blocks of each plan.

    Args:
        changes: As for `cost_of_changes`; others than such are left out.
        plans: Likewise.
        config: Enformer's.

    Returns:
        By name, what `attention_shares.attention_lost` takes.
    """
    return {
        change.name: [
            config.replace(random_block_seed=plan.seed, **change.changes) for plan in plans
        ]
        for change in changes
        if change.start == _WARM
        and attention_kind(change.changes["attention"]).pattern in ("bigbird", "window")
    }


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
    neither = changed[(changed["cost_low"] <= 0) & (changed["cost_high"] >= 0)]
    parts = [
        f"Of Enformer's r of {measure}, {trained.iloc[0]['pearson_r']:.3f}, "
        f"{_with_interval(last, 'loss')} is lost from end to end."
    ]
    for rows, verb in ((costing, "cost"), (gaining, "gain")):
        if len(rows):
            named = [
                f"{row['model']} ({_with_interval(row, 'cost')})" for _, row in rows.iterrows()
            ]
            parts.append(f"Steps that {verb} more than their interval: {'; '.join(named)}.")
    if len(neither):
        parts.append(f"Not told from nothing: {'; '.join(neither['model'])}.")
    return " ".join(parts)


def _with_interval(row: pd.Series, name: str) -> str:
    return f"{row[name]:+.3f}, {row[f'{name}_low']:+.3f} to {row[f'{name}_high']:+.3f}"


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
    r = drawn[change.name]
    statistics = {"pearson_r": r, "cost": drawn[change.of] - r, "loss": drawn[ENFORMER] - r}
    intervals = {name: resampling.interval(values) for name, values in statistics.items()}
    for number, measure in enumerate(measures):
        row: dict[str, str | float] = {
            "model": change.name,
            "of": change.of,
            "when": when,
            "measure": measure,
        }
        for name, values in statistics.items():
            low, high = intervals[name]
            row |= {name: values[0, number]}
            row |= {f"{name}_low": low[number], f"{name}_high": high[number]}
        yield row | {"num_seeds": num_seeds}
