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
)
"""A kind and what it is compared with.

`baseline` is BigBird written plainly, as the study used it: run so, and compiled by XLA.
"""

_WAYS_TO_RUN = {"plain": "", "xla": ", XLA"}
_COMPARED = ("kind", "as_fast_as", "tokens", "contender")


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


def attention_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """How many times as fast one kind of attention was as another, within a round.

    Args:
        frame: Rows of `attention_alone`, `attention_layer` or `attention_layer_and_weights`, as
            `benchmarks/attention.py` writes them.

    Returns:
        One row per pair of `ATTENTION_PAIRS` that was measured and number of tokens: `kind`,
        `as_fast_as`, `tokens`, and `times_as_fast`, median and quartiles of the rounds.
    """
    named = frame.assign(contender=frame["attention"] + frame["mode"].map(_WAYS_TO_RUN))
    times = named.pivot(index=["tokens", "round"], columns="contender", values="seconds")
    rows = []
    for kind, reference in ATTENTION_PAIRS:
        if {kind, reference} <= set(times):
            ratios = (times[reference] / times[kind]).groupby("tokens")
            rows += [(kind, reference, tokens, spread(ratio)) for tokens, ratio in ratios]
    return pd.DataFrame(rows, columns=["kind", "as_fast_as", "tokens", "times_as_fast"])


def contender_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """How many times as fast each contender was as the first one, within a round.

    Args:
        frame: Rows with the columns `round`, `contender` and `seconds`, as most scripts in
            `benchmarks/` write them.

    Returns:
        One row per contender: `contender`, `median_seconds`, and `times_as_fast`, median and
        quartiles.
    """
    times = frame.pivot(index="round", columns="contender", values="seconds")
    times = times[frame["contender"].unique()]
    ratios = times.rdiv(times.iloc[:, 0], axis=0)
    columns = {"median_seconds": times.median(), "times_as_fast": ratios.agg(spread)}
    return pd.DataFrame(columns).rename_axis("contender").reset_index()


def beside_each_other(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of several benchmarks as one, with what was compared in its rows.

    Args:
        tables: What each benchmark is of, and its table from `attention_ratios` or
            `contender_ratios`.

    Returns:
        One row per comparison, missing where a benchmark lacks it. A column is called by what the
        benchmark is of, and by what it holds where there is more than one for each.
    """
    columns = []
    for part, table in tables.items():
        values = table.set_index([name for name in _COMPARED if name in table])
        is_one = values.shape[1] == 1
        columns.append(
            values.set_axis([part], axis=1) if is_one else values.add_prefix(f"{part}, ")
        )
    return pd.concat(columns, axis=1).reset_index()


def spread(values: pd.Series) -> str:
    """Median and quartiles, for reading."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return f"{median:.2f} ({low:.2f}–{high:.2f})"
