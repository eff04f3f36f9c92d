"""What the scripts in `benchmarks/` measured, as tables of ratios for the book."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from senformer import results

ATTENTION_PAIRS = (
    ("bigbird", "baseline"),
    ("bigbird_relative", "dense"),
    ("tiled", "dense"),
)
"""Faster and slower kind; `baseline` is BigBird written plainly, as the study used it."""


def attention_ratios(path: str | Path) -> pd.DataFrame:
    """How many times as fast one kind of attention was as another, within a round.

    Args:
        path: `attention_alone.csv`, `attention_layer.csv` or `attention_layer_and_weights.csv`, as
            `benchmarks/attention.py` wrote it.

    Returns:
        One row per pair of `ATTENTION_PAIRS` and number of tokens: `tokens`, `kind`, `as_fast_as`,
        `plain` (median and quartiles of the ratio, both run plainly, if they were) and
        `each_at_its_best`, both in the faster of their modes, plain or compiled by XLA.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    frame = results.read(path)
    rows = []
    for tokens, of_length in frame.groupby("tokens"):
        times = of_length.pivot(index="round", columns=["attention", "mode"], values="seconds")
        for kind, reference in ATTENTION_PAIRS:
            if not {kind, reference} <= set(of_length["attention"]):
                continue
            row = {"tokens": tokens, "kind": kind, "as_fast_as": reference}
            if "plain" in set(of_length["mode"]):
                row["plain"] = spread(times[reference, "plain"] / times[kind, "plain"])
            row["each_at_its_best"] = spread(_best(times, reference) / _best(times, kind))
            rows.append(row)
    return pd.DataFrame(rows)


def whole_model_ratios(path: str | Path) -> pd.DataFrame:
    """How many times as fast each contender was as the first one, within a round.

    Args:
        path: A table with the columns `round`, `contender` and `seconds`, such as
            `benchmarks/whole_model.py` writes.

    Returns:
        One row per contender: `contender`, `median_seconds`, and `times_as_fast`, median and
        quartiles.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    frame = results.read(path)
    times = frame.pivot(index="round", columns="contender", values="seconds")
    reference = frame["contender"].iloc[0]
    return pd.DataFrame(
        {
            "contender": name,
            "median_seconds": times[name].median(),
            "times_as_fast": spread(times[reference] / times[name]),
        }
        for name in frame["contender"].unique()
    )


def spread(values: pd.Series) -> str:
    """Median and quartiles, for reading."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return f"{median:.2f} ({low:.2f} to {high:.2f})"


def _best(times: pd.DataFrame, kind: str) -> pd.Series:
    """A kind's seconds in the mode in which it is faster."""
    modes = [str(mode) for mode in times[[kind]].columns.get_level_values("mode")]
    medians = {mode: float(times[kind, mode].median()) for mode in modes}
    return times[kind, min(medians, key=lambda mode: medians[mode])]
