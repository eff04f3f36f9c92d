"""What `benchmarks/steps_on_gpu.py` found, in words and tables: steps that ran on a GPU."""

from __future__ import annotations

import pandas as pd

from senformer.report.figures.on_gpu import CODES


def of_this_package(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of this package's own steps that ran to their end.

    Args:
        frame: Rows as `benchmark_tables.read` gives them.
    """
    return frame[frame["code"] == CODES[0]].dropna(subset="step_seconds")


def where_run(frame: pd.DataFrame) -> str:
    """On what the steps ran, and how often each was timed.

    Args:
        frame: Rows as `benchmark_tables.read` gives them.
    """
    ran = frame.dropna(subset="step_seconds")
    [ran_on], [libraries] = ran["ran_on"].unique(), ran["libraries"].unique()
    spread = (ran["step_seconds_max"] - ran["step_seconds_min"]) / ran["step_seconds"]
    return (
        f"Run on {ran_on} by {libraries}: {len(ran)} programs, {int(ran['steps'].min())} steps "
        f"each after a first, whose longest and shortest differ by {spread.max():.0%} at most."
    )


def published_codes_beside_each_other(frame: pd.DataFrame) -> str:
    """How long the study's BigBird took beside its self-attention, wherever both ran.

    Args:
        frame: Rows as `benchmark_tables.read` gives them.
    """
    published = frame[frame["code"] == CODES[1]].dropna(subset="step_seconds")
    seconds = published.pivot(
        index="sequence_length_bp", columns="attention", values="step_seconds"
    )
    ratios = (seconds["bigbird"] / seconds["dense"]).dropna()
    at = [f"{ratio:.2f} times at {length:,} bp" for length, ratio in ratios.items()]
    return (
        "Of the study's two formulations, each compiled as a whole, bigbird took the time of dense "
        f"{', '.join(at)}."
    )


def beside_the_least_time(frame: pd.DataFrame) -> str:
    """How far the card's data sheet is from what a step takes.

    Args:
        frame: As `of_this_package` gives them.
    """
    times = frame["step_seconds"] / frame["least_seconds"]
    closest, farthest = (
        frame.iloc[int(at)] for at in (times.to_numpy().argmin(), times.to_numpy().argmax())
    )
    return (
        f"Steps took {times.min():.1f} to {times.max():.1f} times the least time: the least of "
        f"{_named(closest)}, the most of {_named(farthest)}."
    )


def beside_the_compiled_peak(frame: pd.DataFrame) -> str:
    """How far what the allocator gave out was from what the compiler had counted.

    Args:
        frame: Rows as `benchmark_tables.read` gives them.
    """
    ran = frame.dropna(subset=["peak_memory_gb", "compiled_peak_gb"])
    times = ran["peak_memory_gb"] / ran["compiled_peak_gb"]
    farthest = ran.iloc[int((times - 1).abs().to_numpy().argmax())]
    return (
        f"The card's allocator had given out {times.min():.2f} to {times.max():.2f} times the peak "
        f"that had been compiled for it, {times.median():.2f} times in the median; farthest off is "
        f"{_named(farthest)}, with {farthest['peak_memory_gb']:.1f} GB where "
        f"{farthest['compiled_peak_gb']:.1f} were compiled."
    )


def over_the_compiled_peak(frame: pd.DataFrame) -> pd.DataFrame:
    """What the allocator gave out over what the compiler had counted, step by step, for a figure.

    Args:
        frame: As `of_this_package` gives them.

    Returns:
        The rows with `ratio` and `panel`, the card.
    """
    ratio = frame["peak_memory_gb"] / frame["compiled_peak_gb"]
    return frame.assign(ratio=ratio, panel=frame["ran_on"]).dropna(subset="ratio")


def _named(row: pd.Series) -> str:
    code = "" if row["code"] == CODES[0] else f" ({row['code']})"
    return f"{row['attention']}{code} at {row['sequence_length_bp']:,} bp"
