"""The report's answers, each in a sentence made of the numbers in its tables.

A results page begins with one, and the landing page with those that a choice turns on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown

from senformer.evaluation import resampling
from senformer.experiments.finetuning.ablations import ENFORMER, PATTERN
from senformer.experiments.memory_and_time import scaling
from senformer.report.row_labels import CEILING
from senformer.study import claims, verdicts

SPARSE = "bigbird_relative"
"""The sparse attention that a trained Enformer can begin with."""

_EXACT, _IN_TILES = "dense", "tiled"


def show_answer(sentence: str, judged: pd.DataFrame, topic: str) -> Markdown:
    """What a results page begins with: the answer, and how the study's findings fared.

    Args:
        sentence: The answer.
        judged: Rows of `claims.COLUMNS`.
        topic: The notebook's name; its table of claims stands below a target `verdicts-<topic>`.
    """
    counted = verdicts.count_verdicts(judged, topic)
    num_findings = sum(counted.values())
    findings = "finding" if num_findings == 1 else f"{num_findings} findings"
    return Markdown(
        f"{sentence}\n\nOf the study's {findings} on this, "
        f"[{verdicts.describe_counts(counted)}](#verdicts-{topic.replace('_', '-')})."
    )


def answer_memory(steps: pd.DataFrame, where: str) -> str:
    """What sparse attention saves of a step's memory, and from which length on.

    Args:
        steps: Of one device and number type: `attention`, `sequence_length_bp`,
            `num_transformer_layers`, `trainable`, `peak_memory_gb`; the sentence is about
            the rows of `scaling.select_deepest`.
        where: The device, and whether it was compiled for it or ran on it, as a sentence begins.
    """
    deepest = scaling.select_deepest(steps).dropna(subset="peak_memory_gb")
    peaks_gb = deepest.pivot(
        index="sequence_length_bp", columns="attention", values="peak_memory_gb"
    )
    sparse = _sparse([*map(str, peaks_gb)])
    both = peaks_gb[[sparse, _EXACT]].dropna()
    first_bp, *longer_bp = _ends(both.index)
    said = (
        f"A training step takes {_gb(both.loc[first_bp, sparse])} with sparse attention and "
        f"{_gb(both.loc[first_bp, _EXACT])} with self-attention at {first_bp:,} bp"
    )
    for length_bp in longer_bp:
        sparse_gb, exact_gb = both.loc[length_bp]
        said += f", {_gb(sparse_gb)} and {_gb(exact_gb)} at {length_bp:,} bp"
    tiled_gb = peaks_gb.get(_IN_TILES, pd.Series()).get(both.index[-1])
    if pd.notna(tiled_gb):
        said += f", where self-attention in tiles takes {_gb(tiled_gb)}"
    saves = _saves(scaling.ratios(deepest, "peak_memory_gb"), sparse)
    return f"{said}. {saves} ({where}.)"


def answer_runtime(steps: pd.DataFrame, where: str) -> str:
    """What sparse attention costs or saves of a step's time.

    Args:
        steps: As of `memory`, with `step_seconds`.
        where: The device.
    """
    ratios = scaling.ratios(
        scaling.select_deepest(steps).dropna(subset="step_seconds"), "step_seconds"
    )
    of_kind = {
        str(kind): rows.set_index("sequence_length_bp")["ratio"]
        for kind, rows in ratios.groupby("attention", sort=False)
    }
    sparse = _sparse(list(of_kind))
    lengths_bp = _ends(of_kind[sparse].index)
    said = [f"{of_kind[sparse][bp]:.2f} times as long at {bp:,} bp" for bp in lengths_bp]
    tiled = ""
    if lengths_bp[-1] in of_kind.get(_IN_TILES, ()):
        ratio = of_kind[_IN_TILES][lengths_bp[-1]]
        tiled = f", where self-attention in tiles takes {ratio:.2f} times"
    return (
        "Beside one with self-attention, a training step with sparse attention takes "
        f"{', '.join(said)}{tiled}. {_saves(ratios, sparse)} ({where}.)"
    )


def describe_pattern_drop(costs: pd.DataFrame) -> str:
    """What the sparse pattern costs in accuracy where regulation reaches far.

    Args:
        costs: From `causes.measure_accuracy_drops`.
    """
    measure = costs["measure"].iloc[-1]
    rows = costs[(costs["measure"] == measure) & (costs["when"] == "after")].set_index("model")
    return (
        f"Of Enformer's r of {measure}, {rows.loc[ENFORMER, 'pearson_r']:.3f}, BigBird's pattern "
        f"costs {resampling.format_interval(rows.loc[PATTERN], 'pearson_r_drop')}, trained alike."
    )


def answer_receptive_field(used: pd.DataFrame) -> str:
    """From how far away each attention takes something of what it is given, by length.

    Args:
        used: From `length.use_by_distance`.
    """
    sentences = []
    for length_bp, at_length in used[used["sequence_length_bp"] > 0].groupby("sequence_length_bp"):
        parts = [
            f"by `{kind}` {_reach_used(bands)}"
            for kind, bands in at_length.groupby("attention", sort=False)
            if kind != CEILING
        ]
        sentences.append(f"Given {length_bp:,} bp, enhancers are used {'; '.join(parts)}.")
    return " ".join(sentences)


def describe_warm_start(costs: pd.DataFrame) -> str:
    """What Enformer's own weights are worth as a start, beside new attention layers.

    Args:
        costs: From `causes.measure_accuracy_drops`.
    """
    measure = costs["measure"].iloc[-1]
    rows = costs[costs["measure"] == measure].set_index(["when", "model"])
    new = costs["model"].loc[costs["model"].str.contains("S-Enformer")].iloc[0]
    lost = [
        resampling.format_interval(rows.loc[which], "pearson_r_drop")
        for which in (("before", PATTERN), ("after", PATTERN), ("after", new))
    ]
    return (
        f"With its own weights and fewer keys it loses {lost[0]} of r before any training and "
        f"{lost[1]} after it; with new attention layers, trained alike, {lost[2]}."
    )


def _reach_used(bands: pd.DataFrame) -> str:
    """The end of the last band before the first whose share is not told from nothing.

    Of many bands one may be told from nothing by chance, even one that no input holds.
    """
    is_told = (bands["share_low"] > 0).to_numpy()
    within = bands.iloc[: np.cumprod(is_told).sum()]
    if within.empty:
        return "nowhere"
    farthest_bp, share = within["farthest_bp"].iloc[-1], within["share_used"]
    return f"up to {farthest_bp:,} bp away ({share.min():.0%} to {share.max():.0%} by band)"


def _sparse(kinds: Sequence[str]) -> str:
    """What stands for sparse attention: the kind that a trained Enformer can begin with, if any."""
    return SPARSE if SPARSE in kinds else next(kind for kind in kinds if kind != _EXACT)


def _ends(lengths_bp: Iterable[int]) -> list[int]:
    """The study's own length, or the shortest, and the longest."""
    in_order = sorted(lengths_bp)
    study_bp = claims.SEQUENCE_LENGTH_BP
    first_bp = study_bp if study_bp in in_order else in_order[0]
    return list(dict.fromkeys([first_bp, in_order[-1]]))


def _gb(value: Any) -> str:
    return f"{value:.1f} GB" if value >= 10 else f"{value:.2f} GB"


def _saves(ratios: pd.DataFrame, kind: str) -> str:
    from_bp = scaling.saves_from_bp(ratios, kind)
    if from_bp is None:
        return "At the longest it saves nothing."
    return f"It saves from {from_bp:,} bp on."
