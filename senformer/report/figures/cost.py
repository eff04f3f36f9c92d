"""Memory and time of a training step, as measured, against the length of the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from senformer.report.figures import builders as draw
from senformer.report.figures.style import Look, kind_looks
from senformer.report.row_labels import ORIGINS

_COLUMNS = (
    *("attention", "num_transformer_layers", "channels", "trainable", "device"),
    *("sequence_length_bp", "status"),
)
_SERIES = ["attention", "num_transformer_layers", "channels", "device", "origin"]

_SUFFIX_OF_ORIGIN = {"measured": "", "published code": "-open", "study": "-open-dot"}
_LABEL_OF_ORIGIN = {
    "published code": "open: the study's code, measured here",
    "study": "open, with a dot: what the study states",
}
_STATUS_LOOKS = {
    "out_of_memory": Look("out of memory", symbol="x"),
    # Plotly has one form of the asterisk: open.
    "failed": Look("failed", symbol="asterisk-open"),
    "at_most": Look("this much or less", symbol="triangle-down"),
}
_AXIS_MARGIN = 1.25


@draw.study_figure(1, "peak memory by length, on a CPU", "memory", "memory.csv")
@draw.figure(*_COLUMNS, "peak_memory_gb")
def memory(frame: pd.DataFrame) -> go.Figure:
    """Draw peak memory against input length (the study's Figure 1).

    Peak memory of a training step in GB against input length in base pairs, one line per attention
    kind and number of transformer layers.

    A measurement that ran out of memory or failed is a mark in a strip above the panel.

    Args:
        frame: One row per measurement: attention, num_transformer_layers, channels,
            sequence_length_bp, trainable, peak_memory_gb, status, device. `status` is "ok",
            "out_of_memory", "failed", or "at_most" for an upper bound. A column `origin` (one of
            `ORIGINS`) distinguishes rows of `published_memory`; rows without an origin are
            measured.

    Raises:
        ValueError: If a kind of attention is unknown.
    """
    return _draw_scaling(frame, "peak_memory_gb", "peak memory (GB)")


@draw.study_figure(3, "time of a step by length, on a CPU", "runtime", "runtime.csv")
@draw.figure(*_COLUMNS, "step_seconds")
def runtime(frame: pd.DataFrame) -> go.Figure:
    """Draw the time of a training step against input length (the study's Figure 3).

    Seconds per training step against input length in base pairs, one line per attention kind and
    number of transformer layers.

    Args:
        frame: One row per measurement: the columns of `memory`, with step_seconds instead of
            peak_memory_gb.

    Raises:
        ValueError: If a kind of attention is unknown.
    """
    return _draw_scaling(frame, "step_seconds", "time of a training step (s)")


def _draw_scaling(frame: pd.DataFrame, value: str, axis_title: str) -> go.Figure:
    """Draw a cost against input length, with one panel per value of `trainable`.

    Both axes are logarithmic: the study's lengths stay readable next to much longer ones, and a
    linear cost is a line of slope one.
    """
    looks = kind_looks(frame["attention"])
    origin = frame["origin"].fillna(ORIGINS[0]) if "origin" in frame else ORIGINS[0]
    frame = frame.assign(origin=origin).sort_values("sequence_length_bp", kind="stable")
    dashes = draw.layer_dashes(frame)
    panels = list(dict.fromkeys(frame["trainable"]))
    missing = frame[frame[value].isna()].drop_duplicates([*_SERIES, "trainable"])
    marks = [int((missing["trainable"] == name).sum()) for name in panels]
    fig, places = draw.stack_panels_with_strips([f"trained: {name}" for name in panels], marks)
    for trainable, (strip, main) in zip(panels, places, strict=True):
        in_panel = frame[frame["trainable"] == trainable]
        level = 0
        for _, rows in in_panel.groupby(_SERIES, sort=False, dropna=False):
            first = rows.iloc[0]
            look = looks[first["attention"]]._replace(dash=dashes[first["num_transformer_layers"]])
            is_missing = rows[value].isna()
            known, lost = rows[~is_missing], rows[is_missing]
            if len(known):
                _add_measurements(fig, known, look, known[value], row=main)
            if len(lost):
                look = look._replace(mode="markers")
                _add_measurements(fig, lost, look, [level] * len(lost), row=strip)
                level -= 1
        if level:
            fig.update_yaxes(range=[level + 0.2, 0.8], row=strip, col=1)
        fig.update_yaxes(title_text=axis_title, row=main, col=1)
        fig.update_yaxes(_cost_axis(frame[value]), row=main, col=1)
    shortest, longest = frame["sequence_length_bp"].min(), frame["sequence_length_bp"].max()
    doublings = [shortest << power for power in range(int(longest // shortest).bit_length())]
    fig.update_xaxes(type="log", tickvals=doublings, tickformat=".3~s")
    draw.title_stack_axes(fig, x="input length (bp)")
    _add_legend(fig, frame, looks, dashes)
    return fig


def _add_measurements(
    fig: go.Figure, rows: pd.DataFrame, look: Look, y: Sequence[float] | pd.Series, *, row: int
) -> None:
    """Add measurements of one kind, depth and origin; the marker tells status and origin."""
    origin = rows["origin"].iloc[0]
    is_measured = origin == ORIGINS[0]
    symbols = [_STATUS_LOOKS.get(status, look).symbol for status in rows["status"]]
    suffix = _SUFFIX_OF_ORIGIN[origin]
    draw.add_series(
        fig,
        rows,
        look if is_measured else look._replace(mode="markers"),
        place=(row, 1),
        x=rows["sequence_length_bp"],
        y=y,
        marker={
            "color": look.color,
            "size": 9 if is_measured else 13,
            "symbol": [s if s.endswith("-open") else s + suffix for s in symbols],
            "line": {"width": 2, "color": look.color},
        },
        showlegend=False,
    )


def _add_legend(
    fig: go.Figure, frame: pd.DataFrame, looks: Mapping[str, Look], dashes: Mapping[int, str]
) -> None:
    """Explain each colour, dash and marker that occurs, once."""
    entries = [look._replace(mode="markers") for look in looks.values()]
    entries += [
        Look(draw.layer_label(layers), dash=dash, mode="lines") for layers, dash in dashes.items()
    ]
    entries += [
        look._replace(mode="markers")
        for status, look in _STATUS_LOOKS.items()
        if status in set(frame["status"])
    ]
    entries += [
        Look(label, symbol=f"circle{_SUFFIX_OF_ORIGIN[origin]}", mode="markers")
        for origin, label in _LABEL_OF_ORIGIN.items()
        if origin in set(frame["origin"])
    ]
    for look in entries:
        draw.add_legend_entry(fig, look)


def _cost_axis(costs: pd.Series) -> dict[str, object]:
    """Return a logarithmic axis that all panels share, with a tick at each 1, 2 and 5."""
    if costs.isna().all():
        return {"type": "log"}
    ends = [np.log10(costs.min() / _AXIS_MARGIN), np.log10(costs.max() * _AXIS_MARGIN)]
    ticks = [digit * 10.0**power for power in range(-4, 7) for digit in (1, 2, 5)]
    inside = [tick for tick in ticks if ends[0] <= np.log10(tick) <= ends[1]]
    return {"type": "log", "range": ends, "tickvals": inside, "tickformat": "~g"}
