"""The report's figures: a tidy table in, a Plotly figure out, one function per figure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from senformer import results
from senformer.config import BIN_SIZE_BP
from senformer.evaluation import compare_per_sequence
from senformer.tracks import TRACK_TYPES

ATTENTION_COLORS = {
    "dense": "#248bf2",
    "tiled": "#50733f",
    "bigbird": "#d96c00",
    "bigbird_relative": "#a65b99",
}
"""One colour per attention kind in every figure.

Each stands out by at least 3 to 1 from a white and from a dark page, and any two stay apart under
the three kinds of colour blindness.
"""

ATTENTION_SYMBOLS = {
    "dense": "circle",
    "tiled": "square",
    "bigbird": "diamond",
    "bigbird_relative": "triangle-up",
}
"""One marker per attention kind, so that no figure is read by colour alone."""

MODEL_ATTENTION = {
    "Enformer": "dense",
    "S-Enformer": "bigbird",
    "S-Enformer, warm start": "bigbird_relative",
    "S-Enformer, warm start, untrained": "bigbird_relative",
}
"""Models by the name that figures show, and the attention whose colour they take."""

ORIGINS = {"measured": "", "published code": "published code", "study": "the study"}
"""Where a row of the memory or runtime table comes from, and what its legend entry adds."""

NEUTRAL_COLOR = "#808080"

_TEXT_COLOR = "#767676"
_GRID_COLOR = "rgba(128, 128, 128, 0.25)"
_AXIS = {
    "gridcolor": _GRID_COLOR,
    "linecolor": NEUTRAL_COLOR,
    "zerolinecolor": _GRID_COLOR,
    "ticks": "outside",
    "tickcolor": NEUTRAL_COLOR,
    "automargin": True,
    "title": {"standoff": 8},
}

TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "font": {"color": _TEXT_COLOR, "size": 13, "family": "system-ui, sans-serif"},
        "colorway": [*ATTENTION_COLORS.values()],
        "autosize": True,
        "margin": {"l": 8, "r": 8, "t": 32, "b": 8},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {
            "orientation": "h",
            "yref": "container",
            "yanchor": "bottom",
            "y": 0,
            "xanchor": "left",
            "x": 0,
        },
        "hoverlabel": {"align": "left", "namelength": -1},
    }
)
"""The one look of all figures: see-through, readable on light and dark pages, legend below."""


def memory(frame: pd.DataFrame) -> go.Figure:
    """Draw peak memory against input length (the study's Figure 1).

    Args:
        frame: one row per measurement, columns attention, num_transformer_layers, channels,
            sequence_length_bp, trainable, peak_memory_gb, status, device; others are shown on
            hover. `status` is "ok", "out_of_memory", "failed", or "at_most" for an upper bound.
            Rows of `published.memory()` may be appended: their column `origin` (one of `ORIGINS`)
            tells them apart; rows without an origin are measured.

    Raises:
        ValueError: if a column is missing.
    """
    return _scaling(
        frame,
        "memory",
        value="peak_memory_gb",
        axis_title="peak memory (GB)",
        description="Peak memory of a training step in GB against input length in base pairs, "
        "one line per attention kind and number of transformer layers.",
    )


def runtime(frame: pd.DataFrame) -> go.Figure:
    """Draw the time of a training step against input length (the study's Figure 3).

    Args:
        frame: one row per measurement, columns attention, num_transformer_layers, channels,
            sequence_length_bp, trainable, step_seconds, status, device, as for `memory`.

    Raises:
        ValueError: if a column is missing.
    """
    return _scaling(
        frame,
        "runtime",
        value="step_seconds",
        axis_title="time of a training step (s)",
        description="Seconds per training step against input length in base pairs, one line per "
        "attention kind and number of transformer layers.",
    )


def reproduction(frame: pd.DataFrame) -> go.Figure:
    """Draw what each choice in the evaluation protocol does to r (for the study's Figure 4).

    Args:
        frame: one row per track type, protocol and model: track_type, protocol (a short name of
            the choice; the first that occurs is the reference, drawn as a dotted line), model,
            pearson_r, num_tracks.

    Raises:
        ValueError: if a column is missing.
    """
    _require(frame, "reproduction", ("track_type", "protocol", "model", "pearson_r", "num_tracks"))
    types = _present_types(frame)
    protocols = list(dict.fromkeys(frame["protocol"]))
    figure = make_subplots(
        rows=len(types), cols=1, shared_xaxes=True, vertical_spacing=0.0, subplot_titles=types
    )
    for row, track_type in enumerate(types, start=1):
        of_type = frame[frame["track_type"] == track_type]
        for model, rows in of_type.groupby("model", sort=False):
            reference = rows.loc[rows["protocol"] == protocols[0], "pearson_r"]
            color = _model_color(str(model), frame["model"])
            if len(reference):
                figure.add_vline(reference.iloc[0], row=row, col=1, line=_dotted(color))
            figure.add_scatter(
                x=rows["pearson_r"],
                y=[_wrap(name) for name in rows["protocol"]],
                mode="markers",
                marker={"color": color, "size": 10, "symbol": _model_symbol(str(model))},
                row=row,
                col=1,
                **_named(str(model), show=row == 1),
                **_hover(rows),
            )
        figure.update_yaxes(autorange="reversed", row=row, col=1)
    figure.update_xaxes(title_text="Pearson's r", row=len(types), col=1)
    return _finish(
        figure,
        frame,
        height=120 + len(types) * (50 + 28 * len(protocols)),
        description="Pearson's r by evaluation protocol and model, one panel per track type.",
    )


def finetuning(frame: pd.DataFrame) -> go.Figure:
    """Draw accuracy over training steps by track type (the study's Figures 5a and 5b).

    Args:
        frame: one row per evaluation: step (training steps done), model, track_type, pearson_r. A
            model with a single step is drawn as a horizontal dashed line: it was not trained here.

    Raises:
        ValueError: if a column is missing.
    """
    _require(frame, "finetuning", ("step", "model", "track_type", "pearson_r"))
    types = _present_types(frame)
    figure, places = _panels(types, shared_yaxes=True)
    last_step = frame["step"].max()
    for track_type, (row, col) in zip(types, places, strict=True):
        of_type = frame[frame["track_type"] == track_type]
        for model, rows in of_type.groupby("model", sort=False):
            color = _model_color(str(model), frame["model"])
            fixed = len(rows) == 1
            shown = pd.concat([rows, rows]) if fixed else rows.sort_values("step")
            figure.add_scatter(
                x=[0, last_step] if fixed else shown["step"],
                y=shown["pearson_r"],
                mode="lines" if fixed else "lines+markers",
                line={"color": color, "dash": "dash" if fixed else "solid"},
                marker={"symbol": _model_symbol(str(model))},
                row=row,
                col=col,
                **_named(str(model), show=(row, col) == (1, 1)),
                **_hover(shown),
            )
    _label_outer_axes(figure, places, x="training step", y="Pearson's r")
    return _finish(
        figure,
        frame,
        height=160 + 220 * places[-1][0],
        description="Pearson's r on held-out sequences against training step, one panel per track "
        "type, one line per model.",
    )


def correlation(frame: pd.DataFrame) -> go.Figure:
    """Draw both models' accuracy sequence by sequence, by track type (the study's Figure 6).

    Each panel's title gives r between the models and the share of sequences where S-Enformer is
    ahead, from `evaluation.compare_per_sequence`; the solid line is the least-squares fit, the
    dashed one is equality.

    Args:
        frame: one row per sequence and track type: sequence, track_type, enformer_pearson_r,
            senformer_pearson_r.

    Raises:
        ValueError: if a column is missing.
    """
    models = ("enformer_pearson_r", "senformer_pearson_r")
    _require(frame, "correlation", ("sequence", "track_type", *models))
    summary = compare_per_sequence(frame).set_index("track_type")
    types = list(summary.index)
    titles = [
        f"{name}<br>r = {row.pearson_r:.3f}, S-Enformer ahead {row.share_senformer_ahead:.1%}"
        for name, row in summary.iterrows()
    ]
    figure, places = _panels(types, titles=titles, shared_xaxes=True, shared_yaxes=True)
    shown = frame[list(models)].to_numpy(np.float64)
    ends = np.array([np.nanmin(shown), np.nanmax(shown)])
    for track_type, (row, col) in zip(types, places, strict=True):
        rows = frame[frame["track_type"] == track_type]
        first = (row, col) == (1, 1)
        figure.add_scatter(
            x=rows[models[0]],
            y=rows[models[1]],
            mode="markers",
            marker={"color": ATTENTION_COLORS["bigbird"], "size": 4, "opacity": 0.5},
            row=row,
            col=col,
            **_named("one sequence", show=first),
            **_hover(rows),
        )
        fit = summary.loc[track_type]
        figure.add_scatter(
            x=ends,
            y=fit["intercept"] + fit["slope"] * ends,
            mode="lines",
            line={"color": ATTENTION_COLORS["dense"], "width": 2},
            hovertemplate=f"fit: {fit['slope']:.3f} r + {fit['intercept']:.3f}<extra></extra>",
            row=row,
            col=col,
            **_named("fitted line", show=first),
        )
        figure.add_scatter(
            x=ends,
            y=ends,
            mode="lines",
            line={"color": NEUTRAL_COLOR, "width": 1, "dash": "dash"},
            hoverinfo="skip",
            row=row,
            col=col,
            **_named("both equal", show=first),
        )
    _label_outer_axes(figure, places, x="Enformer's r", y="S-Enformer's r")
    return _finish(
        figure,
        frame,
        height=160 + 260 * places[-1][0],
        description="Per-sequence Pearson's r of S-Enformer against Enformer, one panel per track "
        "type, with the fitted line and the line of equality.",
    )


def track_profiles(frame: pd.DataFrame) -> go.Figure:
    """Draw tracks along a sequence: experiment and both models (the study's Figure 7).

    Args:
        frame: one row per track, bin and source: track (its name), bin (of 128 bp), source
            ("experiment" or a model's name), value (coverage).

    Raises:
        ValueError: if a column is missing.
    """
    _require(frame, "track_profiles", ("track", "bin", "source", "value"))
    tracks = list(dict.fromkeys(frame["track"]))
    sources = list(dict.fromkeys(frame["source"]))
    figure = make_subplots(
        rows=len(tracks),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.12 / len(tracks),
        subplot_titles=[_wrap(str(track), 48) for track in tracks],
    )
    for row, track in enumerate(tracks, start=1):
        for source in sources:
            rows = frame[(frame["track"] == track) & (frame["source"] == source)]
            is_experiment = source == "experiment"
            color = NEUTRAL_COLOR if is_experiment else _model_color(source, frame["source"])
            figure.add_scatter(
                x=rows["bin"] * BIN_SIZE_BP,
                y=rows["value"].astype(np.float32),
                mode="lines",
                line={"color": color, "width": 0 if is_experiment else 1.5, "shape": "hvh"},
                fill="tozeroy" if is_experiment else None,
                row=row,
                col=1,
                hovertemplate=f"{track}<br>{source}<br>%{{x:,}} bp: %{{y:.4g}}<extra></extra>",
                **_named(source, show=row == 1),
            )
        figure.update_yaxes(title_text="coverage", rangemode="tozero", row=row, col=1)
    figure.update_xaxes(
        title_text="position in the predicted window (bp)", tickformat=",", row=len(tracks), col=1
    )
    return _finish(
        figure,
        frame,
        height=120 + 150 * len(tracks),
        description="Coverage along a sequence, one panel per track: the experiment as an area, "
        "the models' predictions as lines.",
    )


def receptive_field(frame: pd.DataFrame) -> go.Figure:
    """Draw how far a change of one base reaches, one panel per position (the study's Figure 8).

    Args:
        frame: one row per mutation, bin and model: mutation_position_bp, bin, bin_start_bp (in the
            input), model, abs_change, as `receptive_field.mutation_effects` gives them. A model
            named "noise floor" is drawn as a dotted line.

    Raises:
        ValueError: if a column is missing.
    """
    _require(
        frame,
        "receptive_field",
        ("mutation_position_bp", "bin", "bin_start_bp", "model", "abs_change"),
    )
    positions = sorted(frame["mutation_position_bp"].unique())
    models = list(dict.fromkeys(frame["model"]))
    figure = make_subplots(
        rows=len(positions),
        cols=1,
        shared_xaxes=True,
        shared_yaxes="all",
        vertical_spacing=0.25 / len(positions),
        subplot_titles=[f"base {position:,} changed" for position in positions],
    )
    for row, position in enumerate(positions, start=1):
        at_position = frame[frame["mutation_position_bp"] == position]
        for model in models:
            rows = at_position[at_position["model"] == model]
            figure.add_scatter(
                x=rows["bin_start_bp"],
                y=rows["abs_change"].astype(np.float32),
                mode="lines",
                line={"color": _model_color(model, models), "width": 1.5},
                row=row,
                col=1,
                hovertemplate=f"{model}<br>base {position:,} changed<br>bin at %{{x:,}} bp: "
                "%{y:.3g}<extra></extra>",
                **_named(model, show=row == 1),
            )
        figure.add_vline(position, row=row, col=1, line=_dotted(NEUTRAL_COLOR))
    figure.update_yaxes(type="log", exponentformat="power", dtick=2)
    figure.update_xaxes(title_text="position in the input (bp)", row=len(positions), col=1)
    figure.update_xaxes(tickformat=",")
    middle = (len(positions) + 1) // 2
    figure.update_yaxes(title_text="mean absolute change of the prediction", row=middle, col=1)
    return _finish(
        figure,
        frame,
        height=120 + 95 * len(positions),
        description="Mean absolute change of the prediction of each bin after one base is changed, "
        "one panel per position of the change, one line per model.",
    )


def _scaling(
    frame: pd.DataFrame, name: str, *, value: str, axis_title: str, description: str
) -> go.Figure:
    columns = (
        "attention",
        "num_transformer_layers",
        "channels",
        "sequence_length_bp",
        "trainable",
        value,
        "status",
        "device",
    )
    _require(frame, name, columns)
    frame = frame.assign(
        origin=frame["origin"].fillna("measured") if "origin" in frame else "measured"
    )
    panels = list(dict.fromkeys(frame["trainable"]))
    figure = make_subplots(
        rows=len(panels),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.12,
        subplot_titles=[f"trained: {trainable}" for trainable in panels],
    )
    keys = ["attention", "num_transformer_layers", "channels", "device", "origin"]
    layers = sorted(frame["num_transformer_layers"].unique(), reverse=True)
    shown: set[str] = set()
    for row, trainable in enumerate(panels, start=1):
        panel = frame[frame["trainable"] == trainable]
        top = 1.08 * np.nanmax([*panel[value], 0.0]) or 1.0
        for key, rows in panel.groupby(keys, sort=False, dropna=False):
            series = dict(zip(keys, key, strict=True))
            label = _series_name(series, frame)
            rows = rows.sort_values("sequence_length_bp")
            lost = rows["status"].isin(["out_of_memory", "failed"])
            figure.add_scatter(
                x=rows["sequence_length_bp"],
                y=rows[value].where(~lost, top),
                mode="lines+markers",
                line={
                    "color": ATTENTION_COLORS[series["attention"]],
                    "dash": _DASHES[layers.index(series["num_transformer_layers"])],
                    "width": 2 if series["origin"] == "measured" else 0,
                },
                marker={
                    "size": 10,
                    "symbol": [_status_symbol(series, status) for status in rows["status"]],
                },
                row=row,
                col=1,
                **_named(label, show=label not in shown),
                **_hover(rows),
            )
            shown.add(label)
        figure.update_yaxes(title_text=axis_title, range=[0, 1.06 * top], row=row, col=1)
    figure.update_xaxes(tickformat=".3~s")
    figure.update_xaxes(title_text="input length (bp)", row=len(panels), col=1)
    return _finish(figure, frame, height=140 + 320 * len(panels), description=description)


_DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")


def _status_symbol(series: dict[str, Any], status: str) -> str:
    if status == "out_of_memory":
        return "x" if series["origin"] == "measured" else "x-open"
    if status == "failed":
        return "cross-thin-open"
    if status == "at_most":
        return "triangle-down-open"
    symbol = ATTENTION_SYMBOLS[series["attention"]]
    return symbol if series["origin"] == "measured" else f"{symbol}-open"


def _series_name(series: dict[str, Any], frame: pd.DataFrame) -> str:
    layers = series["num_transformer_layers"]
    parts = [series["attention"], f"{layers} layer{'s' if layers > 1 else ''}"]
    measured = frame[frame["origin"] == "measured"]
    if measured["channels"].nunique() > 1:
        parts.append(f"{series['channels']} channels")
    if series["origin"] == "measured" and measured["device"].nunique() > 1:
        parts.append(str(series["device"]))
    return ", ".join([*parts, *filter(None, [ORIGINS[series["origin"]]])])


def _require(frame: pd.DataFrame, figure: str, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"figure {figure}: the table has no column {', '.join(missing)}")
    if frame.empty:
        raise ValueError(f"figure {figure}: the table has no rows")


def _present_types(frame: pd.DataFrame) -> list[str]:
    present = set(frame["track_type"])
    return [name for name in TRACK_TYPES if name in present]


def _panels(
    names: Sequence[str], titles: Sequence[str] | None = None, **shared: bool
) -> tuple[go.Figure, list[tuple[int, int]]]:
    columns = 1 if len(names) == 1 else 2
    places = [(1 + index // columns, 1 + index % columns) for index in range(len(names))]
    figure = make_subplots(
        rows=places[-1][0],
        cols=columns,
        subplot_titles=titles or names,
        horizontal_spacing=0.08,
        vertical_spacing=0.16,
        **shared,
    )
    return figure, places


def _label_outer_axes(
    figure: go.Figure, places: Sequence[tuple[int, int]], *, x: str, y: str
) -> None:
    for row, col in places:
        if (row + 1, col) not in places:
            figure.update_xaxes(title_text=x, showticklabels=True, row=row, col=col)
        if col == 1:
            figure.update_yaxes(title_text=y, row=row, col=col)


def _hover(rows: pd.DataFrame) -> dict[str, Any]:
    lines = [f"{name}: %{{customdata[{place}]}}" for place, name in enumerate(rows.columns)]
    return {
        "customdata": [[_shown(value) for value in row] for row in rows.to_numpy(dtype=object)],
        "hovertemplate": "<br>".join(lines) + "<extra></extra>",
    }


def _shown(value: Any) -> str:
    if pd.isna(value):
        return "–"
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int | np.integer) else str(value)


def _named(name: str, *, show: bool) -> dict[str, Any]:
    return {"name": name, "legendgroup": name, "showlegend": show}


def _model_color(model: str, models: Iterable[str]) -> str:
    if model in MODEL_ATTENTION:
        return ATTENTION_COLORS[MODEL_ATTENTION[model]]
    return NEUTRAL_COLOR


def _model_symbol(model: str) -> str:
    return ATTENTION_SYMBOLS.get(MODEL_ATTENTION.get(model, ""), "circle")


def _dotted(color: str) -> dict[str, Any]:
    return {"color": color, "width": 1, "dash": "dot"}


def _wrap(text: str, width: int = 22) -> str:
    return "<br>".join(textwrap.wrap(text, width)) or text


def _finish(figure: go.Figure, frame: pd.DataFrame, *, height: int, description: str) -> go.Figure:
    meta = {"description": description}
    if "provenance" in frame.attrs:
        meta["caption"] = results.caption(frame.attrs["provenance"])
    figure.update_layout(template=TEMPLATE, height=height, meta=meta)
    return figure


FIGURES: dict[str, Callable[[pd.DataFrame], go.Figure]] = {
    "memory": memory,
    "runtime": runtime,
    "reproduction": reproduction,
    "finetuning": finetuning,
    "correlation": correlation,
    "track_profiles": track_profiles,
    "receptive_field": receptive_field,
}
"""Every figure by name."""
