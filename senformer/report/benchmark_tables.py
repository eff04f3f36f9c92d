"""What the scripts in `benchmarks/` measured, as tables of ratios for the book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from senformer.report import results

ATTENTION_PAIRS = (
    ("bigbird", "baseline"),
    ("bigbird_relative", "dense"),
    ("tiled", "dense"),
)
"""Faster and slower kind; `baseline` is BigBird written plainly, as the study used it."""

WAYS_TO_RUN = ("plain", "each_at_its_best")
"""Both kinds as they are; or each in the faster of its modes, plain or compiled by XLA."""

_ORIGIN = ("device", "commit", "time_utc")
_SPREAD = ("low", "median", "high")
_NAMES_OF_CONTENDERS = ("kernels", "tokens", "contender", "attention", "mode")

KERNELS = ("onednn", "own", "own_pooled")
"""What TensorFlow computed with on a CPU; see `benchmarks/kernels.py`."""


def read(folder: str | Path, name: str) -> pd.DataFrame:
    """One benchmark's rows, with all kernels that it was run with.

    Args:
        folder: Where the scripts wrote their results.
        name: The benchmark, such as `attention_alone`: its files are `<name>_<kernels>.csv`.

    Returns:
        The rows of its files one after another, with the columns `kernels`, `device`, `commit` and
        `time_utc`; the provenance of the first file is in its `attrs`.

    Raises:
        FileNotFoundError: If it was never run.
    """
    paths = [Path(folder) / f"{name}_{kernels}.csv" for kernels in KERNELS]
    frames = [_rows_of(path) for path in paths if path.exists()]
    if not frames:
        raise FileNotFoundError(f"{paths[0]}: no such result; run the script in benchmarks/")
    together = pd.concat(frames, ignore_index=True)
    together.attrs = frames[0].attrs
    return together


def caption(frames: Sequence[pd.DataFrame]) -> str:
    """The line that says where, at which commits and when several benchmarks were measured.

    The kernels stand in the tables, and are not named again with the device.

    Args:
        frames: As `read` gives them.
    """
    return results.caption_of(_together(frames))


def attention_speedups(frame: pd.DataFrame) -> pd.DataFrame:
    """How many times as fast one kind of attention was as another, within a round.

    Args:
        frame: Rows of `attention_alone`, `attention_layer` or `attention_layer_and_weights`, as
            `benchmarks/attention.py` writes them.

    Returns:
        One row per kernels, number of tokens, pair of `ATTENTION_PAIRS` and way to run both:
        `kernels`, `tokens`, `kind`, `as_fast_as`, `run` (one of `WAYS_TO_RUN`), the `median` and
        the quartiles `low` and `high` of the ratio; and where and when, as far as the rows say it.
    """
    rows = []
    for (kernels, tokens), of_length in frame.groupby(["kernels", "tokens"], sort=False):
        times = of_length.pivot(index="round", columns=["attention", "mode"], values="seconds")
        of_all = {"kernels": kernels, "tokens": tokens}
        of_all |= {name: of_length[name].iloc[0] for name in _ORIGIN if name in of_length}
        for kind, reference in ATTENTION_PAIRS:
            if not {kind, reference} <= set(of_length["attention"]):
                continue
            ratios = [_best(times, reference) / _best(times, kind)]
            if "plain" in set(of_length["mode"]):
                ratios.insert(0, times[reference, "plain"] / times[kind, "plain"])
            for run, ratio in zip(WAYS_TO_RUN[-len(ratios) :], ratios, strict=True):
                low, median, high = np.percentile(ratio, [25, 50, 75])
                rows.append(
                    of_all
                    | {"kind": kind, "as_fast_as": reference, "run": run}
                    | {"median": median, "low": low, "high": high}
                )
    speedups = pd.DataFrame(rows)
    speedups.attrs = frame.attrs
    return speedups


def speedups_of_parts(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The plain runs' `attention_speedups` of several benchmarks, as `figures.speedups` draws them.

    Args:
        parts: What each benchmark is of, and its rows as `read` gives them.

    Returns:
        As from `attention_speedups`, with `part`; each row's device without its kernels.
    """
    frames = [attention_speedups(frame).assign(part=part) for part, frame in parts.items()]
    return _together(frames).query("run == 'plain'")


def attention_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """`attention_speedups`, for reading.

    Args:
        frame: As for `attention_speedups`.

    Returns:
        One row per kernels, number of tokens and pair: `kernels`, `tokens`, `kind`, `as_fast_as`,
        and median and quartiles of the ratio for each of `WAYS_TO_RUN`, as far as it was run.
    """
    speedups = attention_speedups(frame)
    texts = [
        _in_words(*values) for values in zip(*(speedups[name] for name in _SPREAD), strict=True)
    ]
    named = ["kernels", "tokens", "kind", "as_fast_as"]
    columns = speedups[[*named, "run"]].assign(text=texts).set_index([*named, "run"])["text"]
    return columns.unstack(sort=False).rename_axis(columns=None).reset_index()


def contender_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """How many times as fast each contender was as the first one, within a round.

    Args:
        frame: Rows with the columns `kernels`, `round`, `contender` and `seconds`, as most scripts
            in `benchmarks/` write them.

    Returns:
        One row per kernels and contender: `kernels`, `contender`, `median_seconds`, and
        `times_as_fast`, median and quartiles.
    """
    rows = []
    for kernels, of_kernels in frame.groupby("kernels", sort=False):
        times = of_kernels.pivot(index="round", columns="contender", values="seconds")
        reference = of_kernels["contender"].iloc[0]
        rows += [
            {
                "kernels": kernels,
                "contender": name,
                "median_seconds": times[name].median(),
                "times_as_fast": spread(times[reference] / times[name]),
            }
            for name in of_kernels["contender"].unique()
        ]
    return pd.DataFrame(rows)


def shares_of_matrix_rate(frame: pd.DataFrame) -> pd.DataFrame:
    """How much of the machine's rate of plain matrix products each contender reached.

    Args:
        frame: Rows with the columns `seconds`, `needed_gflop` (10^9 operations that the contender's
            function takes, written out) and `matrix_gflops` (the machine's rate in that round).

    Returns:
        One row per contender: what it was, and `share_of_matrix_rate`, median and quartiles.
    """
    names = [name for name in _NAMES_OF_CONTENDERS if name in frame]
    shares = frame["needed_gflop"] / frame["seconds"] / frame["matrix_gflops"]
    grouped = frame.assign(share_of_matrix_rate=shares).groupby(names, sort=False)
    return grouped["share_of_matrix_rate"].agg(spread).reset_index()


def by_kernels(table: pd.DataFrame) -> pd.DataFrame:
    """A table with columns for each set of kernels, in place of rows.

    Args:
        table: From `attention_ratios`, `contender_ratios` or `shares_of_matrix_rate`.

    Returns:
        One row per contender. A column is called by its kernels, and by what it holds where they
        have several.
    """
    in_order = ("kind", "as_fast_as", "contender", "attention", "mode", "tokens")
    names = [name for name in in_order if name in table]
    beside = []
    for kernels, rows in table.groupby("kernels", sort=False):
        values = rows.drop(columns="kernels").set_index(names)
        beside.append(
            values.add_prefix(f"{kernels}, ")
            if values.shape[1] > 1
            else values.set_axis([kernels], axis=1)
        )
    return pd.concat(beside, axis=1).reset_index()


def spread(values: pd.Series) -> str:
    """Median and quartiles, for reading."""
    return _in_words(*np.percentile(values, [25, 50, 75]))


def _in_words(low: float, median: float, high: float) -> str:
    return f"{median:.2f} ({low:.2f}–{high:.2f})"


def _together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several benchmarks: devices without their kernels, the provenance of the first."""
    together = pd.concat(frames, ignore_index=True)
    together["device"] = together["device"].map(results.without_kernels)
    together.attrs = frames[0].attrs
    return together


def _rows_of(path: Path) -> pd.DataFrame:
    """One file's rows, each with the commit and the time of its file."""
    frame = results.read(path)
    provenance = frame.attrs["provenance"]
    return frame.assign(commit=provenance["commit"], time_utc=provenance["time_utc"])


def _best(times: pd.DataFrame, kind: str) -> pd.Series:
    """A kind's seconds in the mode in which it is faster."""
    modes = [str(mode) for mode in times[[kind]].columns.get_level_values("mode")]
    medians = {mode: float(times[kind, mode].median()) for mode in modes}
    return times[kind, min(medians, key=lambda mode: medians[mode])]
