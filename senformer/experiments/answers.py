"""Answer each notebook's question in sentences with the numbers of its tables.

Each results page begins with its answer, and the landing page repeats some of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown

from senformer.evaluation import resampling
from senformer.experiments.correlation import correlations
from senformer.experiments.finetuning.ablations import PATTERN
from senformer.experiments.memory_and_time import scaling
from senformer.experiments.reproduction import protocol_comparison
from senformer.report import markdown
from senformer.report.row_labels import ALL_STUDY_CHOICES, CEILING, ENFORMER
from senformer.study import claims, verdicts

SPARSE = "bigbird_relative"
"""The sparse attention that can start with Enformer's weights."""


def show_answer(answer: str, judged: pd.DataFrame, topic: str) -> Markdown:
    """Show the answer of a results page, and the verdicts on the study's claims.

    Args:
        answer: The answer.
        judged: Rows of `verdicts.COLUMNS`.
        topic: Name of the notebook; its table of claims has the target `verdicts-<topic>`.
    """
    counted = verdicts.count_verdicts(judged, topic)
    num_claims = sum(counted.values())
    claims_text = "claim" if num_claims == 1 else f"{num_claims} claims"
    return Markdown(
        f"{answer}\n\nOf the study's {claims_text} on this, "
        f"[{verdicts.describe_counts(counted)}](#verdicts-{topic.replace('_', '-')})."
    )


def answer_memory(steps: pd.DataFrame, source: str) -> str:
    """Say how much memory a training step needs with sparse and with dense attention.

    Args:
        steps: Steps of one device and number type: `attention`, `sequence_length_bp`,
            `num_transformer_layers`, `trainable`, `peak_memory_gb`. The deepest models count.
        source: The device, and whether the step ran on it or was compiled for it.
    """
    peaks_gb, sparse, lengths_bp, saving = _compare_costs(steps, "peak_memory_gb")
    parts = [
        f"{_format_gb(peaks_gb.loc[bp, sparse])} instead of {_format_gb(peaks_gb.loc[bp, 'dense'])}"
        f" at {bp:,} bp"
        for bp in lengths_bp
    ]
    tiled_gb = peaks_gb.get("tiled", pd.Series()).get(lengths_bp[-1])
    if pd.notna(tiled_gb):
        parts[-1] += f", where dense attention in tiles needs {_format_gb(tiled_gb)}"
    return (
        f"With sparse instead of dense attention, a training step needs {' and '.join(parts)}. "
        f"{saving} ({markdown.escape(source)}.)"
    )


def answer_runtime(steps: pd.DataFrame, source: str) -> str:
    """Say how long a training step takes with sparse attention, compared with dense attention.

    Args:
        steps: Steps as for `answer_memory`, with `step_seconds`.
        source: The device.
    """
    seconds, sparse, lengths_bp, saving = _compare_costs(steps, "step_seconds")
    ratio = seconds.div(seconds["dense"], axis="index")
    parts = [f"{ratio[sparse][bp]:.2f} times as long at {bp:,} bp" for bp in lengths_bp]
    tiled = ratio.get("tiled", pd.Series()).get(lengths_bp[-1])
    if pd.notna(tiled):
        parts[-1] += f", where dense attention in tiles takes {tiled:.2f} times as long"
    return (
        "Compared with dense attention, a training step with sparse attention takes "
        f"{' and '.join(parts)}. {saving} ({markdown.escape(source)}.)"
    )


def answer_reproduction(accuracy: pd.DataFrame) -> str:
    """Say which choice of the evaluation changes r most, and what the study's choices change.

    Args:
        accuracy: From `protocol_comparison.measure_accuracy`.
    """
    names = [protocol_comparison.REFERENCE, ALL_STUDY_CHOICES]
    single = accuracy[~accuracy["choice"].isin(names)]
    change = single.groupby(["choice", "option"], sort=False)["pearson_r_change"].mean().abs()
    (choice, option), largest = change.sort_values(ascending=False).index[0], change.max()
    together = protocol_comparison.compare_study_choices(accuracy)["together"]
    return (
        f"The evaluation alone can change r by {largest:.2f} for the same predictions ({choice}: "
        f"{option}). The study's two choices together change r by {together.min():+.3f} to "
        f"{together.max():+.3f}, depending on the track type, and lower it for "
        f"{(together < 0).sum()} of {len(together)} types. The study reports lower values for all."
    )


def answer_finetuning(drops: pd.DataFrame) -> str:
    """Say how much accuracy the sparse pattern costs after training.

    Args:
        drops: From `accuracy_drops.measure_accuracy_drops`; its last measure counts.
    """
    measure = drops["measure"].iloc[-1]
    rows = drops[(drops["measure"] == measure) & (drops["when"] == "after")].set_index("model")
    return (
        f"Enformer's r of {measure} is {rows.loc[ENFORMER, 'pearson_r']:.3f}. BigBird's pattern "
        f"lowers it by {resampling.format_interval(rows.loc[PATTERN], 'pearson_r_drop')} after "
        "the same training."
    )


def answer_warm_start(drops: pd.DataFrame) -> str:
    """Say how much accuracy a warm start keeps, compared with new attention layers.

    Args:
        drops: From `accuracy_drops.measure_accuracy_drops`; its last measure counts.
    """
    rows = drops[drops["measure"] == drops["measure"].iloc[-1]].set_index(["when", "model"])
    new = drops.loc[drops["model"].str.contains("S-Enformer"), "model"].iloc[0]
    before, after, after_new = (
        resampling.format_interval(rows.loc[row], "pearson_r_drop")
        for row in (("before", PATTERN), ("after", PATTERN), ("after", new))
    )
    return (
        f"With its own weights and fewer keys, r drops by {before} before any training and by "
        f"{after} after it; with new attention layers and the same training, by {after_new}."
    )


def answer_correlation(compared: pd.DataFrame, levels: pd.DataFrame) -> str:
    """Say which model is more accurate, how similar both are, and whether they predict too much.

    Args:
        compared: From `correlations.compare_models`.
        levels: From `correlations.measure_levels`.
    """
    rows = compared[compared["r_over"] == correlations.R_OVER["pearson_r"]]
    ahead, r = rows["share_senformer_ahead"], rows["pearson_r"]
    tendency = correlations.classify_levels(levels)
    return (
        f"S-Enformer is more accurate in {ahead.min():.0%} to {ahead.max():.0%} of the sequences, "
        f"and r between the models is {r.min():.2f} to {r.max():.2f}, depending on the track type. "
        f"Of {len(levels)} combinations of model, track type and statistic, predictions are too "
        f"high in {(tendency > 0).sum()} and too low in {(tendency < 0).sum()}."
    )


def answer_receptive_field(use: pd.DataFrame) -> str:
    """Say up to which distance each attention uses enhancers, by input length.

    Of many distance bands one can be significant by chance, even one outside the input; so the
    answer ends at the first band that is not.

    Args:
        use: From `input_length.use_by_distance`.
    """
    sentences = []
    for length_bp, rows in use[use["sequence_length_bp"] > 0].groupby("sequence_length_bp"):
        parts = []
        for kind, bands in rows[rows["attention"] != CEILING].groupby("attention", sort=False):
            is_used = (bands["share_low"] > 0).to_numpy()
            used = bands.iloc[: np.cumprod(is_used).sum()]
            reach = "at no distance"
            if len(used):
                share = used["share_used"]
                reach = (
                    f"up to {used['farthest_bp'].iloc[-1]:,} bp away "
                    f"({share.min():.0%} to {share.max():.0%} of the effect by band)"
                )
            parts.append(f"`{kind}` uses enhancers {reach}")
        sentences.append(f"With an input of {length_bp:,} bp, {'; '.join(parts)}.")
    return " ".join(sentences)


def _compare_costs(steps: pd.DataFrame, value: str) -> tuple[pd.DataFrame, str, list[int], str]:
    """Compare sparse with dense attention in the deepest models.

    Returns:
        The costs by length and kind of attention; the sparse kind, which is the warm start's if it
        was measured; the study's length (or the shortest) and the longest that both kinds have;
        and a sentence that says from which length on the sparse kind needs less.
    """
    deepest = scaling.select_deepest(steps).dropna(subset=value)
    costs = deepest.pivot(index="sequence_length_bp", columns="attention", values=value)
    kinds = sorted(set(deepest["attention"]) - {"dense"})
    sparse = SPARSE if SPARSE in kinds else str(kinds[0])
    lengths_bp = sorted(costs[[sparse, "dense"]].dropna().index)
    is_studys = claims.SEQUENCE_LENGTH_BP in lengths_bp
    first_bp = claims.SEQUENCE_LENGTH_BP if is_studys else lengths_bp[0]
    from_bp = scaling.saves_from_bp(scaling.ratios(deepest, value), sparse)
    saving = "At the longest input it saves nothing."
    if from_bp is not None:
        saving = f"It saves from {from_bp:,} bp on."
    return costs, sparse, list(dict.fromkeys([first_bp, lengths_bp[-1]])), saving


def _format_gb(value: Any) -> str:
    return f"{value:.1f} GB" if value >= 10 else f"{value:.2f} GB"
