"""The report's figures: a tidy table in, a Plotly figure out, one function per figure.

Every figure has the same look (`TEMPLATE`), the same colour and marker for a kind of attention, and
tells on hover the row that a mark was drawn from. `layout.meta` holds its `description`, for those
who cannot see it, and, where the table was read by `results.read`, the `caption` that says where it
was measured.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from senformer.config import BIN_SIZE_BP, expect_one_of
from senformer.data.tracks import TRACK_TYPES
from senformer.evaluation.per_sequence import compare_per_sequence
from senformer.report import results
from senformer.report.benchmark_tables import KERNELS

ATTENTION_COLORS = {
    "dense": "#248bf2",
    "tiled": "#50733f",
    "bigbird": "#d96c00",
    "bigbird_relative": "#a65b99",
}
"""One colour per attention kind in every figure.

Each has a contrast of at least 3 to a white and to a dark page, and any two stay apart under the
three kinds of colour blindness.
"""

ATTENTION_SYMBOLS = {
    "dense": "circle",
    "tiled": "square",
    "bigbird": "diamond",
    "bigbird_relative": "triangle-up",
}
"""One marker per attention kind, so that no figure is read by colour alone."""

ATTENTION_LABELS = {
    "dense": "dense (Enformer)",
    "tiled": "tiled",
    "bigbird": "bigbird (S-Enformer)",
    "bigbird_relative": "bigbird_relative",
}
"""What the legend calls a kind of attention."""

MODEL_ATTENTION = {
    "Enformer": "dense",
    "S-Enformer": "bigbird",
    "S-Enformer, warm start": "bigbird_relative",
}
"""Whose colour a model takes, by how its name begins (the longest entry that fits).

Models of another name are grey; models of one colour differ in marker and dash.
"""

EXPERIMENT = "experiment"
"""The source, in a table of tracks, that is no model."""

ORIGINS = ("measured", "published code", "study")
"""Where a row of the memory or runtime table comes from: only `measured` marks are filled."""

NEUTRAL_COLOR = "#808080"

_TEXT_COLOR = "#767676"  # contrast 4.5 to a white page, 3.9 to a dark one
_AXIS_MARGIN = 1.25
_FAINT_COLOR = "rgba(128, 128, 128, 0.25)"
_DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
_VARIANTS = ("", "-open", "-dot", "-open-dot")
_VARIANT_OF_KERNELS = dict(zip(KERNELS, ("", "-open", "-open-dot"), strict=True))
_LABEL_OF_KERNELS = {
    "onednn": "oneDNN",
    "own": "TensorFlow's own",
    "own_pooled": "its own, memory kept",
}
_STATUS_SYMBOLS = {"out_of_memory": "x", "failed": "asterisk", "at_most": "triangle-down"}
_STATUS_LABELS = {
    "out_of_memory": "out of memory",
    "failed": "failed",
    "at_most": "this much or less",
}
_TRACK_TYPE_MARKERS = dict(
    zip(
        TRACK_TYPES,
        (
            *zip(ATTENTION_COLORS.values(), ATTENTION_SYMBOLS.values(), strict=True),
            (NEUTRAL_COLOR, "star"),
            (NEUTRAL_COLOR, "cross"),
        ),
        strict=True,
    )
)  # where no attention kinds are drawn; their colours are known to stay apart
_LEGEND_HEIGHT_PX = 90
_AXIS = {
    "gridcolor": _FAINT_COLOR,
    "linecolor": NEUTRAL_COLOR,
    "zerolinecolor": _FAINT_COLOR,
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
        "colorway": list(ATTENTION_COLORS.values()),
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
"""The one look of all figures: see-through, readable on light and dark pages, legend below."""


def memory(frame: pd.DataFrame) -> go.Figure:
    """Draw peak memory against input length (the study's Figure 1).

    A measurement that ran out of memory, or failed, is a mark in a strip above the others.

    Args:
        frame: one row per measurement, columns attention, num_transformer_layers, channels,
            sequence_length_bp, trainable, peak_memory_gb, status, device; others are shown on
            hover. `status` is "ok", "out_of_memory", "failed", or "at_most" for an upper bound.
            Rows of `published.memory()` may be appended; a column `origin` (one of `ORIGINS`) then
            tells them apart, and rows without an origin are measured.

    Raises:
        ValueError: if a column is missing or there is no row.
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
        ValueError: if a column is missing or there is no row.
    """
    return _scaling(
        frame,
        "runtime",
        value="step_seconds",
        axis_title="time of a training step (s)",
        description="Seconds per training step against input length in base pairs, one line per "
        "attention kind and number of transformer layers.",
    )


def speedups(frame: pd.DataFrame) -> go.Figure:
    """Draw how many times as fast one kind of attention is as another, with the spread.

    Args:
        frame: one row per comparison, from `benchmark_tables.attention_speedups`: part (a panel
            each), kernels, tokens, kind, as_fast_as, median, low, high; others are shown on hover.

    Raises:
        ValueError: if a column is missing, there is no row, or kernels are none of `KERNELS`.
    """
    columns = ("part", "kernels", "tokens", "kind", "as_fast_as", "median", "low", "high")
    _require(frame, "speedups", columns)
    for kernels in frame["kernels"].unique():
        expect_one_of("figure speedups: kernels", kernels, KERNELS)
    pairs = zip(frame["kind"], frame["as_fast_as"], frame["tokens"], strict=True)
    compared = sorted(set(pairs))
    parts = list(dict.fromkeys(frame["part"]))
    figure = _stack(parts, gap_px=36, panel_px=38 * len(compared))
    for (part, kernels, kind), rows in frame.groupby(["part", "kernels", "kind"], sort=False):
        _add_speedups(figure, rows, compared, str(kernels), str(kind), row=1 + parts.index(part))
    for row in range(1, len(parts) + 1):
        figure.add_vline(1, row=row, col=1, line=_thin(NEUTRAL_COLOR, "dot"))
    figure.update_yaxes(
        tickvals=list(range(len(compared))),
        ticktext=[f"{kind} : {other}<br>{tokens:,} tokens" for kind, other, tokens in compared],
        range=[len(compared) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(**_cost_axis(pd.concat([frame["low"], frame["high"]])))
    figure.update_xaxes(title_text="times as fast", row=len(parts), col=1)
    for kernels in [of for of in KERNELS if of in set(frame["kernels"])]:
        symbol = ATTENTION_SYMBOLS["dense"] + _VARIANT_OF_KERNELS[kernels]
        _add_key(figure, _LABEL_OF_KERNELS[kernels], symbol, NEUTRAL_COLOR)
    return _finish(
        figure,
        frame,
        description="How many times as fast one kind of attention is as another, median and "
        "quartiles, by number of tokens and by the kernels that TensorFlow computes with; a dotted "
        "line stands at equal times.",
    )


def _add_speedups(
    figure: go.Figure,
    rows: pd.DataFrame,
    compared: Sequence[tuple[str, str, int]],
    kernels: str,
    kind: str,
    *,
    row: int,
) -> None:
    keys = zip(rows["kind"], rows["as_fast_as"], rows["tokens"], strict=True)
    places = np.array([compared.index(key) for key in keys])
    color = ATTENTION_COLORS[kind]
    figure.add_scatter(
        x=rows["median"],
        y=places + 0.2 * (KERNELS.index(kernels) - 1),
        error_x={
            "array": rows["high"] - rows["median"],
            "arrayminus": rows["median"] - rows["low"],
            "thickness": 1.5,
            "width": 0,
        },
        mode="markers",
        marker={
            "color": color,
            "size": 9,
            "symbol": ATTENTION_SYMBOLS[kind] + _VARIANT_OF_KERNELS[kernels],
            "line": {"width": 1.5, "color": color},
        },
        row=row,
        col=1,
        **_in_legend(ATTENTION_LABELS[kind]),
        **_hover(rows),
    )


def finetuning(frame: pd.DataFrame) -> go.Figure:
    """Draw accuracy over training steps by track type (the study's Figure 5b).

    Args:
        frame: one row per evaluation: step (training steps done), model, track_type, pearson_r. A
            model with a single step is a dashed line across: it was not trained here.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    _require(frame, "finetuning", ("step", "model", "track_type", "pearson_r"))
    types = _present_types(frame)
    figure, places = _grid(types, panel_px=220, shared_xaxes="all")
    styles = _model_styles(frame["model"])
    ends = [frame["step"].min(), frame["step"].max()]
    for track_type, (row, col) in zip(types, places, strict=True):
        of_type = frame[frame["track_type"] == track_type]
        for model, evaluations in of_type.groupby("model", sort=False):
            rows = evaluations.sort_values("step")
            style = styles[str(model)]
            trained = len(rows) > 1
            shown = rows if trained else pd.concat([rows, rows])
            figure.add_scatter(
                x=rows["step"] if trained else ends,
                y=shown["pearson_r"],
                mode="lines+markers" if trained else "lines",
                line={
                    "color": style.color,
                    "width": 2,
                    "dash": style.dash if trained else "dash",
                },
                marker={"symbol": style.symbol, "size": 7},
                row=row,
                col=col,
                **_in_legend(str(model)),
                **_hover(shown),
            )
    _title_axes(figure, places, x="training step", y="Pearson's r")
    return _finish(
        figure,
        frame,
        description="Pearson's r on held-out sequences against training step, one panel per track "
        "type, one line per model.",
    )


def finetuned(frame: pd.DataFrame) -> go.Figure:
    """Draw accuracy after training by track type (the study's Figure 5a).

    Args:
        frame: one row per model and track type: model, track_type, pearson_r.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    _require(frame, "finetuned", ("model", "track_type", "pearson_r"))
    types = _present_types(frame)
    figure = _stack([""], gap_px=0, panel_px=50 * len(types))
    styles = _model_styles(frame["model"])
    for model, rows in frame.groupby("model", sort=False):
        style = styles[str(model)]
        figure.add_scatter(
            x=rows["pearson_r"],
            y=rows["track_type"],
            mode="markers",
            marker={"color": style.color, "size": 12, "symbol": style.symbol},
            **_in_legend(str(model)),
            **_hover(rows),
        )
    figure.update_yaxes(categoryorder="array", categoryarray=types[::-1])
    figure.update_xaxes(title_text="Pearson's r")
    return _finish(
        figure, frame, description="Pearson's r of each model after training, by track type."
    )


def correlation(frame: pd.DataFrame) -> go.Figure:
    """Draw both models' accuracy sequence by sequence, by track type (the study's Figure 6).

    Each panel's title gives r between the models and the share of sequences where S-Enformer is
    ahead, from `per_sequence.compare_per_sequence`; the solid line is the least-squares fit, on the
    dashed one both models are equal.

    Args:
        frame: one row per sequence and track type: sequence, track_type, enformer_pearson_r,
            senformer_pearson_r.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    models = ["enformer_pearson_r", "senformer_pearson_r"]
    _require(frame, "correlation", ("sequence", "track_type", *models))
    summary = compare_per_sequence(frame)
    types = list(summary["track_type"])
    titles = [
        f"{name}<br>{_r_text(r)}<br>S-Enformer ahead: {ahead:.1%}"
        for name, r, ahead in zip(
            types, summary["pearson_r"], summary["share_senformer_ahead"], strict=True
        )
    ]
    figure, places = _grid(
        titles, panel_px=240, title_lines=3, shared_xaxes="all", shared_yaxes="all"
    )
    ends = np.nanquantile(frame[models].to_numpy(np.float64), [0, 1])
    for fit, (row, col) in zip(summary.to_dict("records"), places, strict=True):
        rows = frame[frame["track_type"] == fit["track_type"]]
        figure.add_scatter(
            x=rows[models[0]].astype(np.float32),
            y=rows[models[1]].astype(np.float32),
            customdata=rows["sequence"],
            hovertemplate=f"sequence: %{{customdata}}<br>track_type: {fit['track_type']}<br>"
            f"{models[0]}: %{{x:.4f}}<br>{models[1]}: %{{y:.4f}}<extra></extra>",
            mode="markers",
            marker={"color": NEUTRAL_COLOR, "size": 4, "opacity": 0.5},
            row=row,
            col=col,
            **_in_legend("one sequence"),
        )
        figure.add_scatter(
            x=ends,
            y=fit["intercept"] + fit["slope"] * ends,
            mode="lines",
            line={"color": ATTENTION_COLORS["bigbird"], "width": 2.5},
            hovertemplate=f"slope {fit['slope']:.3f}, intercept {fit['intercept']:.3f}"
            "<extra></extra>",
            row=row,
            col=col,
            **_in_legend("fitted line"),
        )
        figure.add_scatter(
            x=ends,
            y=ends,
            mode="lines",
            line={"color": ATTENTION_COLORS["dense"], "width": 1.5, "dash": "dash"},
            hoverinfo="skip",
            row=row,
            col=col,
            **_in_legend("as good as Enformer"),
        )
    _title_axes(figure, places, x="Enformer's r", y="S-Enformer's r")
    return _finish(
        figure,
        frame,
        description="Per-sequence Pearson's r of S-Enformer against Enformer, one panel per track "
        "type, with the fitted line and the line of equality.",
    )


def track_profiles(frame: pd.DataFrame) -> go.Figure:
    """Draw tracks along a sequence, experiment and models below each other (the study's Figure 7).

    Args:
        frame: one row per track, bin and source: track (its name), bin (of 128 bp), source
            (`EXPERIMENT` or a model's name), value (coverage).

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    _require(frame, "track_profiles", ("track", "bin", "source", "value"))
    sources = list(dict.fromkeys(frame["source"]))
    panels = [(track, source) for track in dict.fromkeys(frame["track"]) for source in sources]
    titles = [_shorten(str(track)) if source == sources[0] else "" for track, source in panels]
    figure = _stack(titles, gap_px=22, panel_px=44)
    styles = _model_styles(source for source in sources if source != EXPERIMENT)
    top_of_track = frame.groupby("track")["value"].max()
    for row, (track, source) in enumerate(panels, start=1):
        rows = frame[(frame["track"] == track) & (frame["source"] == source)].sort_values("bin")
        color = styles[source].color if source in styles else NEUTRAL_COLOR
        figure.add_scatter(
            x=(rows["bin"] * BIN_SIZE_BP).astype(np.int32),
            y=rows["value"].astype(np.float32),
            mode="lines",
            line={"color": color, "width": 1, "shape": "hvh"},
            fill="tozeroy",
            fillcolor=color,
            hovertemplate=f"{track}<br>{source}<br>bin at %{{x:,}} bp: %{{y:.4g}}<extra></extra>",
            row=row,
            col=1,
            **_in_legend(source),
        )
        figure.update_yaxes(range=[0, 1.05 * top_of_track[track]], nticks=3, row=row, col=1)
    figure.update_xaxes(
        title_text="position in the predicted window (bp)", tickformat=",", row=len(panels), col=1
    )
    _title_shared_axis(figure, "coverage")
    return _finish(
        figure,
        frame,
        description="Coverage along a sequence, one group of panels per track: the experiment and "
        "each model's prediction, on one scale.",
    )


def input_gradients(frame: pd.DataFrame) -> go.Figure:
    """Draw which bases a bin depends on, by its gradient and by mutations, one panel per bin.

    Args:
        frame: one row per bin, model, method and position: bin, bin_start_bp (in the input), model,
            method ("gradient", a curve, or "mutation", marks), position_bp, abs_change_of_mean (of
            the mean over tracks, when a base there is replaced).

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = ("bin", "bin_start_bp", "model", "method", "position_bp", "abs_change_of_mean")
    _require(frame, "input_gradients", columns)
    bins = frame.drop_duplicates("bin").sort_values("bin")
    titles = [f"bin {number:,}" for number in bins["bin"]]
    styles = _model_styles(frame["model"])
    figure = _stack(titles, gap_px=30, panel_px=130, shared_yaxes="all")
    for row, of_bin in enumerate(bins.to_dict("records"), start=1):
        at_bin = frame[frame["bin"] == of_bin["bin"]]
        for (model, method), rows in at_bin.groupby(["model", "method"], sort=False):
            curve = rows.sort_values("position_bp")
            style = styles[str(model)]
            is_curve = method == "gradient"
            change = curve["abs_change_of_mean"].astype(np.float32)
            figure.add_scatter(
                x=curve["position_bp"].astype(np.int32),
                y=change.where(change > 0),
                mode="lines" if is_curve else "markers",
                line={"color": style.color, "width": 1.2, "dash": style.dash},
                marker={"color": style.color, "symbol": style.symbol, "size": 9},
                hovertemplate=f"{model}, {method}<br>bin {of_bin['bin']:,}<br>base %{{x:,}}: "
                "%{y:.3g}<extra></extra>",
                row=row,
                col=1,
                **_in_legend(f"{model}, {method}"),
            )
        middle = of_bin["bin_start_bp"] + BIN_SIZE_BP / 2
        figure.add_vline(middle, row=row, col=1, line=_thin(NEUTRAL_COLOR, "dot"))
    figure.update_yaxes(type="log", exponentformat="power", dtick=2, tickfont={"size": 10})
    figure.update_xaxes(
        title_text="position of the base in the input (bp)",
        tickformat=",",
        row=len(bins),
        col=1,
    )
    _title_shared_axis(figure, "absolute change of the mean over tracks")
    return _finish(
        figure,
        frame,
        description="Absolute change of a bin's prediction when a base is replaced, against the "
        "base's position: estimated from the gradient as a line, measured by mutations as marks; "
        "one panel per bin, one colour per model.",
    )


def attention_pattern(frame: pd.DataFrame) -> go.Figure:
    """Draw which blocks of tokens attend to which in one layer, by how many of its heads.

    Args:
        frame: one row per pair of blocks: query_block, key_block, num_heads (0 where no head sees
            it), from `scan.bigbird_heads`.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    _require(frame, "attention_pattern", ("query_block", "key_block", "num_heads"))
    heads = frame.pivot(index="query_block", columns="key_block", values="num_heads").sort_index()
    figure = _stack([""], gap_px=0, panel_px=420)
    figure.add_heatmap(
        x=heads.columns,
        y=heads.index,
        z=heads.to_numpy(np.int16),
        zmin=0,
        colorscale=[[0, "rgba(0, 0, 0, 0)"], [1, ATTENTION_COLORS["bigbird"]]],
        colorbar={"title": {"text": "heads"}, "thickness": 12},
        xgap=1,
        ygap=1,
        hovertemplate="block %{y} sees block %{x}<br>by %{z} heads<extra></extra>",
    )
    figure.update_xaxes(title_text="block that is seen (key)", showgrid=False)
    figure.update_yaxes(title_text="block that sees (query)", showgrid=False, autorange="reversed")
    return _finish(
        figure,
        frame,
        description="A square of query blocks against key blocks; the darker, the more heads of "
        "one attention layer see the key block from the query block.",
    )


def receptive_field(frame: pd.DataFrame) -> go.Figure:
    """Draw how far a change of one base reaches, one panel per position (the study's Figure 8).

    The dotted line stands at the changed base; the input is longer than the window that is
    predicted, so it may stand outside the curves. A bin that did not change at all has no place on
    a logarithmic axis: it is a dash on the lower edge.

    Args:
        frame: one row per mutation, bin and model: mutation_position_bp, bin, bin_start_bp (in the
            input), model, abs_change, as `scan.mutation_effects` gives them.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = ("mutation_position_bp", "bin", "bin_start_bp", "model", "abs_change")
    _require(frame, "receptive_field", columns)
    positions = sorted(frame["mutation_position_bp"].unique())
    titles = [f"base {position:,} changed" for position in positions]
    styles = _model_styles(frame["model"])
    figure = _stack(titles, gap_px=26, panel_px=80, shared_yaxes="all")
    lower_edge = frame.loc[frame["abs_change"] > 0, "abs_change"].min() / 2
    for row, position in enumerate(positions, start=1):
        at_position = frame[frame["mutation_position_bp"] == position]
        for model, curve in at_position.groupby("model", sort=False):
            rows = curve.sort_values("bin")
            style = styles[str(model)]
            said = f"{model}<br>base {position:,} changed<br>bin %{{customdata}} at %{{x:,}} bp: "
            shared = {
                "row": row,
                "col": 1,
                "customdata": rows["bin"].astype(np.int16),
                "x": rows["bin_start_bp"].astype(np.int32),
                **_in_legend(str(model)),
            }
            unchanged = rows["abs_change"] == 0
            figure.add_scatter(
                y=rows["abs_change"].where(~unchanged).astype(np.float32),
                mode="lines",
                line={"color": style.color, "width": 1.5, "dash": style.dash},
                hovertemplate=said + "%{y:.3g}<extra></extra>",
                **shared,
            )
            if unchanged.any():
                figure.add_scatter(
                    y=unchanged.map({True: lower_edge, False: None}),
                    mode="markers",
                    marker={"color": style.color, "symbol": "line-ew-open", "size": 5},
                    hovertemplate=said + "no change<extra></extra>",
                    **shared,
                )
        figure.add_vline(position, row=row, col=1, line=_thin(NEUTRAL_COLOR, "dot"))
    figure.update_yaxes(type="log", exponentformat="power", dtick=2, tickfont={"size": 10})
    figure.update_xaxes(
        title_text="position in the input (bp)", tickformat=",", row=len(positions), col=1
    )
    _title_shared_axis(figure, "mean absolute change of the prediction")
    return _finish(
        figure,
        frame,
        description="Mean absolute change of the prediction of each bin after one base is changed, "
        "one panel per position of the change, one line per model.",
    )


def protocol_changes(frame: pd.DataFrame) -> go.Figure:
    """Draw what each choice in the evaluation protocol changes in r (for the study's Figure 4).

    Args:
        frame: one row per protocol and track type, from `reproduction.accuracy`: choice, option,
            track_type, change (of r, from the reference), of_the_study; rows whose change is zero
            by definition, the reference's, are the line at zero. Filled marks are options that the
            study chose. Rows of `reproduction.with_reported` may be appended.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = ("choice", "option", "track_type", "change", "of_the_study")
    _require(frame, "protocol_changes", columns)
    types = _present_types(frame)
    pairs = zip(frame["choice"], frame["option"], strict=True)
    protocols = [pair for pair in dict.fromkeys(pairs) if pair[0] != "reference"]
    place_of = {pair: place for place, pair in enumerate(protocols)}
    figure = _stack([""], gap_px=0, panel_px=max(220, 46 * len(protocols)))
    for number, track_type in enumerate(types):
        color, symbol = _TRACK_TYPE_MARKERS[track_type]
        rows = frame[(frame["track_type"] == track_type) & (frame["choice"] != "reference")]
        step = 0.6 / max(1, len(types) - 1)
        places = [place_of[pair] for pair in zip(rows["choice"], rows["option"], strict=True)]
        figure.add_scatter(
            x=rows["change"],
            y=np.array(places) - 0.3 + step * number,
            mode="markers",
            marker={
                "color": color,
                "size": 9,
                "symbol": [symbol if of else f"{symbol}-open" for of in rows["of_the_study"]],
                "line": {"width": 1.5, "color": color},
            },
            **_in_legend(track_type),
            **_hover(rows),
        )
    figure.add_vline(0, line=_thin(NEUTRAL_COLOR, "dot"))
    for place in range(1, len(protocols)):
        if protocols[place][0] != protocols[place - 1][0]:
            figure.add_hline(place - 0.5, line=_thin(_FAINT_COLOR, "solid"))
    figure.update_yaxes(
        tickvals=list(range(len(protocols))),
        ticktext=[_wrap(f"{choice}: {option}", 24) for choice, option in protocols],
        range=[len(protocols) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(title_text="change in Pearson's r from the reference")
    return _finish(
        figure,
        frame,
        description="Change in Pearson's r from the reference protocol when one choice of the "
        "evaluation is changed, and when all of the study's are, by track type; filled marks are "
        "the study's choices.",
    )


def overprediction(frame: pd.DataFrame) -> go.Figure:
    """Draw how often models predict a sequence's track too high (the study says so, Figure 7).

    Args:
        frame: one row per model, track type and statistic, from `correlation.levels`: model,
            track_type, statistic (mean, median), share_above (a fraction); others are shown on
            hover. On the dotted line too high is as frequent as too low.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    _require(frame, "overprediction", ("model", "track_type", "statistic", "share_above"))
    types = _present_types(frame)
    statistics = list(dict.fromkeys(frame["statistic"]))
    titles = [f"{statistic} over the bins" for statistic in statistics]
    figure = _stack(titles, gap_px=40, panel_px=40 * len(types))
    styles = _model_styles(frame["model"])
    for row, statistic in enumerate(statistics, start=1):
        of_statistic = frame[frame["statistic"] == statistic]
        for model, rows in of_statistic.groupby("model", sort=False):
            style = styles[str(model)]
            figure.add_scatter(
                x=rows["share_above"],
                y=rows["track_type"],
                mode="markers",
                marker={"color": style.color, "size": 11, "symbol": style.symbol},
                row=row,
                col=1,
                **_in_legend(str(model)),
                **_hover(rows),
            )
        figure.add_vline(0.5, row=row, col=1, line=_thin(NEUTRAL_COLOR, "dot"))
    figure.update_yaxes(categoryorder="array", categoryarray=types[::-1])
    figure.update_xaxes(range=[-0.03, 1.03], tickformat=".0%")
    figure.update_xaxes(
        title_text="sequences and tracks predicted too high (%)", row=len(statistics), col=1
    )
    return _finish(
        figure,
        frame,
        description="Share of sequences and tracks whose predicted mean, and median, is above the "
        "experiment's, by model and track type; a dotted line stands at one half.",
    )


FIGURES: Mapping[str, Callable[[pd.DataFrame], go.Figure]] = {
    "memory": memory,
    "runtime": runtime,
    "speedups": speedups,
    "finetuning": finetuning,
    "finetuned": finetuned,
    "correlation": correlation,
    "track_profiles": track_profiles,
    "input_gradients": input_gradients,
    "attention_pattern": attention_pattern,
    "receptive_field": receptive_field,
    "protocol_changes": protocol_changes,
    "overprediction": overprediction,
}
"""Every figure by name."""


def _scaling(
    frame: pd.DataFrame, name: str, *, value: str, axis_title: str, description: str
) -> go.Figure:
    """Draw a cost against input length: a panel per `trainable`, a strip above for what is lost.

    Both axes are logarithmic: the study's lengths keep their room beside ones many times as long,
    and a line that climbs as steeply as the length doubles is linear.
    """
    cases = ("attention", "num_transformer_layers", "channels", "trainable", "device")
    _require(frame, name, (*cases, "sequence_length_bp", value, "status"))
    unknown = sorted(set(frame["attention"]) - set(ATTENTION_COLORS))
    if unknown:
        expected = ", ".join(ATTENTION_COLORS)
        raise ValueError(f"figure {name}: attention={unknown[0]!r}, expected one of {expected}")
    origin = frame["origin"].fillna(ORIGINS[0]) if "origin" in frame else ORIGINS[0]
    frame = frame.assign(origin=origin).sort_values("sequence_length_bp", kind="stable")
    series_of = [*(case for case in cases if case != "trainable"), "origin"]
    layers = sorted(frame["num_transformer_layers"].unique(), reverse=True)
    dashes = {count: _DASHES[i % len(_DASHES)] for i, count in enumerate(layers)}
    panels = list(dict.fromkeys(frame["trainable"]))
    lost_series = frame[frame[value].isna()].drop_duplicates([*series_of, "trainable"])
    marks = {name: int((lost_series["trainable"] == name).sum()) for name in panels}
    figure, places = _stack_with_strips([f"trained: {name}" for name in panels], marks.values())
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
    return _finish(figure, frame, description=description)


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
    color = ATTENTION_COLORS[series["attention"]]
    figure.add_scatter(
        x=rows["sequence_length_bp"],
        y=y,
        mode="lines+markers" if lines and series["origin"] == ORIGINS[0] else "markers",
        line={"color": color, "dash": dashes[series["num_transformer_layers"]]},
        marker=_status_marker(rows["status"], series),
        row=row,
        col=1,
        showlegend=False,  # `_add_keys` speaks for all of them
        **_in_legend(series["attention"]),
        **_hover(rows),
    )


def _status_marker(statuses: Iterable[str], series: Mapping[str, Any]) -> dict[str, Any]:
    own = ATTENTION_SYMBOLS[series["attention"]]
    measured = series["origin"] == ORIGINS[0]
    symbols = [_STATUS_SYMBOLS.get(status, own) for status in statuses]
    return {
        "color": ATTENTION_COLORS[series["attention"]],
        "size": 9 if measured else 13,
        "symbol": [_open_if(symbol, not measured) for symbol in symbols],
        "line": {"width": 2, "color": ATTENTION_COLORS[series["attention"]]},
    }


def _open_if(symbol: str, is_open: bool) -> str:
    # An asterisk is made of lines: it has no filled form.
    return f"{symbol}-open" if is_open or symbol == "asterisk" else symbol


def _add_keys(figure: go.Figure, frame: pd.DataFrame, dashes: Mapping[int, str]) -> None:
    """Say in the legend what colours, dashes and marks mean, each once, for those that occur."""
    for attention in [kind for kind in ATTENTION_COLORS if kind in set(frame["attention"])]:
        color, symbol = ATTENTION_COLORS[attention], ATTENTION_SYMBOLS[attention]
        _add_key(figure, ATTENTION_LABELS[attention], symbol, color, group=attention)
    for layers, dash in dashes.items():
        name = f"{layers} layer{'s' if layers > 1 else ''}"
        line = {"color": NEUTRAL_COLOR, "dash": dash}
        figure.add_scatter(x=[None], y=[None], mode="lines", line=line, name=name)
    for status, label in _STATUS_LABELS.items():
        if status in set(frame["status"]):
            _add_key(figure, label, _open_if(_STATUS_SYMBOLS[status], False), NEUTRAL_COLOR)
    if set(frame["origin"]) != {ORIGINS[0]}:
        _add_key(figure, "open: published", "circle-open", NEUTRAL_COLOR)


def _add_key(
    figure: go.Figure, name: str, symbol: str, color: str, group: str | None = None
) -> None:
    marker = {"symbol": symbol, "color": color, "size": 10, "line": {"width": 1.5, "color": color}}
    figure.add_scatter(
        x=[None], y=[None], mode="markers", marker=marker, name=name, legendgroup=group or name
    )


def _require(frame: pd.DataFrame, figure: str, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        present = ", ".join(map(str, frame))
        raise ValueError(
            f"figure {figure}: no column {', '.join(missing)}; the table has {present}"
        )
    if frame.empty:
        raise ValueError(f"figure {figure}: the table has no rows")


def _present_types(frame: pd.DataFrame) -> list[str]:
    present = set(frame["track_type"])
    return [name for name in TRACK_TYPES if name in present]


def _stack(titles: Sequence[str], *, gap_px: int, panel_px: int, **shared: Any) -> go.Figure:
    """Panels below each other, one x axis for all: the shape that a phone can show."""
    count = len(titles)
    inner_px = count * panel_px + (count - 1) * gap_px
    figure = make_subplots(
        rows=count, cols=1, shared_xaxes=True, vertical_spacing=gap_px / inner_px, **shared
    )
    for row, title in enumerate(titles, start=1):
        _title_panel(figure, title, row=row, col=1)
    figure.update_layout(height=inner_px + 90 + _LEGEND_HEIGHT_PX)
    return figure


def _stack_with_strips(
    titles: Sequence[str], marks: Iterable[int]
) -> tuple[go.Figure, list[tuple[int, int]]]:
    """Panels below each other; one with marks for what has no value has a strip for them above.

    Also gives the rows of each panel's strip and of the panel: the same where it has no strip,
    since Plotly would draw neither an empty subplot nor its title.
    """
    gap_px, panel_px = 26, 250
    heights_px: list[int] = []
    places = []
    for count in marks:
        heights_px += [max(44, 14 * count), panel_px] if count else [panel_px]
        places.append((len(heights_px) - bool(count), len(heights_px)))
    inner_px = sum(heights_px) + (len(heights_px) - 1) * gap_px
    figure = make_subplots(
        rows=len(heights_px),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=gap_px / inner_px,
        row_heights=heights_px,
    )
    for title, (top, main) in zip(titles, places, strict=True):
        _title_panel(figure, title, row=top, col=1)
        if top != main:
            _turn_into_strip(figure, top)
    figure.update_layout(height=inner_px + 90 + _LEGEND_HEIGHT_PX)
    return figure, places


def _turn_into_strip(figure: go.Figure, row: int) -> None:
    figure.update_yaxes(tickvals=[], zeroline=False, showgrid=False, row=row, col=1)
    figure.update_xaxes(ticks="", row=row, col=1)
    figure.add_shape(
        type="rect",
        xref="x domain",
        yref="y domain",
        x0=0,
        x1=1,
        y0=0,
        y1=1,
        line={"width": 0},
        fillcolor=_FAINT_COLOR,
        opacity=0.5,
        layer="below",
        row=row,
        col=1,
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


def _grid(
    titles: Sequence[str], *, panel_px: int, title_lines: int = 1, **shared: Any
) -> tuple[go.Figure, list[tuple[int, int]]]:
    """Panels two by two, and the row and column of each."""
    columns = min(2, len(titles))
    places = [(1 + index // columns, 1 + index % columns) for index in range(len(titles))]
    rows = places[-1][0]
    title_px = 18 * title_lines
    gap_px = 30 + title_px
    inner_px = rows * panel_px + (rows - 1) * gap_px
    figure = make_subplots(
        rows=rows,
        cols=columns,
        specs=[
            [{} if (row + 1, col + 1) in places else None for col in range(columns)]
            for row in range(rows)
        ],
        horizontal_spacing=0.09,
        vertical_spacing=gap_px / inner_px if rows > 1 else 0,
        **shared,
    )
    for title, (row, col) in zip(titles, places, strict=True):
        _title_panel(figure, title, row=row, col=col)
    height = inner_px + title_px + 60 + _LEGEND_HEIGHT_PX
    figure.update_layout(height=height, margin={"t": title_px + 12})
    return figure, places


def _title_panel(figure: go.Figure, title: str, *, row: int, col: int) -> None:
    figure.add_annotation(
        text=title,
        xref="x domain",
        yref="y domain",
        x=0,
        y=1,
        xanchor="left",
        yanchor="bottom",
        align="left",
        showarrow=False,
        row=row,
        col=col,
    )


def _title_axes(figure: go.Figure, places: Sequence[tuple[int, int]], *, x: str, y: str) -> None:
    for row, col in places:
        if (row + 1, col) not in places:
            figure.update_xaxes(title_text=x, showticklabels=True, row=row, col=col)
        if col == 1:
            figure.update_yaxes(title_text=y, row=row, col=col)


def _title_shared_axis(figure: go.Figure, title: str) -> None:
    """Write one title beside a whole stack of panels."""
    figure.add_annotation(
        text=title,
        xref="paper",
        yref="paper",
        x=0,
        y=0.5,
        xanchor="right",
        yanchor="middle",
        xshift=-46,
        textangle=-90,
        showarrow=False,
    )
    figure.update_layout(margin={"l": 68})


def _hover(rows: pd.DataFrame) -> dict[str, Any]:
    """Show the whole row of a mark, missing values left out."""
    texts = [
        "<br>".join(f"{name}: {_shown(value)}" for name, value in row.items() if not pd.isna(value))
        for row in rows.to_dict("records")
    ]
    return {"hovertext": texts, "hovertemplate": "%{hovertext}<extra></extra>"}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return _wrap(str(value), 60)


def _in_legend(name: str) -> dict[str, Any]:
    return {"name": name, "legendgroup": name}


def _name_once(figure: go.Figure) -> None:
    named: set[str] = set()
    for trace in figure.data:
        if trace.showlegend is None and trace.name:
            trace.showlegend = trace.name not in named
            named.add(trace.name)


def _r_text(r: float) -> str:
    return "r needs more sequences" if np.isnan(r) else f"r = {r:.3f}"


class _Style(NamedTuple):
    color: str
    symbol: str
    dash: str


def _model_styles(models: Iterable[str]) -> dict[str, _Style]:
    styles: dict[str, _Style] = {}
    used: Counter[str] = Counter()
    for model in dict.fromkeys(models):
        name = max((n for n in MODEL_ATTENTION if model.startswith(n)), key=len, default="")
        attention = MODEL_ATTENTION.get(name, "")
        turn = used[attention]
        used[attention] += 1
        styles[model] = _Style(
            color=ATTENTION_COLORS.get(attention, NEUTRAL_COLOR),
            symbol=ATTENTION_SYMBOLS.get(attention, "star") + _VARIANTS[turn % len(_VARIANTS)],
            dash=_DASHES[turn % len(_DASHES)],
        )
    return styles


def _thin(color: str, dash: str) -> dict[str, Any]:
    return {"color": color, "width": 1, "dash": dash}


def _wrap(text: str, width: int) -> str:
    return "<br>".join(textwrap.wrap(text, width)) or text


def _shorten(text: str, width: int = 52) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _finish(figure: go.Figure, frame: pd.DataFrame, *, description: str) -> go.Figure:
    meta = {"description": description}
    if "provenance" in frame.attrs:
        meta["caption"] = results.caption_of(frame)
    _name_once(figure)
    figure.update_layout(template=TEMPLATE, meta=meta)
    return figure
