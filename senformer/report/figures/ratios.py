"""Ratios to a reference, by length or by pair, and the power of the length that costs grow with.

Figures of ratios have a line at 1; a mark below it took less than the reference.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import KINDS
from senformer.report.figures import builders as draw
from senformer.report.figures.style import NEUTRAL_COLOR, Look, kind_looks, thin_line


@draw.figure("attention", "sequence_length_bp", "ratio", "panel")
def ratios_by_length(frame: pd.DataFrame, *, title: str) -> go.Figure:
    """Draw ratios against the length of the input.

    {title}, against input length in base pairs, one line per kind of attention; a dashed line
    stands at one.

    Args:
        frame: One row per kind, length and panel: attention, sequence_length_bp, ratio, panel (a
            title).
        title: Title of the ratio axis, which names numerator and denominator.

    Raises:
        ValueError: If a kind of attention is unknown.
    """
    looks = kind_looks(frame["attention"])
    panels = draw.panels_by(frame, "panel", ["ratio"])
    fig = draw.lines(panels, draw.Series("attention", looks), "sequence_length_bp", panel_px=210)
    fig.add_hline(1, line=thin_line(NEUTRAL_COLOR, "dash"))
    fig.update_yaxes(title_text=title, tickformat="~g")
    draw.title_length_axis(fig, frame["sequence_length_bp"])
    return fig


@draw.figure("attention", "exponent", "panel")
def growth(frame: pd.DataFrame, *, title: str) -> go.Figure:
    """Draw the power of the length that a cost grows with.

    {title} by kind of attention, with lines at one, linear, and two, quadratic.

    Args:
        frame: One row per kind and panel: attention, exponent, panel (a title).
        title: Title of the axis.

    Raises:
        ValueError: If a kind of attention is unknown.
    """
    looks = kind_looks(frame["attention"], size=11, mode="markers")
    fig = draw.dots(
        draw.panels_by(frame, "panel", ["exponent"]),
        draw.Series("attention", looks),
        draw.Categories("attention", {name: look.label for name, look in looks.items()}),
        row_px=26,
        panel_px=26 * len(looks) + 20,
        gap_px=34,
    )
    fig.update_traces(showlegend=False)
    for power in (1, 2):
        fig.add_vline(power, line=thin_line(NEUTRAL_COLOR, "dot"))
    ends = [min(0, frame["exponent"].min()), max(2, frame["exponent"].max())]
    fig.update_xaxes(range=[ends[0] - 0.1, ends[1] + 0.1])
    draw.title_stack_axes(fig, x=f"{title}: 1 is linear, 2 quadratic")
    return fig


@draw.figure("panel", "pair", "ratio", "ratio_low", "ratio_high")
def speed_ratios(frame: pd.DataFrame) -> go.Figure:
    """Draw how many times as fast one contender was as another that ran in the same rounds.

    How many times as fast one contender was as another in the same round, median and quartiles, one
    row per pair; a dashed line stands at one.

    Args:
        frame: One row per panel and pair, from `benchmark_tables`: panel (a title), pair (both
            contenders), ratio, ratio_low and ratio_high (quartiles of the rounds).
    """
    pairs = {pair: draw.wrap(pair, 30) for pair in dict.fromkeys(frame["pair"])}
    look = Look(
        "median, and quartiles of the rounds", KINDS["bigbird"].color, "diamond", mode="markers"
    )
    fig = draw.dots(
        draw.panels_by(frame, "panel", ("ratio", "ratio_low", "ratio_high")),
        draw.Series("panel", dict.fromkeys(frame["panel"], look)),
        draw.Categories("pair", pairs),
        row_px=26,
        panel_px=26 * len(pairs) + 20,
        gap_px=40,
    )
    fig.add_vline(1, line=thin_line(NEUTRAL_COLOR, "dash"))
    fig.update_yaxes(tickfont={"size": 11})
    fig.update_xaxes(type="log", dtick="D2", tickformat="~g", showticklabels=True)
    draw.title_stack_axes(fig, x="times as fast")
    return fig
