"""Tables of measured training steps: kinds side by side, how costs grow, what fits a device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

_SAME_STEP = ["trainable", "num_transformer_layers", "sequence_length_bp"]
_SAME_MODEL = ["trainable", "num_transformer_layers", "attention"]
_FEWEST_LENGTHS = 3  # two lengths lie on any power of the length


def in_float32(frame: pd.DataFrame) -> pd.DataFrame:
    """The measurements that figures and claims are made of: those in the study's own type.

    Args:
        frame: Rows as `measurements.measure_all` gives them, with the provenance in its `attrs`.
    """
    return frame[frame["compute_dtype"] == "float32"]


def by_attention(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """Set the kinds of attention side by side, for a table on a page.

    Args:
        frame: Rows as `measurements.measure_all` gives them.
        value: The column to show, such as `peak_memory_gb`.

    Returns:
        One row per `trainable`, `num_transformer_layers` and `sequence_length_bp` that was
        measured, one column per kind of attention; missing where the step did not fit. Of no rows,
        an empty table.
    """
    if frame.empty:
        return pd.DataFrame(columns=_SAME_STEP)
    table = frame.pivot_table(
        index=_SAME_STEP, columns="attention", values=value, dropna=False, sort=False
    )
    # The pivot makes every combination of the index; those that were not measured are dropped.
    measured = frame[_SAME_STEP].drop_duplicates().groupby(_SAME_STEP[:-1], sort=False)
    in_order = pd.concat([lengths.sort_values(_SAME_STEP[-1]) for _, lengths in measured])
    table = table.reindex(
        index=pd.MultiIndex.from_frame(in_order), columns=list(dict.fromkeys(frame["attention"]))
    )
    return table.rename_axis(columns=None).reset_index()


def ratios(frame: pd.DataFrame, value: str, *, reference: str = "dense") -> pd.DataFrame:
    """How much more or less than a reference each kind of attention took.

    Args:
        frame: Rows as `measurements.measure_all` gives them.
        value: The column to compare, such as `peak_memory_gb`.
        reference: The kind of attention to compare with.

    Returns:
        One row per `trainable`, `num_transformer_layers` and `sequence_length_bp`, one column per
        other kind with `value` of the kind divided by `value` of the reference; missing where one
        of them has none. No row where the reference was not measured at all.

    Raises:
        ValueError: If no row has the reference.
    """
    if reference not in set(frame["attention"]):
        raise ValueError(f"no measurement of {reference!r} attention to compare with")
    comparable = frame.loc[frame["attention"] == reference, _SAME_STEP].drop_duplicates()
    table = by_attention(frame.merge(comparable), value).set_index(_SAME_STEP)
    return table.drop(columns=reference).div(table[reference], axis=0).reset_index()


def saves_from(frame: pd.DataFrame, value: str, *, reference: str = "dense") -> pd.DataFrame:
    """From which length on each kind of attention takes less than a reference.

    For a reader who has a length and must choose a kind.

    Args:
        frame: Rows as `measurements.measure_all` gives them.
        value: The column to compare, such as `step_seconds`.
        reference: The kind of attention to compare with.

    Returns:
        One row per `trainable`, `num_transformer_layers` and kind: `less_from_bp`, the shortest
        measured length from which on it took less at every one, missing where it took as much or
        more at the longest; and `ratio_at_longest`, what it took there over what the reference did.

    Raises:
        ValueError: If no row has the reference.
    """
    table = ratios(frame, value, reference=reference)
    table.insert(len(_SAME_STEP), reference, 1.0)
    rows = []
    for model, of_model in table.groupby(_SAME_STEP[:-1], sort=False):
        for attention in of_model.columns.drop(_SAME_STEP):
            ratio = of_model.set_index("sequence_length_bp")[attention].dropna()
            if ratio.empty:
                continue
            here_and_beyond = (ratio < 1)[::-1].cummin()
            from_bp = here_and_beyond.index[here_and_beyond].min()
            rows.append([*model, attention, from_bp, ratio.iloc[-1]])
    columns = [*_SAME_MODEL, "less_from_bp", "ratio_at_longest"]
    return pd.DataFrame(rows, columns=columns)


def growth(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """Tell with which power of the sequence's length something grows, by least squares of logs.

    1 is linear, 2 quadratic. What does not depend on the length, such as weights, belongs out of
    the value: it makes growth look slower.

    Args:
        frame: Rows as `measurements.measure_all` gives them.
        value: The column that grows, such as `step_seconds`; positive.

    Returns:
        One row per `trainable`, `num_transformer_layers` and attention with at least three
        measured lengths: `exponent`, and the `shortest_bp` and `longest_bp` of them.
    """
    rows = []
    for case, group in frame.dropna(subset=value).groupby(_SAME_MODEL, sort=False):
        lengths = group["sequence_length_bp"]
        if lengths.nunique() < _FEWEST_LENGTHS:
            continue
        exponent, _ = np.polyfit(np.log(lengths), np.log(group[value].astype(float)), deg=1)
        rows.append(
            {
                **dict(zip(_SAME_MODEL, case, strict=True)),
                "exponent": exponent,
                "shortest_bp": lengths.min(),
                "longest_bp": lengths.max(),
            }
        )
    columns = [*_SAME_MODEL, "exponent", "shortest_bp", "longest_bp"]
    return pd.DataFrame(rows, columns=columns)


def bfloat16_ratios(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """How much more or less each step took in bfloat16 than in float32.

    Args:
        frame: Rows as `measurements.measure_all` gives them, of both types.
        value: The column to compare, such as `step_seconds`.

    Returns:
        As `by_attention`, `value` in bfloat16 divided by `value` in float32; rows only where both
        were measured.
    """
    keys = [*_SAME_STEP, "attention"]
    in_bfloat16 = frame[frame["compute_dtype"] == "bfloat16"]
    both = in_bfloat16.merge(in_float32(frame)[[*keys, value]], on=keys)
    return by_attention(both.assign(ratio=both[f"{value}_x"] / both[f"{value}_y"]), "ratio")


def spread_of_steps(frame: pd.DataFrame) -> pd.DataFrame:
    """How much of a difference between times is noise: the range of a measurement's steps.

    Args:
        frame: Rows as `measurements.measure_all` gives them.

    Returns:
        As `by_attention`, the longest step less the shortest, divided by the median; rows only of
        measurements of more than one step.
    """
    repeated = frame[frame["steps"] > 1]
    steps_range = repeated["step_seconds_max"] - repeated["step_seconds_min"]
    return by_attention(repeated.assign(spread=steps_range / repeated["step_seconds"]), "spread")


def longest_measured_bp(frame: pd.DataFrame, budgets_gb: Sequence[float]) -> pd.DataFrame:
    """Tell which measured input length is the longest that a device's memory holds.

    For a reader who has a GPU and must choose a length, or the reverse.

    Args:
        frame: one row per measurement, as `measurements.measure_all` gives them.
        budgets_gb: sizes of devices, in 10^9 bytes.

    Returns:
        One row per `trainable`, num_transformer_layers and attention, and one column per size
        ("8 GB") with the longest length in base pairs up to which every measured peak fits;
        missing where the shortest does not.
    """
    rows = []
    for case, group in frame.groupby(_SAME_MODEL, sort=False):
        ordered = group.sort_values("sequence_length_bp")
        fitting = {}
        for budget_gb in budgets_gb:
            fits = (ordered["peak_memory_gb"] <= budget_gb).cumprod().astype(bool)
            fitting[f"{budget_gb:g} GB"] = ordered.loc[fits, "sequence_length_bp"].max()
        rows.append({**dict(zip(_SAME_MODEL, case, strict=True)), **fitting})
    return pd.DataFrame(rows)


def days_of_training(frame: pd.DataFrame, *, num_sequences: float) -> pd.DataFrame:
    """Tell how long a training plan takes on the measured device.

    Args:
        frame: one row per measurement, as `measurements.measure_all` gives them.
        num_sequences: sequences that the plan trains on: its steps times its batch size.

    Returns:
        As `by_attention`, in days of 24 hours.
    """
    days = frame["step_seconds"] / frame["batch_size"] * num_sequences / (24 * 60 * 60)
    return by_attention(frame.assign(days=days), "days")


def where_measured(frame: pd.DataFrame) -> str:
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
