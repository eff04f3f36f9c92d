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
        As `contender_ratios`, one row per part, pair of `ATTENTION_PAIRS` that was measured and
        number of tokens.
    """
    rows = []
    for part, frame in parts.items():
        named = frame.assign(contender=frame["attention"] + frame["mode"].map(_WAYS_TO_RUN))
        times = named.pivot(index=["tokens", "round"], columns="contender", values="seconds")
        for kind, reference in ATTENTION_PAIRS:
            if not {kind, reference} <= set(times):
                continue
            for tokens, ratios in (times[reference] / times[kind]).groupby("tokens"):
                pair = f"{kind} beside {reference}, {tokens:,} tokens"
                rows.append({"panel": part, "pair": pair, **_spread(ratios)})
    return _with_origin(rows, parts)


def contender_ratios(tasks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How many times as fast each contender was as the first one, within a round.

    Args:
        tasks: What was timed, and its rows with the columns `round`, `contender` and `seconds`, as
            most scripts in `benchmarks/` write them.

    Returns:
        One row per task and contender but the first: `panel` (the task), `pair` (both), `ratio`,
        the median of the rounds, and their quartiles, `ratio_low` and `ratio_high`.
    """
    rows = []
    for task, frame in tasks.items():
        times = frame.pivot(index="round", columns="contender", values="seconds")
        first, *others = frame["contender"].unique()
        for contender in others:
            ratios = times[first] / times[contender]
            pair = f"{contender} beside {first}"
            rows.append({"panel": task, "pair": pair, **_spread(ratios)})
    return _with_origin(rows, tasks)


def _with_origin(rows: list[dict[str, object]], of: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A table with the line that stands under what is drawn of it.

    A script that shows what it has just measured has written nothing yet, and draws nothing.
    """
    table = pd.DataFrame(rows)
    if all("provenance" in frame.attrs for frame in of.values()):
        table.attrs["source"] = caption(list(of.values()))
    return table


def _spread(values: pd.Series) -> dict[str, object]:
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"ratio": median, "ratio_low": low, "ratio_high": high}
