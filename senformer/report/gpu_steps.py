"""Tables and sentences about training steps on a GPU, as compiled and as they ran.

Rows of compiled steps come from the experiments' `compilations`, rows of steps that ran from
`benchmarks/steps_on_gpu.py`, read by `benchmark_tables.read`.
"""

from __future__ import annotations

import pandas as pd

from senformer.report import markdown
from senformer.report.row_labels import CODES

NOT_COMPILED = (
    "Nothing was compiled for a GPU in this run: its parameter `compiled_for` names no card."
)
"""Shown instead of a figure of compiled steps if the table has no rows."""


def add_published_code(compiled: pd.DataFrame, published_code: pd.DataFrame) -> pd.DataFrame:
    """Append the published code's compiled steps of the same sizes and cards.

    Args:
        compiled: Steps of this package, from `compilations.compile_all`.
        published_code: Steps of the published code, from `benchmarks/published_on_gpu.py`.

    Returns:
        The rows of both, with a column `code`, one of `CODES`.
    """
    if compiled.empty:
        return compiled.assign(code=CODES[0])
    same = ["channels", "device", "trainable", "batch_size", "compute_dtype"]
    comparable = published_code.merge(compiled[same].drop_duplicates(), on=same)
    both = [compiled.assign(code=CODES[0]), comparable.assign(code=CODES[1])]
    together = pd.concat(both, ignore_index=True)
    together.attrs = compiled.attrs
    return together


def memory_per_layer(frame: pd.DataFrame) -> pd.DataFrame:
    """Compute the peak memory that each layer beyond the first adds.

    Args:
        frame: Compiled steps, from `add_published_code`.

    Returns:
        One row per code, kind, trainable set, card and length at which steps of one layer and of
        more layers were compiled: the columns of the deeper step, and `layer_gb`, the difference of
        the peaks divided by the difference of the numbers of layers.
    """
    same = ["code", "attention", "trainable", "device", "sequence_length_bp"]
    rows = []
    for _, steps in frame.dropna(subset="peak_memory_gb").groupby(same, sort=False):
        ordered = steps.sort_values("num_transformer_layers")
        shallow, deep = ordered.iloc[0], ordered.iloc[-1]
        layers = deep["num_transformer_layers"] - shallow["num_transformer_layers"]
        if layers > 0:
            added_gb = (deep["peak_memory_gb"] - shallow["peak_memory_gb"]) / layers
            rows.append({**deep, "layer_gb": added_gb})
    return pd.DataFrame(rows, columns=[*frame, "layer_gb"])


def steps_of_this_package(frame: pd.DataFrame) -> pd.DataFrame:
    """Select this package's own steps that ran to their end.

    Args:
        frame: Steps that ran.
    """
    return frame[frame["code"] == CODES[0]].dropna(subset="step_seconds")


def ratio_to_compiled_peak(frame: pd.DataFrame) -> pd.DataFrame:
    """Divide the memory that the allocator gave out by the peak that the compiler had counted.

    Args:
        frame: Steps of `steps_of_this_package`.

    Returns:
        The rows with `ratio` and `panel`, the card, for `ratios.ratios_by_length`.
    """
    ratio = frame["peak_memory_gb"] / frame["compiled_peak_gb"]
    return frame.assign(ratio=ratio, panel=frame["ran_on"]).dropna(subset="ratio")


def describe_launches(frame: pd.DataFrame) -> str:
    """Describe the share of the least time that kernel launches take.

    Args:
        frame: Compiled steps, with launches_seconds and least_seconds.
    """
    steps = frame.dropna(subset="least_seconds")
    if steps.empty:
        return NOT_COMPILED
    share = steps["launches_seconds"] / steps["least_seconds"]
    most = steps.iloc[int(share.to_numpy().argmax())]
    return (
        f"Launches take {share.min():.1%} to {share.max():.1%} of the least time, most for "
        f"{most['attention']} ({most['code']}) at {most['sequence_length_bp']:,} bp on "
        f"{markdown.escape(most['device_label'])}."
    )


def describe_runs(frame: pd.DataFrame) -> str:
    """Describe where steps ran and how often each was timed.

    Args:
        frame: Steps that ran.
    """
    ran = frame.dropna(subset="step_seconds")
    [card] = map(markdown.escape, ran["ran_on"].unique())
    [libraries] = map(markdown.escape, ran["libraries"].unique())
    spread = (ran["step_seconds_max"] - ran["step_seconds_min"]) / ran["step_seconds"]
    return (
        f"Run on {card} by {libraries}: {len(ran)} programs, {int(ran['steps'].min())} timed steps "
        f"each, after one that is not counted. The longest and the shortest step of a program "
        f"differ by at most {spread.max():.0%}."
    )


def describe_published_code(frame: pd.DataFrame) -> str:
    """Compare the time of the study's BigBird with that of its self-attention.

    Args:
        frame: Steps that ran.
    """
    published = frame[frame["code"] == CODES[1]].dropna(subset="step_seconds")
    seconds = published.pivot(
        index="sequence_length_bp", columns="attention", values="step_seconds"
    )
    ratios = (seconds["bigbird"] / seconds["dense"]).dropna()
    times = [f"{ratio:.2f} times at {length_bp:,} bp" for length_bp, ratio in ratios.items()]
    return (
        "Of the study's two formulations, each compiled as a whole, bigbird took the time of dense "
        f"{', '.join(times)}."
    )


def describe_least_time(frame: pd.DataFrame) -> str:
    """Compare the time of steps with the least time that the card's data sheet allows.

    Args:
        frame: Steps of `steps_of_this_package`.
    """
    ratio = (frame["step_seconds"] / frame["least_seconds"]).to_numpy()
    closest, farthest = frame.iloc[int(ratio.argmin())], frame.iloc[int(ratio.argmax())]
    return (
        f"Steps took {ratio.min():.1f} to {ratio.max():.1f} times the least time: least for "
        f"{_describe_step(closest)}, most for {_describe_step(farthest)}."
    )


def describe_compiled_peak(frame: pd.DataFrame) -> str:
    """Compare the memory that the allocator gave out with the peak that the compiler had counted.

    Args:
        frame: Steps that ran.
    """
    ran = frame.dropna(subset=["peak_memory_gb", "compiled_peak_gb"])
    ratio = ran["peak_memory_gb"] / ran["compiled_peak_gb"]
    farthest = ran.iloc[int((ratio - 1).abs().to_numpy().argmax())]
    return (
        f"The card's allocator gave out {ratio.min():.2f} to {ratio.max():.2f} times the compiled "
        f"peak, {ratio.median():.2f} times in the median. The largest difference is that of "
        f"{_describe_step(farthest)}, with {farthest['peak_memory_gb']:.1f} GB instead of "
        f"{farthest['compiled_peak_gb']:.1f} GB."
    )


def _describe_step(row: pd.Series) -> str:
    code = "" if row["code"] == CODES[0] else f" ({row['code']})"
    return f"{row['attention']}{code} at {row['sequence_length_bp']:,} bp"
