"""What a training step costs: memory and time against the length of the input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import KINDS, attention_kind
from senformer.report.figures.panels import (
    figure_of,
    finish,
    hover,
    in_legend,
    require_columns,
    stack_panels_with_strips,
)
from senformer.report.figures.style import DASHES, NEUTRAL_COLOR

ORIGINS = ("measured", "published code", "study")
"""Where a row of the memory or runtime table comes from: this project's code, the study's code as
this project measured it, or what the study states.
"""

_MARK_OF_ORIGIN = {"measured": "", "published code": "-open", "study": "-open-dot"}
_LABEL_OF_ORIGIN = {
    "published code": "open: the study's code, measured here",
    "study": "open, with a dot: what the study states",
}

_STATUS_SYMBOLS = {"out_of_memory": "x", "failed": "asterisk", "at_most": "triangle-down"}
_STATUS_LABELS = {
    "out_of_memory": "out of memory",
    "failed": "failed",
    "at_most": "this much or less",
}
_AXIS_MARGIN = 1.25


@figure_of
def memory(frame: pd.DataFrame) -> go.Figure:
    """Draw peak memory against input length (the study's Figure 1; `notebooks/memory`).

    A measurement that ran out of memory, or failed, is a mark in a strip above the others.

    Args:
        frame: one row per measurement, columns attention, num_transformer_layers, channels,
            sequence_length_bp, trainable, peak_memory_gb, status, device; others are shown on
            hover. `status` is "ok", "out_of_memory", "failed", or "at_most" for an upper bound.
            Rows of `published.memory()` may be appended; a column `origin` (one of `ORIGINS`) then
            tells them apart, and rows without an origin are measured.

    Raises:
        ValueError: if a column is missing, there is no row, or a kind of attention is unknown.
    """
    return _scaling(
        frame,
        "memory",
        value="peak_memory_gb",
        axis_title="peak memory (GB)",
        description="Peak memory of a training step in GB against input length in base pairs, "
        "one line per attention kind and number of transformer layers.",
    )


@figure_of
def runtime(frame: pd.DataFrame) -> go.Figure:
    """Draw a step's time against input length (the study's Figure 3; `notebooks/runtime`).

    Args:
        frame: one row per measurement, columns attention, num_transformer_layers, channels,
            sequence_length_bp, trainable, step_seconds, status, device, as for `memory`.

    Raises:
        ValueError: as `memory`.
    """
    return _scaling(
        frame,
        "runtime",
        value="step_seconds",
        axis_title="time of a training step (s)",
        description="Seconds per training step against input length in base pairs, one line per "
        "attention kind and number of transformer layers.",
    )


def _scaling(
    frame: pd.DataFrame, name: str, *, value: str, axis_title: str, description: str
) -> go.Figure:
    """Draw a cost against input length: a panel per `trainable`, a strip above for what is lost.

    Both axes are logarithmic: the study's lengths keep their room beside ones many times as long,
    and a line that climbs as steeply as the length doubles is linear.
    """
    cases = ("attention", "num_transformer_layers", "channels", "trainable", "device")
    require_columns(frame, name, (*cases, "sequence_length_bp", value, "status"))
    for attention in frame["attention"].unique():
        attention_kind(attention)
    origin = frame["origin"].fillna(ORIGINS[0]) if "origin" in frame else ORIGINS[0]
    frame = frame.assign(origin=origin).sort_values("sequence_length_bp", kind="stable")
    series_of = [*(case for case in cases if case != "trainable"), "origin"]
    layers = sorted(frame["num_transformer_layers"].unique(), reverse=True)
    dashes = {count: DASHES[i % len(DASHES)] for i, count in enumerate(layers)}
    panels = list(dict.fromkeys(frame["trainable"]))
    lost_series = frame[frame[value].isna()].drop_duplicates([*series_of, "trainable"])
    marks = [int((lost_series["trainable"] == name).sum()) for name in panels]
    figure, places = stack_panels_with_strips([f"trained: {name}" for name in panels], marks)
    for trainable, (strip, main) in zip(panels, places, strict=True):
        in_panel = frame[frame["trainable"] == trainable]
        level = 0
        for key, rows in in_panel.groupby(series_of, sort=False, dropna=False):
            series = dict(zip(series_of, key, strict=True))
            lost = rows[value].isna()
            if not lost.all():
                _add_series(figure, rows[~lost], rows.loc[~lost, value], series, dashes, row=main)
            if lost.any():
                levels = [level] * int(lost.sum())
                _add_series(figure, rows[lost], levels, series, dashes, row=strip, lines=False)
                level -= 1
        if level:
            figure.update_yaxes(range=[level + 0.2, 0.8], row=strip, col=1)
        figure.update_yaxes(title_text=axis_title, **_cost_axis(frame[value]), row=main, col=1)
    figure.update_xaxes(title_text="input length (bp)", row=main, col=1)
    doublings = _doublings(frame["sequence_length_bp"])
    figure.update_xaxes(type="log", tickvals=doublings, tickformat=".3~s")
    _add_keys(figure, frame, dashes)
    return finish(figure, frame, description=description)


def _add_series(
    figure: go.Figure,
    rows: pd.DataFrame,
    y: Sequence[float] | pd.Series,
    series: Mapping[str, Any],
    dashes: Mapping[int, str],
    *,
    row: int,
    lines: bool = True,
) -> None:
    color = attention_kind(series["attention"]).color
    figure.add_scatter(
        x=rows["sequence_length_bp"],
        y=y,
        mode="lines+markers" if lines and series["origin"] == ORIGINS[0] else "markers",
        line={"color": color, "dash": dashes[series["num_transformer_layers"]]},
        marker=_status_marker(rows["status"], series),
        row=row,
        col=1,
        showlegend=False,  # `_add_keys` speaks for all of them
        **in_legend(series["attention"]),
        **hover(rows),
    )


def _status_marker(statuses: Iterable[str], series: Mapping[str, Any]) -> dict[str, Any]:
    kind = attention_kind(series["attention"])
    measured = series["origin"] == ORIGINS[0]
    symbols = [_STATUS_SYMBOLS.get(status, kind.symbol) for status in statuses]
    return {
        "color": kind.color,
        "size": 9 if measured else 13,
        "symbol": [_marked(symbol, series["origin"]) for symbol in symbols],
        "line": {"width": 2, "color": kind.color},
    }


def _marked(symbol: str, origin: str) -> str:
    # An asterisk is made of lines: it has one form, and that is open.
    return "asterisk-open" if symbol == "asterisk" else symbol + _MARK_OF_ORIGIN[origin]


def _add_keys(figure: go.Figure, frame: pd.DataFrame, dashes: Mapping[int, str]) -> None:
    """Say in the legend what colours, dashes and marks mean, each once, for those that occur."""
    for attention in [name for name in KINDS if name in set(frame["attention"])]:
        kind = attention_kind(attention)
        _add_key(figure, kind.label, kind.symbol, kind.color, group=attention)
    for layers, dash in dashes.items():
        name = f"{layers} layer{'s' if layers > 1 else ''}"
        line = {"color": NEUTRAL_COLOR, "dash": dash}
        figure.add_scatter(x=[None], y=[None], mode="lines", line=line, name=name)
    for status, label in _STATUS_LABELS.items():
        if status in set(frame["status"]):
            _add_key(figure, label, _marked(_STATUS_SYMBOLS[status], ORIGINS[0]), NEUTRAL_COLOR)
    for origin, label in _LABEL_OF_ORIGIN.items():
        if origin in set(frame["origin"]):
            _add_key(figure, label, _marked("circle", origin), NEUTRAL_COLOR)


def _add_key(
    figure: go.Figure, name: str, symbol: str, color: str, group: str | None = None
) -> None:
    marker = {"symbol": symbol, "color": color, "size": 10, "line": {"width": 1.5, "color": color}}
    figure.add_scatter(
        x=[None], y=[None], mode="markers", marker=marker, name=name, legendgroup=group or name
    )


def _cost_axis(costs: pd.Series) -> dict[str, Any]:
    """A logarithmic axis that is the same in every panel, with a mark at each 1, 2 and 5."""
    if costs.isna().all():
        return {"type": "log"}
    least, greatest = costs.min(), costs.max()
    marks = [digit * 10.0**power for power in range(-4, 7) for digit in (1, 2, 5)]
    ends = [np.log10(least / _AXIS_MARGIN), np.log10(greatest * _AXIS_MARGIN)]
    inside = [mark for mark in marks if ends[0] <= np.log10(mark) <= ends[1]]
    return {"type": "log", "range": ends, "tickvals": inside, "tickformat": "~g"}


def _doublings(values: Iterable[int]) -> list[int]:
    """From the least value on, twice as much each time, to the greatest."""
    least, greatest = min(values), max(values)
    return [least << power for power in range((greatest // least).bit_length())]
