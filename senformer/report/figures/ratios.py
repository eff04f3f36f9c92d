"""Ratios to a reference by length, the power that costs grow with, times of those in turn.

Figures of ratios have a line at 1; where a mark stands below it, less was taken.
"""

from __future__ import annotations

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
    stack_panels,
    whiskers,
    wrap,
)
from senformer.report.figures.style import NEUTRAL_COLOR, thin_line

_LINEAR, _QUADRATIC = 1, 2


@figure_of
def by_length(frame: pd.DataFrame, *, title: str) -> go.Figure:
    """Draw ratios against the length of the input; `notebooks/memory`, `notebooks/runtime`.

    Args:
        frame: one row per kind, length and panel: attention, sequence_length_bp, ratio, panel (a
            title); others are shown on hover.
        title: of the axis of ratios, with what is divided by what.

    Raises:
        ValueError: if a column is missing, there is no row, or a kind of attention is unknown.
    """
    require_columns(frame, "by_length", ("attention", "sequence_length_bp", "ratio", "panel"))
    panels = list(dict.fromkeys(frame["panel"]))
    figure = stack_panels(panels, gap_px=34, panel_px=210)
    for row, panel in enumerate(panels, start=1):
        in_panel = frame[frame["panel"] == panel].sort_values("sequence_length_bp")
        for attention in sorted(in_panel["attention"].unique(), key=_place):
            kind = attention_kind(attention)
            rows = in_panel[in_panel["attention"] == attention]
            figure.add_scatter(
                x=rows["sequence_length_bp"],
                y=rows["ratio"],
                mode="lines+markers",
                line={"color": kind.color, "width": 2},
                marker={"color": kind.color, "symbol": kind.symbol, "size": 9},
                row=row,
                col=1,
                **in_legend(kind.label),
                **hover(rows),
            )
        figure.add_hline(1, row=row, col=1, line=thin_line(NEUTRAL_COLOR, "dash"))
        figure.update_yaxes(title_text=title, row=row, col=1)
    figure.update_yaxes(tickformat="~g")
    lengths_bp = np.sort(frame["sequence_length_bp"].unique())
    ticks = lengths_bp[np.concatenate([[True], np.diff(np.log(lengths_bp)) > 0.18])]
    figure.update_xaxes(type="log", tickvals=ticks, tickformat=".3~s")
    figure.update_xaxes(title_text="input length (bp)", row=len(panels), col=1)
    return finish(
        figure,
        frame,
        description=f"{title[:1].upper()}{title[1:]}, against input length in base pairs, one line "
        "per kind of attention; a dashed line stands at one.",
    )


@figure_of
def growth(frame: pd.DataFrame, *, title: str) -> go.Figure:
    """Draw with which power of the length a cost grows; `notebooks/memory`, `notebooks/runtime`.

    Args:
        frame: one row per kind and panel: attention, exponent, panel (a title); others are shown on
            hover.
        title: of the axis.

    Raises:
        ValueError: if a column is missing, there is no row, or a kind of attention is unknown.
    """
    require_columns(frame, "growth", ("attention", "exponent", "panel"))
    panels = list(dict.fromkeys(frame["panel"]))
    attentions = sorted(frame["attention"].unique(), key=_place)
    labels = {attention: attention_kind(attention).label for attention in attentions}
    figure = stack_panels(panels, gap_px=34, panel_px=26 * len(attentions) + 20)
    for row, panel in enumerate(panels, start=1):
        in_panel = frame[frame["panel"] == panel]
        for attention in attentions:
            kind = attention_kind(attention)
            rows = in_panel[in_panel["attention"] == attention]
            figure.add_scatter(
                x=rows["exponent"],
                y=rows["attention"].map(labels),
                mode="markers",
                marker={"color": kind.color, "symbol": kind.symbol, "size": 11},
                showlegend=False,
                row=row,
                col=1,
                **in_legend(kind.label),
                **hover(rows),
            )
        for power in (_LINEAR, _QUADRATIC):
            figure.add_vline(power, row=row, col=1, line=thin_line(NEUTRAL_COLOR, "dot"))
    figure.update_yaxes(categoryorder="array", categoryarray=list(labels.values())[::-1])
    ends = [min(0, frame["exponent"].min()), max(2, frame["exponent"].max())]
    figure.update_xaxes(range=[ends[0] - 0.1, ends[1] + 0.1])
    figure.update_xaxes(title_text=f"{title}: 1 is linear, 2 quadratic", row=len(panels), col=1)
    return finish(
        figure,
        frame,
        description=f"{title[:1].upper()}{title[1:]} by kind of attention, beside lines at one, "
        "linear, and two, quadratic.",
    )


@figure_of
def in_turn(frame: pd.DataFrame) -> go.Figure:
    """Draw how many times as fast one was as another that took turns with it; `notebooks/runtime`.

    Args:
        frame: one row per panel and pair, from `benchmark_tables`: panel (a title), pair (who, and
            as fast as whom), ratio, ratio_low and ratio_high (quartiles of the rounds); others are
            shown on hover.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = ("panel", "pair", "ratio", "ratio_low", "ratio_high")
    require_columns(frame, "in_turn", columns)
    panels = list(dict.fromkeys(frame["panel"]))
    pairs = {pair: wrap(pair, 30) for pair in dict.fromkeys(frame["pair"])}
    figure = stack_panels(panels, gap_px=40, panel_px=26 * len(pairs) + 20)
    for row, panel in enumerate(panels, start=1):
        rows = frame[frame["panel"] == panel]
        figure.add_scatter(
            x=rows["ratio"],
            y=rows["pair"].map(pairs),
            error_x=whiskers(rows, "ratio", "ratio_low", "ratio_high"),
            mode="markers",
            marker={"color": KINDS["bigbird"].color, "symbol": "diamond", "size": 9},
            row=row,
            col=1,
            **in_legend("median, and quartiles of the rounds"),
            **hover(rows),
        )
        figure.add_vline(1, row=row, col=1, line=thin_line(NEUTRAL_COLOR, "dash"))
    figure.update_yaxes(
        categoryorder="array", categoryarray=list(pairs.values())[::-1], tickfont={"size": 11}
    )
    figure.update_xaxes(type="log", dtick="D2", tickformat="~g", showticklabels=True)
    figure.update_xaxes(title_text="times as fast", row=len(panels), col=1)
    return finish(
        figure,
        frame,
        description="How many times as fast one contender was as another in the same round, median "
        "and quartiles, one row per pair; a dashed line stands at one.",
    )


def _place(attention: str) -> int:
    """Of a kind in the table of kinds; one that is unknown is refused where it is drawn."""
    return list(KINDS).index(attention) if attention in KINDS else len(KINDS)
