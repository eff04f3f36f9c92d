"""Memory, kernels and time of a training step on a GPU, as compiled and as it ran.

A menu above each figure chooses the card.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from senformer.report.figures import builders as draw
from senformer.report.figures.style import Look, kind_looks
from senformer.report.row_labels import CODES

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


@draw.study_figure(1, "peak memory by length, for a GPU", "memory", "memory_compiled.csv")
@draw.figure(*_COLUMNS, "peak_memory_gb")
def compiled_memory(frame: pd.DataFrame) -> go.Figure:
    """Draw the peak memory of compiled steps against input length (the study's Figure 1).

    Peak memory of a training step as compiled for a GPU, in GB, against input length in base pairs,
    one line per attention kind, number of layers and code.

    Args:
        frame: One row per step and card: attention, num_transformer_layers, sequence_length_bp,
            trainable, code (one of `CODES`), device, device_label, device_memory_gb, status,
            peak_memory_gb.

    Raises:
        ValueError: If a kind of attention is unknown.
    """
    return _draw_by_card(frame, {"peak memory (GB)": "peak_memory_gb"}, show_capacity=True)


@draw.study_figure(2, "memory of a further layer", "memory", "memory_compiled.csv")
@draw.figure(*_COLUMNS, "layer_gb")
def layer_memory(frame: pd.DataFrame) -> go.Figure:
    """Draw the memory that a further layer adds (the study's Figure 2).

    Memory that a further transformer layer adds to a training step compiled for a GPU, in GB,
    against input length in base pairs, one line per attention kind and code.

    Args:
        frame: One row per step and card, from `gpu_steps.memory_per_layer`.

    Raises:
        ValueError: If a kind of attention is unknown.
    """
    return _draw_by_card(frame, {"memory of a further layer (GB)": "layer_gb"})


@draw.study_figure(
    3, "least time of a step by length, for a GPU", "runtime", "runtime_compiled.csv"
)
@draw.figure(*_COLUMNS, "kernels", "least_seconds")
def kernels_and_time(frame: pd.DataFrame) -> go.Figure:
    """Draw the number of kernels that a step starts and the least time that it can take.

    Kernels that a training step compiled for a GPU starts, and the least time that its operations,
    bytes and launches allow, against input length in base pairs.

    Args:
        frame: One row per step and card: the columns of `compiled_memory`, with kernels and
            least_seconds.

    Raises:
        ValueError: If a kind of attention is unknown.
    """
    panels = {"kernels started": "kernels", "least time (s)": "least_seconds"}
    return _draw_by_card(frame, panels)


@draw.figure(*_COLUMNS, "step_seconds")
def step_time(frame: pd.DataFrame) -> go.Figure:
    """Draw the time of steps that ran on a GPU.

    Time of a training step as it ran on a GPU, in seconds, against input length in base pairs, one
    line per attention kind and code.

    Args:
        frame: One row per step of one data type, from `benchmarks/steps_on_gpu.py`: the columns of
            `compiled_memory`, with step_seconds.

    Raises:
        ValueError: If a kind of attention is unknown.
    """
    return _draw_by_card(frame, {"time of a step (s)": "step_seconds"})


def _draw_by_card(
    frame: pd.DataFrame, panels: Mapping[str, str], *, show_capacity: bool = False
) -> go.Figure:
    """Draw panels, by title and column, in which a menu shows the steps of one card."""
    frame = frame.sort_values("sequence_length_bp", kind="stable")
    fig = draw.stack_panels(list(panels), gap_px=34, panel_px=260)
    labels = frame.drop_duplicates("device").set_index("device")["device_label"]
    devices = list(dict.fromkeys(frame["device"]))
    device_of_trace: list[str] = []
    for device in devices:
        steps = frame[frame["device"] == device]
        for row, column in enumerate(panels.values(), start=1):
            _add_steps(fig, steps, column, row=row)
            if show_capacity:
                ends = steps.iloc[[0, -1]]
                look = Look("memory of the card", width=1, mode="lines")
                x, y = ends["sequence_length_bp"], ends["device_memory_gb"]
                draw.add_series(fig, ends, look, x=x, y=y, hovertemplate=None)
            for trace in fig.data[len(device_of_trace) :]:
                trace.update(visible=device == devices[0])
                if row > 1:
                    trace.update(showlegend=False)
                device_of_trace.append(device)
    _add_menu(fig, labels, device_of_trace)
    fig.update_yaxes(type="log", dtick="D2", tickformat="~g")
    draw.title_length_axis(fig, frame["sequence_length_bp"])
    return fig


def _add_steps(fig: go.Figure, steps: pd.DataFrame, column: str, *, row: int) -> None:
    """Add a line per kind, code and number of layers; the legend explains dashes once."""
    dashes = draw.layer_dashes(steps)
    shown = [name for name in _SHOWN_ON_HOVER if name in steps]
    for code, (attention, look) in itertools.product(CODES, kind_looks(steps["attention"]).items()):
        of_kind = steps[(steps["code"] == code) & (steps["attention"] == attention)]
        if code == CODES[1]:
            label = f"{look.label}, the study's code"
            look = look._replace(label=label, symbol=f"{look.symbol}-open", width=1)
        for layers, dash in reversed(dashes.items()):
            rows = of_kind[of_kind["num_transformer_layers"] == layers]
            if rows.empty:
                continue
            draw.add_series(
                fig,
                rows[shown],
                look._replace(dash=dash),
                place=(row, 1),
                x=rows["sequence_length_bp"],
                y=rows[column],
                showlegend=bool(layers == of_kind["num_transformer_layers"].max()),
            )
    if len(dashes) > 1:
        for layers, dash in dashes.items():
            look = Look(draw.layer_label(layers), dash=dash, mode="lines")
            draw.add_legend_entry(fig, look, place=(row, 1))


def _add_menu(fig: go.Figure, labels: pd.Series, device_of_trace: list[str]) -> None:
    """Add a menu that shows the traces of one device, at the top left.

    At the top right Plotly's own buttons would take the clicks.
    """
    buttons = [
        {
            "label": draw.plain(label),
            "method": "restyle",
            "args": [{"visible": [device == shown for device in device_of_trace]}],
        }
        for shown, label in labels.items()
    ]
    place = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": 24}}
    fig.update_layout(updatemenus=[{"buttons": buttons, **place}], margin={"t": _MENU_PX})
