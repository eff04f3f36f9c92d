"""The one look of all figures: the template, and the colours, markers and dashes of what is drawn.

A kind of attention has its own in `senformer.attention_kinds`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import plotly.graph_objects as go

from senformer.attention_kinds import KINDS, attention_kind

MODEL_ATTENTION = {
    "Enformer": "dense",
    "S-Enformer": "bigbird",
    "S-Enformer, warm start": "bigbird_relative",
}
"""Whose colour a model takes, by how its name begins (the longest entry that fits).

One that begins with a kind of attention takes that kind's. Models of another name are grey; models
of one colour differ in marker and dash.
"""

NEUTRAL_COLOR = "#808080"
"""Of what is no kind of attention and no model."""

FAINT_COLOR = "rgba(128, 128, 128, 0.25)"
"""Of what is there to be looked past, such as a grid."""

DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
"""Dashes that lines of one colour take in turn."""


class Mark(NamedTuple):
    """Colour and marker of a track type."""

    color: str
    symbol: str


TRACK_TYPE_MARKS = {
    "DNase/ATAC": Mark("#248bf2", "circle"),
    "Histone ChIP": Mark("#50733f", "square"),
    "TF ChIP": Mark("#d96c00", "diamond"),
    "CAGE": Mark("#a65b99", "triangle-up"),
    "RNA": Mark(NEUTRAL_COLOR, "star"),
    "Other": Mark(NEUTRAL_COLOR, "cross"),
}
"""How a track type is drawn where types stand beside each other in one panel."""

_TEXT_COLOR = "#767676"  # contrast 4.5 to a white page, 3.9 to a dark one
_VARIANTS = ("", "-open", "-dot", "-open-dot")
_AXIS = {
    "gridcolor": FAINT_COLOR,
    "linecolor": NEUTRAL_COLOR,
    "zerolinecolor": FAINT_COLOR,
    "ticks": "outside",
    "tickcolor": NEUTRAL_COLOR,
    "tickfont": {"size": 12},
    "automargin": True,
    "title": {"standoff": 8, "font": {"size": 13}},
}

TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "font": {"color": _TEXT_COLOR, "size": 13, "family": "system-ui, sans-serif"},
        "autosize": True,
        "margin": {"l": 8, "r": 12, "t": 32, "b": 8},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {
            "orientation": "h",
            "yref": "container",
            "yanchor": "bottom",
            "y": 0,
            "xanchor": "left",
            "x": 0,
            "font": {"size": 12},
        },
        "hoverlabel": {"align": "left", "namelength": -1},
        "annotationdefaults": {"font": {"size": 12}},
    }
)
"""See-through, readable on light and dark pages, legend below."""


class ModelStyle(NamedTuple):
    """Colour, marker and dash of a model."""

    color: str
    symbol: str
    dash: str


def model_styles(models: Iterable[str]) -> dict[str, ModelStyle]:
    """Tell how each model of a figure is drawn, by `MODEL_ATTENTION`.

    Args:
        models: their names; those that occur again change nothing.
    """
    attention_of = MODEL_ATTENTION | {kind: kind for kind in KINDS}
    styles: dict[str, ModelStyle] = {}
    used: Counter[str] = Counter()
    for model in dict.fromkeys(models):
        name = max((n for n in attention_of if model.startswith(n)), key=len, default="")
        turn = used[name]
        used[name] += 1
        kind = attention_kind(attention_of[name]) if name else None
        symbol = kind.symbol if kind else "star"
        styles[model] = ModelStyle(
            color=kind.color if kind else NEUTRAL_COLOR,
            symbol=symbol + _VARIANTS[turn % len(_VARIANTS)],
            dash=DASHES[turn % len(DASHES)],
        )
    return styles


def thin_line(color: str, dash: str) -> dict[str, Any]:
    """A line to compare with, such as one of equality."""
    return {"color": color, "width": 1, "dash": dash}
