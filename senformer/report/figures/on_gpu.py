"""What a training step takes on a GPU: as its compiler counts it, and as it ran.

Which card is shown, a reader chooses above the figure.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
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
    plain,
    require_columns,
    stack_panels,
)
from senformer.report.figures.style import DASHES, NEUTRAL_COLOR

CODES = ("this package", "published")
"""Whose formulation it is: marks of the study's own code are open."""

_COLUMNS = (
    *("attention", "num_transformer_layers", "sequence_length_bp", "trainable", "code"),
    *("device", "device_label", "device_memory_gb", "status"),
)
_SHOWN_ON_HOVER = (
    *("code", "attention", "num_transformer_layers", "sequence_length_bp", "device_label"),
    *("status", "peak_memory_gb", "kernels", "least_seconds", "layer_gb"),
    *("step_seconds", "step_seconds_min", "step_seconds_max", "compiled_peak_gb", "ran_on"),
)

_MENU_PX = 72

_Draw = Callable[[go.Figure, pd.DataFrame], None]


NOTHING = "Nothing was compiled for a GPU in this run: its parameter `compiled_for` names no card."
"""What stands in a figure's place where there is no row."""


def beside_published(compiled: pd.DataFrame, published_code: pd.DataFrame) -> pd.DataFrame:
    """Set this package's compiled steps beside the published code's, of the same sizes and cards.

    Args:
        compiled: as `compilations.compile_all` gives them.
        published_code: as `benchmarks/published_on_gpu.py` writes them.

    Returns:
        The rows of both, with a column `code`; none of the published code where none compares.
    """
    if compiled.empty:
        return compiled.assign(code=CODES[0])
    same = ["channels", "device", "trainable", "batch_size", "compute_dtype"]
    alike = published_code.merge(compiled[same].drop_duplicates(), on=same)
    both = [compiled.assign(code=CODES[0]), alike.assign(code=CODES[1])]
    together = pd.concat(both, ignore_index=True)
    together.attrs = compiled.attrs
    return together


@figure_of
def memory(frame: pd.DataFrame) -> go.Figure:
    """Draw the compiled peak against input length (the study's Figure 1; `notebooks/memory`).

    Args:
        frame: one row per step and card: `attention`, `num_transformer_layers`,
            `sequence_length_bp`, `trainable`, `code` (one of `CODES`), `device`, `device_label`,
            `device_memory_gb`, `status`, `peak_memory_gb`.

    Raises:
        ValueError: if a column is missing, there is no row, or a kind of attention is unknown.
    """

    def draw(figure: go.Figure, of_card: pd.DataFrame) -> None:
        _add_lines(figure, of_card, "peak_memory_gb")
        lengths = [of_card["sequence_length_bp"].min(), of_card["sequence_length_bp"].max()]
        figure.add_scatter(
            x=lengths,
            y=[of_card["device_memory_gb"].iloc[0]] * 2,
            mode="lines",
            line={"color": NEUTRAL_COLOR, "width": 1},
            **in_legend("memory of the card"),
        )

    return _by_card(
        frame,
        "compiled_memory",
        [("peak memory (GB)", "peak_memory_gb", draw)],
        description="Peak memory of a training step as compiled for a GPU, in GB, against input "
        "length in base pairs, one line per attention kind, number of layers and code.",
    )


@figure_of
def layer_memory(frame: pd.DataFrame) -> go.Figure:
    """Draw what a further layer adds (the study's Figure 2; `notebooks/memory`).

    Args:
        frame: from `memory_of_a_layer`.

    Raises:
        ValueError: as `memory`.
    """
    return _by_card(
        frame,
        "layer_memory",
        [("memory of a further layer (GB)", "layer_gb", lambda f, x: _add_lines(f, x, "layer_gb"))],
        description="Memory that a further transformer layer adds to a training step compiled for "
        "a GPU, in GB, against input length in base pairs, one line per attention kind and code.",
    )


@figure_of
def kernels_and_time(frame: pd.DataFrame) -> go.Figure:
    """Draw what a step starts, and the least time that it allows (`notebooks/runtime`).

    Args:
        frame: as of `memory`, with `kernels`, `least_seconds` and `launches_seconds`.

    Raises:
        ValueError: as `memory`.
    """
    return _by_card(
        frame,
        "kernels_and_time",
        [
            ("kernels started", "kernels", lambda f, x: _add_lines(f, x, "kernels")),
            ("least time (s)", "least_seconds", lambda f, x: _add_lines(f, x, "least_seconds")),
        ],
        description="Kernels that a training step compiled for a GPU starts, and the least time "
        "that its operations, bytes and launches allow, against input length in base pairs.",
    )


@figure_of
def step_time(frame: pd.DataFrame) -> go.Figure:
    """Draw the time of steps that ran (`notebooks/runtime`).

    Args:
        frame: of one type, as of `memory`, with `step_seconds`; `benchmarks/steps_on_gpu.py` writes
            it.

    Raises:
        ValueError: as `memory`.
    """
    return _by_card(
        frame,
        "step_time",
        [("time of a step (s)", "step_seconds", lambda f, x: _add_lines(f, x, "step_seconds"))],
        description="Time of a training step as it ran on a GPU, in seconds, against input length "
        "in base pairs, one line per attention kind and code.",
    )


def memory_of_a_layer(frame: pd.DataFrame) -> pd.DataFrame:
    """What each layer beyond the first adds to a peak.

    Args:
        frame: as of `memory`.

    Returns:
        One row per code, kind, trainable set, card and length at which a step of one layer and one
        of more were compiled: the columns of the deeper step, and `layer_gb`, the difference of
        their peaks over that of their layers.
    """
    same = ["code", "attention", "trainable", "device", "sequence_length_bp"]
    rows = []
    for _, steps in frame.dropna(subset="peak_memory_gb").groupby(same, sort=False):
        ordered = steps.sort_values("num_transformer_layers")
        shallow, deep = ordered.iloc[0], ordered.iloc[-1]
        more = deep["num_transformer_layers"] - shallow["num_transformer_layers"]
        if more > 0:
            added = (deep["peak_memory_gb"] - shallow["peak_memory_gb"]) / more
            rows.append({**deep, "layer_gb": added})
    return pd.DataFrame(rows, columns=[*frame, "layer_gb"])


def launches_beside_work(frame: pd.DataFrame) -> str:
    """Say in a sentence how much of the least time launches are, and where they are the most of it.

    Args:
        frame: as of `kernels_and_time`, with `launches_seconds`.
    """
    steps = frame.dropna(subset="least_seconds")
    if steps.empty:
        return NOTHING
    share = steps["launches_seconds"] / steps["least_seconds"]
    most = steps.iloc[int(share.to_numpy().argmax())]
    return (
        f"Launches take {share.min():.1%} to {share.max():.1%} of the least time, the most of "
        f"{most['attention']} ({most['code']}) at {most['sequence_length_bp']:,} bp on "
        f"{html.escape(most['device_label'])}."
    )


def _by_card(
    frame: pd.DataFrame,
    name: str,
    panels: list[tuple[str, str, _Draw]],
    *,
    description: str,
) -> go.Figure:
    """A stack of panels of which a menu shows one card's marks."""
    require_columns(frame, name, (*_COLUMNS, *(value for _, value, _ in panels)))
    for attention in frame["attention"].unique():
        attention_kind(attention)
    frame = frame.sort_values("sequence_length_bp", kind="stable")
    figure = stack_panels([title for title, _, _ in panels], gap_px=34, panel_px=260)
    devices = list(dict.fromkeys(frame["device"]))
    card_of_trace: list[str] = []
    for device in devices:
        of_card = frame[frame["device"] == device]
        for row, (_, _, draw) in enumerate(panels, start=1):
            before = len(figure.data)
            draw(figure, of_card)
            for trace in figure.data[before:]:
                trace.update(visible=device == devices[0])
                if row > 1:
                    trace.update(yaxis=f"y{row}", xaxis=f"x{row}", showlegend=False)
                card_of_trace.append(device)
    labels = frame.drop_duplicates("device").set_index("device")["device_label"]
    _add_menu(figure, labels, card_of_trace)
    figure.update_yaxes(type="log", dtick="D2", tickformat="~g")
    lengths = np.sort(frame["sequence_length_bp"].unique())
    figure.update_xaxes(type="log", tickvals=_spread(lengths), tickformat=".3~s")
    figure.update_xaxes(title_text="input length (bp)", row=len(panels), col=1)
    return finish(figure, frame, description=description)


def _add_lines(figure: go.Figure, of_card: pd.DataFrame, value: str) -> None:
    """A line per kind, code and depth; what tells depths apart stands in the legend once."""
    layers = sorted(of_card["num_transformer_layers"].unique(), reverse=True)
    dashes = {count: DASHES[i % len(DASHES)] for i, count in enumerate(layers)}
    series = ["attention", "num_transformer_layers", "code"]
    groups: Mapping[Any, pd.DataFrame] = dict(list(of_card.groupby(series, sort=False)))
    in_order = sorted(groups, key=lambda key: (CODES.index(key[2]), list(KINDS).index(key[0])))
    deepest = of_card.groupby(["attention", "code"])["num_transformer_layers"].max()
    for attention, count, code in in_order:
        rows = groups[attention, count, code]
        kind = attention_kind(attention)
        is_published = code == CODES[1]
        figure.add_scatter(
            x=rows["sequence_length_bp"],
            y=rows[value],
            mode="lines+markers",
            line={"color": kind.color, "dash": dashes[count], "width": 1 if is_published else 2},
            marker={
                "color": kind.color,
                "size": 9,
                "symbol": f"{kind.symbol}-open" if is_published else kind.symbol,
            },
            showlegend=bool(count == deepest[attention, code]),
            **in_legend(kind.label if not is_published else f"{kind.label}, the study's code"),
            **hover(rows[[name for name in _SHOWN_ON_HOVER if name in rows]]),
        )
    for count in layers if len(layers) > 1 else []:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            line={"color": NEUTRAL_COLOR, "dash": dashes[count]},
            **in_legend(f"{count} layer{'s' if count > 1 else ''}"),
        )


def _add_menu(figure: go.Figure, labels: pd.Series, card_of_trace: list[str]) -> None:
    buttons = [
        {
            "label": plain(label),
            "method": "restyle",
            "args": [{"visible": [card == device for card in card_of_trace]}],
        }
        for device, label in labels.items()
    ]
    # On the left and above the title: on the right Plotly's own buttons would take the clicks.
    place = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": 24}}
    menu = {"buttons": buttons, **place}
    figure.update_layout(updatemenus=[menu], margin={"t": _MENU_PX})


def _spread(lengths: np.ndarray) -> list[int]:
    """Those of some lengths that are at least a fifth longer than the one before."""
    shown = [int(lengths[0])]
    for length in lengths:
        if length >= 1.2 * shown[-1]:
            shown.append(int(length))
    return shown
