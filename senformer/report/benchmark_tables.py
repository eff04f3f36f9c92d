"""What the scripts in `benchmarks/` measured, as tables of ratios for the book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
"""A kind and what it is compared with.

`baseline` is BigBird written plainly, as the study used it: run so, and compiled by XLA.
"""

_WAYS_TO_RUN = {"plain": "", "xla": ", XLA"}


def read(path: str | Path) -> pd.DataFrame:
    """One benchmark's rows, each with the `commit` and the `time_utc` of its file.

    Args:
        path: A CSV that a script in `benchmarks/` wrote.

    Raises:
        FileNotFoundError: If it was never run.
    """
    frame = results.read(path)
    provenance = frame.attrs["provenance"]
    return frame.assign(commit=provenance["commit"], time_utc=provenance["time_utc"])


def caption(frames: Sequence[pd.DataFrame]) -> str:
    """The line that says where, at which commits and when several benchmarks were measured.

    Args:
        frames: As `read` gives them.
    """
    together = pd.concat(frames, ignore_index=True)
    together.attrs = frames[0].attrs
    return results.caption_of(together)


def attention_ratios(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How many times as fast one kind of attention was as another, within a round.

    Args:
        parts: What was timed, and its rows as `benchmarks/attention.py` writes them.

    Returns:
        One row per pair of `ATTENTION_PAIRS` that was measured and number of tokens: `kind`,
        `as_fast_as`, `tokens`, and for each part median and quartiles of the rounds.
    """
    columns = {}
    for part, frame in parts.items():
        named = frame.assign(contender=frame["attention"] + frame["mode"].map(_WAYS_TO_RUN))
        times = named.pivot(index=["tokens", "round"], columns="contender", values="seconds")
        columns[part] = {
            (kind, reference, tokens): spread(ratios)
            for kind, reference in ATTENTION_PAIRS
            if {kind, reference} <= set(times)
            for tokens, ratios in (times[reference] / times[kind]).groupby("tokens")
        }
    table = pd.concat({part: pd.Series(texts) for part, texts in columns.items()}, axis=1)
    return table.rename_axis(["kind", "as_fast_as", "tokens"]).reset_index()


def contender_ratios(tasks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How many times as fast each contender was as the first one, within a round.

    Args:
        tasks: What was timed, and its rows with the columns `round`, `contender` and `seconds`, as
            most scripts in `benchmarks/` write them.

    Returns:
        One row per contender: `contender`, and for each task median and quartiles of the rounds,
        missing where the contender took no part.
    """
    columns = {}
    for task, frame in tasks.items():
        times = frame.pivot(index="round", columns="contender", values="seconds")
        names = frame["contender"].unique()
        columns[task] = times[names].rdiv(times[names[0]], axis=0).agg(spread)
    return pd.concat(columns, axis=1).rename_axis("contender").reset_index()


def spread(values: pd.Series) -> str:
    """Median and quartiles, for reading."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return f"{median:.2f} ({low:.2f}–{high:.2f})"
