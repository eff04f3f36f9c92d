"""One style for all figures: the template, colours, markers and dashes.

`senformer.attention_kinds` holds the colour and marker of each kind of attention.
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
"""The kind of attention whose colour a model takes, by the longest prefix of the model's name.

A name that begins with a kind of attention takes the colour of that kind. Other models are grey.
"""

NEUTRAL_COLOR = "#808080"
"""Grey, for everything that is neither a kind of attention nor a model."""

FAINT_COLOR = "rgba(128, 128, 128, 0.25)"
"""Light grey, for grids and strips."""

DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
"""Dashes of lines that share a colour, in the order of use."""

_TEXT_COLOR = "#767676"  # contrast 4.5 on a white page, 3.9 on a dark one
_SYMBOL_SUFFIXES = ("", "-open", "-dot", "-open-dot")
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
"""Transparent, readable on light and dark pages, with the legend below the panels."""


class Look(NamedTuple):
    """How a figure draws one series.

    Attributes:
        label: Its name in the legend.
        color: Colour of line and markers.
        symbol: Marker, a symbol of Plotly.
        dash: Dash of the line.
        size: Size of the markers in pixels.
        width: Width of the line in pixels.
        mode: Plotly's trace mode: `lines`, `markers` or `lines+markers`.
    """

    label: str
    color: str = NEUTRAL_COLOR
    symbol: str = "circle"
    dash: str = "solid"
    size: float = 9
    width: float = 2
    mode: str = "lines+markers"

    def trace(self) -> dict[str, Any]:
        """Return the arguments of a scatter trace that has this look."""
        return {
            "mode": self.mode,
            "line": {"color": self.color, "dash": self.dash, "width": self.width},
            "marker": {"color": self.color, "symbol": self.symbol, "size": self.size},
        }


TRACK_TYPE_LOOKS = {
    look.label: look
    for look in (
        Look("DNase/ATAC", "#248bf2", "circle"),
        Look("Histone ChIP", "#50733f", "square"),
        Look("TF ChIP", "#d96c00", "diamond"),
        Look("CAGE", "#a65b99", "triangle-up"),
        Look("RNA", NEUTRAL_COLOR, "star"),
        Look("Other", NEUTRAL_COLOR, "cross"),
    )
}
"""Looks of track types that share a panel."""


def kind_looks(attentions: Iterable[str], **options: Any) -> dict[str, Look]:
    """Return the look of each kind of attention, in the order of `KINDS`.

    Args:
        attentions: Keys of `KINDS`; repeated ones count once.
        **options: Attributes of `Look` that all share.

    Raises:
        ValueError: If a kind is unknown.
    """
    kinds = {name: attention_kind(name) for name in dict.fromkeys(attentions)}
    return {
        name: Look(kinds[name].label, kinds[name].color, kinds[name].symbol, **options)
        for name in KINDS
        if name in kinds
    }


def model_looks(models: Iterable[str], **options: Any) -> dict[str, Look]:
    """Return the look of each model, with its colour from `MODEL_ATTENTION`.

    Models that share a colour differ in marker and dash.

    Args:
        models: Names of models; repeated ones count once.
        **options: Attributes of `Look` that all share.
    """
    attention_of = MODEL_ATTENTION | {kind: kind for kind in KINDS}
    looks: dict[str, Look] = {}
    used: Counter[str] = Counter()
    for model in dict.fromkeys(models):
        prefix = max((n for n in attention_of if model.startswith(n)), key=len, default="")
        kind = attention_kind(attention_of[prefix]) if prefix else None
        symbol = kind.symbol if kind else "star"
        looks[model] = Look(
            label=model,
            color=kind.color if kind else NEUTRAL_COLOR,
            symbol=symbol + _SYMBOL_SUFFIXES[used[prefix] % len(_SYMBOL_SUFFIXES)],
            dash=DASHES[used[prefix] % len(DASHES)],
            **options,
        )
        used[prefix] += 1
    return looks


def thin_line(color: str, dash: str) -> dict[str, Any]:
    """Return the style of a reference line, such as a line of equality."""
    return {"color": color, "width": 1, "dash": dash}
