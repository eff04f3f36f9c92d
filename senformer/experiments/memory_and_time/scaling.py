"""Training steps side by side: kinds beside a reference, how costs grow, how long a plan takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from senformer.attention_kinds import attention_kind
from senformer.config import TRAINABLE_SETS

_SAME_STEP = ["trainable", "num_transformer_layers", "sequence_length_bp"]
_SAME_MODEL = ["trainable", "num_transformer_layers", "attention"]
_FEWEST_LENGTHS = 3  # two lengths lie on any power of the length


def select_float32(frame: pd.DataFrame) -> pd.DataFrame:
    """The measurements that figures and claims are made of: those in the study's own type.

    Args:
        frame: Rows as `measurements.measure_all` gives them, with the provenance in its `attrs`.
    """
    return frame[frame["compute_dtype"] == "float32"]


def select_deepest(frame: pd.DataFrame) -> pd.DataFrame:
    """The steps that speak for a run: the most layers, trained as in the study.

    Args:
        frame: Rows as `measurements.measure_all` gives them.

    Returns:
        Those rows, with the `attrs`; where none is trained so, those of the first trainable set.
    """
    sets = list(frame["trainable"])
    trainable = TRAINABLE_SETS[0] if TRAINABLE_SETS[0] in sets else sets[0]
    of_set = frame[frame["trainable"] == trainable]
    return of_set[of_set["num_transformer_layers"] == of_set["num_transformer_layers"].max()]


def ratios(frame: pd.DataFrame, value: str, *, reference: str = "dense") -> pd.DataFrame:
    """How much more or less than a reference each other kind of attention took.

    Args:
        frame: Rows as `measurements.measure_all` gives them, of one number type.
        value: The column to compare, such as `peak_memory_gb`.
        reference: The kind of attention to compare with.

    Returns:
        One row per step of another kind where both have a value: `trainable`,
        `num_transformer_layers`, `sequence_length_bp`, `attention`, `ratio`, and `panel`, the title
        of the model for a figure. It keeps the `attrs`.

    Raises:
        ValueError: If no row has the reference.
    """
    is_reference = frame["attention"] == reference
    if not is_reference.any():
        raise ValueError(f"no measurement of {reference!r} attention to compare with")
    of_reference = frame.loc[is_reference, [*_SAME_STEP, value]]
    others = frame.loc[~is_reference, [*_SAME_STEP, "attention", value]]
    return _divided(others, of_reference, value, _SAME_STEP, frame.attrs)


def ratios_by_type(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """As `ratios`, within each number type, which is the `panel`.

    Args:
        frame: Rows of one model, in one type or more.
        value: The column to compare, such as `step_seconds`.
    """
    tables = [
        ratios(rows, value).assign(panel=number_type)
        for number_type, rows in frame.groupby("compute_dtype", sort=False)
    ]
    together = pd.concat(tables, ignore_index=True)
    together.attrs = frame.attrs
    return together


def bfloat16_ratios(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """How much more or less each step took in bfloat16 than in float32.

    Args:
        frame: Rows as `measurements.measure_all` gives them, of both types.
        value: The column to compare, such as `step_seconds`.

    Returns:
        As `ratios`, of all kinds; rows only where both types were measured.
    """
    keys = [*_SAME_STEP, "attention"]
    in_bfloat16 = frame.loc[frame["compute_dtype"] == "bfloat16", [*keys, value]]
    return _divided(in_bfloat16, select_float32(frame)[[*keys, value]], value, keys, frame.attrs)


def saves_from_bp(ratio: pd.DataFrame, attention: str) -> int | None:
    """From which length on a kind takes less than what it is compared with.

    For a reader who has a length and must choose a kind.

    Args:
        ratio: From `ratios`, of one model.
        attention: The kind.

    Returns:
        The shortest length from which on it took less at every one; None where it took as much or
        more at the longest.
    """
    of_kind = ratio[ratio["attention"] == attention].sort_values("sequence_length_bp")
    is_less_from_here_on = (of_kind["ratio"] < 1)[::-1].cummin()[::-1]
    lengths_bp = of_kind.loc[is_less_from_here_on, "sequence_length_bp"]
    return None if lengths_bp.empty else int(lengths_bp.min())


def growth(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """Tell with which power of the sequence's length something grows, by least squares of logs.

    1 is linear, 2 quadratic. What does not depend on the length, such as weights, belongs out of
    the value: it makes growth look slower.

    Args:
        frame: Rows as `measurements.measure_all` gives them.
        value: The column that grows, such as `step_seconds`; positive.

    Returns:
        One row per `trainable`, `num_transformer_layers` and attention with at least three
        measured lengths: `exponent`, the `shortest_bp` and `longest_bp` of them, and `panel`, the
        title of the model for a figure. It keeps the `attrs`.
    """
    rows = []
    for case, group in frame.dropna(subset=value).groupby(_SAME_MODEL, sort=False):
        lengths = group["sequence_length_bp"]
        if lengths.nunique() < _FEWEST_LENGTHS:
            continue
        exponent, _ = np.polyfit(np.log(lengths), np.log(group[value].astype(float)), deg=1)
        rows.append((*case, exponent, lengths.min(), lengths.max()))
    columns = [*_SAME_MODEL, "exponent", "shortest_bp", "longest_bp"]
    grown = pd.DataFrame(rows, columns=columns)
    grown = grown.assign(panel=_titles(grown))
    grown.attrs = frame.attrs
    return grown


def days_of_training(frame: pd.DataFrame, *, num_sequences: float) -> pd.DataFrame:
    """Tell how long a training plan takes on the device that steps ran on.

    Args:
        frame: Rows as `measurements.measure_all` gives them, of one model and number type.
        num_sequences: Sequences that the plan trains on, of all organisms.

    Returns:
        One row per `sequence_length_bp`, one column per kind of attention, by its label, in days of
        24 hours.
    """
    days = frame["step_seconds"] / frame["batch_size"] * num_sequences / (24 * 60 * 60)
    table = frame.assign(days=days).pivot(
        index="sequence_length_bp", columns="attention", values="days"
    )
    in_order = list(dict.fromkeys(frame["attention"]))
    labels = {name: attention_kind(name).label for name in in_order}
    return table[in_order].rename(columns=labels).rename_axis(columns=None).reset_index()


def describe_times(frame: pd.DataFrame) -> str:
    """Say in a sentence what a time is: one step, or the median of several, and how far apart.

    Args:
        frame: Rows as `measurements.measure_all` gives them.
    """
    if frame["steps"].max() < 2:
        return "Each time is that of one step, after one that traces and compiles."
    several = frame[frame["steps"] > 1]
    spread = (several["step_seconds_max"] - several["step_seconds_min"]) / several["step_seconds"]
    return (
        f"Each time is the median of {several['steps'].min():.0f} steps or more, after one that "
        f"traces and compiles; the longest and the shortest differ by {spread.median():.0%} in the "
        f"median and {spread.max():.0%} at most."
    )


def describe_devices(frame: pd.DataFrame) -> str:
    """Say in a sentence what a table was measured on, and that no GPU was where none was.

    Args:
        frame: one row per measurement, with a column device as `provenance.device` names it.
    """
    devices = list(dict.fromkeys(frame["device"]))
    named = " and ".join(devices)
    if all("CPU core" in device for device in devices):
        return (
            f"Measured on {named}, memory by TensorFlow's CPU allocator, which counts as its GPU "
            "allocator does; nothing of this on a GPU."
        )
    return f"Measured on {named}."


def _divided(
    rows: pd.DataFrame, by: pd.DataFrame, value: str, keys: list[str], attrs: Mapping[Any, Any]
) -> pd.DataFrame:
    both = rows.merge(by, on=keys, suffixes=("", "_of_reference"))
    both = both.assign(ratio=both[value] / both[f"{value}_of_reference"]).dropna(subset="ratio")
    divided = both[[*_SAME_STEP, "attention", "ratio"]].assign(panel=_titles(both))
    divided.attrs = attrs
    return divided.reset_index(drop=True)


def _titles(frame: pd.DataFrame) -> list[str]:
    """What is trained of a model, and its layers."""
    return [
        f"trained: {trainable}, {layers} layer{'s' if layers > 1 else ''}"
        for trainable, layers in zip(
            frame["trainable"], frame["num_transformer_layers"], strict=True
        )
    ]
