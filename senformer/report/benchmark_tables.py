"""Tables of speed ratios for the book, from what the scripts in `benchmarks/` measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from senformer.report import results

ATTENTION_PAIRS = (
    ("bigbird", "baseline"),
    ("bigbird", "baseline, XLA"),
    ("bigbird_relative", "dense"),
    ("tiled", "dense"),
    ("local", "dense"),
    ("performer", "dense"),
    ("linear", "dense"),
    ("reformer", "dense"),
)
"""Each kind of attention and its reference.

`baseline` is a plain BigBird, as the study used it: run operation by operation, or compiled by XLA.
"""

_SUFFIX_OF_MODE = {"plain": "", "xla": ", XLA"}


def read(path: str | Path) -> pd.DataFrame:
    """Read one benchmark's rows, each with the `commit` and the `time_utc` of its file.

    Args:
        path: A CSV file that a script in `benchmarks/` wrote.

    Raises:
        FileNotFoundError: If the benchmark was never run.
    """
    frame = results.read(path)
    provenance = frame.attrs["provenance"]
    return frame.assign(commit=provenance["commit"], time_utc=provenance["time_utc"])


def caption(frames: Sequence[pd.DataFrame]) -> str:
    """Write the line that says where, at which commits and when benchmarks were measured.

    Args:
        frames: Tables from `read`.
    """
    return results.caption_of(pd.concat(frames, ignore_index=True), frames[0].attrs["provenance"])


def attention_ratios(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute how many times as fast one kind of attention was as another in the same round.

    Args:
        parts: Rows of `benchmarks/attention.py`, by what was timed.

    Returns:
        The columns of `contender_ratios`, one row per part, pair of `ATTENTION_PAIRS` that was
        measured, and number of tokens.
    """
    rows = []
    for part, frame in parts.items():
        named = frame.assign(contender=frame["attention"] + frame["mode"].map(_SUFFIX_OF_MODE))
        times = named.pivot(index=["tokens", "round"], columns="contender", values="seconds")
        for kind, reference in ATTENTION_PAIRS:
            if {kind, reference} <= set(times):
                for tokens, ratios in (times[reference] / times[kind]).groupby("tokens"):
                    pair = f"{kind} compared with {reference}, {tokens:,} tokens"
                    rows.append((part, pair, *np.percentile(ratios, [50, 25, 75])))
    return _ratio_table(rows, parts.values())


def contender_ratios(tasks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute how many times as fast each contender was as the first one in the same round.

    Args:
        tasks: Rows with the columns `round`, `contender` and `seconds`, as most scripts in
            `benchmarks/` write them, by what was timed.

    Returns:
        One row per task and contender but the first: `panel` (the task), `pair` (both contenders),
        `ratio`, the median of the rounds, and their quartiles, `ratio_low` and `ratio_high`.
    """
    rows = []
    for task, frame in tasks.items():
        times = frame.pivot(index="round", columns="contender", values="seconds")
        first, *others = frame["contender"].unique()
        for contender in others:
            ratios = times[first] / times[contender]
            pair = f"{contender} compared with {first}"
            rows.append((task, pair, *np.percentile(ratios, [50, 25, 75])))
    return _ratio_table(rows, tasks.values())


def _ratio_table(rows: list[tuple[object, ...]], frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Make a table of ratios whose `attrs` hold the caption of its figure.

    A script that prints what it has just measured has no provenance yet and draws no figure.
    """
    table = pd.DataFrame(rows, columns=["panel", "pair", "ratio", "ratio_low", "ratio_high"])
    frames = list(frames)
    if all("provenance" in frame.attrs for frame in frames):
        table.attrs["source"] = caption(frames)
    return table
