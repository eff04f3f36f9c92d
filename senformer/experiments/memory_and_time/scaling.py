"""Compare measured training steps: ratios to a reference, growth with length, days of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from senformer.attention_kinds import attention_kind
from senformer.config import TRAINABLE_SETS
from senformer.report import markdown

_SAME_STEP = ["trainable", "num_transformer_layers", "sequence_length_bp"]
_SAME_MODEL = ["trainable", "num_transformer_layers", "attention"]
_MIN_LENGTHS = 3  # a power of the length fits any two points


def select_float32(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `measurements.measure_all` in float32, the number type of the study."""
    return frame[frame["compute_dtype"] == "float32"]


def select_deepest(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the steps with the most layers that train only the attention, as in the study.

    Args:
        frame: Rows of `measurements.measure_all`.

    Returns:
        These rows, with the `attrs`. If no step trains only the attention, those of the first
        trainable set.
    """
    sets = list(frame["trainable"])
    trainable = TRAINABLE_SETS[0] if TRAINABLE_SETS[0] in sets else sets[0]
    rows = frame[frame["trainable"] == trainable]
    return rows[rows["num_transformer_layers"] == rows["num_transformer_layers"].max()]


def ratios(frame: pd.DataFrame, value: str, *, reference: str = "dense") -> pd.DataFrame:
    """Divide the value of each other kind of attention by that of a reference.

    Args:
        frame: Rows of `measurements.measure_all`, of one number type.
        value: The column to compare, such as `peak_memory_gb`.
        reference: The kind of attention to compare with.

    Returns:
        One row per step of another kind for which both have a value: `trainable`,
        `num_transformer_layers`, `sequence_length_bp`, `attention`, `ratio`, and `panel`, the title
        of the model for a figure. The `attrs` stay.

    Raises:
        ValueError: If no row has the reference.
    """
    is_reference = frame["attention"] == reference
    if not is_reference.any():
        raise ValueError(f"no measurement of {reference!r} attention to compare with")
    divisors = frame.loc[is_reference, [*_SAME_STEP, value]]
    return _divide(frame[~is_reference], divisors, value, frame.attrs)


def ratios_by_type(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """Compute `ratios` within each number type, which is then the `panel`.

    Args:
        frame: Rows of one model, in one number type or more.
        value: The column to compare, such as `step_seconds`.
    """
    tables = [
        ratios(rows, value).assign(panel=number_type)
        for number_type, rows in frame.groupby("compute_dtype", sort=False)
    ]
    combined = pd.concat(tables, ignore_index=True)
    combined.attrs = frame.attrs
    return combined


def bfloat16_ratios(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """Divide the value of each step in bfloat16 by that in float32.

    Args:
        frame: Rows of `measurements.measure_all`, of both number types.
        value: The column to compare, such as `step_seconds`.

    Returns:
        The columns of `ratios`, for all kinds; only rows that were measured in both types.
    """
    divisors = select_float32(frame)[[*_SAME_STEP, "attention", value]]
    return _divide(frame[frame["compute_dtype"] == "bfloat16"], divisors, value, frame.attrs)


def _divide(
    rows: pd.DataFrame, divisors: pd.DataFrame, value: str, attrs: Mapping[Any, Any]
) -> pd.DataFrame:
    """Divide a column of rows by that of the divisors with equal keys."""
    keys = [column for column in divisors if column != value]
    both = rows[[*_SAME_STEP, "attention", value]].merge(
        divisors, on=keys, suffixes=("", "_of_reference")
    )
    both = both.assign(ratio=both[value] / both[f"{value}_of_reference"]).dropna(subset="ratio")
    divided = both[[*_SAME_STEP, "attention", "ratio"]].assign(panel=_titles(both))
    divided.attrs = attrs
    return divided.reset_index(drop=True)


def saves_from_bp(ratio: pd.DataFrame, attention: str) -> int | None:
    """Find the length from which on a kind of attention needs less than the reference.

    Args:
        ratio: From `ratios`, of one model.
        attention: The kind of attention.

    Returns:
        The shortest length in bp from which on it needs less at every measured length; None if it
        needs as much or more at the longest.
    """
    rows = ratio[ratio["attention"] == attention].sort_values("sequence_length_bp")
    saves_from_here_on = (rows["ratio"] < 1)[::-1].cummin()[::-1]
    lengths_bp = rows.loc[saves_from_here_on, "sequence_length_bp"]
    return None if lengths_bp.empty else int(lengths_bp.min())


def growth(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """Estimate the power of the sequence length with which a value grows.

    The exponent comes from least squares of logarithms: 1 is linear, 2 quadratic. Subtract first
    what does not depend on the length, such as weights, since it lowers the exponent.

    Args:
        frame: Rows of `measurements.measure_all`.
        value: The column that grows, such as `step_seconds`; positive.

    Returns:
        One row per `trainable`, `num_transformer_layers` and attention with at least three
        measured lengths: `exponent`, `shortest_bp` and `longest_bp` of these lengths, and `panel`,
        the title of the model for a figure. The `attrs` stay.
    """
    rows = []
    for case, group in frame.dropna(subset=value).groupby(_SAME_MODEL, sort=False):
        lengths = group["sequence_length_bp"]
        if lengths.nunique() < _MIN_LENGTHS:
            continue
        exponent, _ = np.polyfit(np.log(lengths), np.log(group[value].astype(float)), deg=1)
        rows.append((*case, exponent, lengths.min(), lengths.max()))
    columns = [*_SAME_MODEL, "exponent", "shortest_bp", "longest_bp"]
    table = pd.DataFrame(rows, columns=columns)
    table = table.assign(panel=_titles(table))
    table.attrs = frame.attrs
    return table


def days_of_training(frame: pd.DataFrame, *, num_sequences: float) -> pd.DataFrame:
    """Compute how long a training plan takes on the measured device.

    Args:
        frame: Rows of `measurements.measure_all`, of one model and number type.
        num_sequences: Number of training sequences of the plan, of all organisms.

    Returns:
        One row per `sequence_length_bp`, one column per kind of attention, named by its label, in
        days of 24 hours.
    """
    days = frame["step_seconds"] / frame["batch_size"] * num_sequences / (24 * 60 * 60)
    table = frame.assign(days=days).pivot(
        index="sequence_length_bp", columns="attention", values="days"
    )
    kinds = list(dict.fromkeys(frame["attention"]))
    labels = {kind: attention_kind(kind).label for kind in kinds}
    return table[kinds].rename(columns=labels).rename_axis(columns=None).reset_index()


def describe_times(frame: pd.DataFrame) -> str:
    """Describe in a sentence how steps were timed, and how much their times vary.

    Args:
        frame: Rows of `measurements.measure_all`.
    """
    if frame["steps"].max() < 2:
        return "Each time is that of one step, after one that traces and compiles."
    repeated = frame[frame["steps"] > 1]
    spread = (repeated["step_seconds_max"] - repeated["step_seconds_min"]) / repeated[
        "step_seconds"
    ]
    return (
        f"Each time is the median of {repeated['steps'].min():.0f} steps or more, after one that "
        f"traces and compiles; the longest and the shortest differ by {spread.median():.0%} in the "
        f"median and {spread.max():.0%} at most."
    )


def describe_devices(frame: pd.DataFrame) -> str:
    """Describe in a sentence the devices of a table, and say so if none is a GPU.

    Args:
        frame: Rows with a column device, from `provenance.device`.
    """
    devices = list(dict.fromkeys(frame["device"]))
    names = " and ".join(map(markdown.escape, devices))
    if all("CPU core" in device for device in devices):
        return (
            f"Measured on {names}, not on a GPU. Memory is that of TensorFlow's CPU allocator, "
            "which counts as its GPU allocator does."
        )
    return f"Measured on {names}."


def _titles(frame: pd.DataFrame) -> list[str]:
    """Return the title of each row's model: what is trained, and the layers."""
    return [
        f"trained: {trainable}, {layers} layer{'s' if layers > 1 else ''}"
        for trainable, layers in zip(
            frame["trainable"], frame["num_transformer_layers"], strict=True
        )
    ]
