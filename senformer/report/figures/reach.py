"""What a prediction depends on: bases by mutation and by gradient, blocks that see each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import attention_kind
from senformer.config import BIN_SIZE_BP
from senformer.report.figures.panels import (
    figure_of,
    finish,
    hover,
    in_legend,
    plain,
    require_columns,
    stack_panels,
    title_shared_axis,
)
from senformer.report.figures.style import (
    FAINT_COLOR,
    NEUTRAL_COLOR,
    ModelStyle,
    model_styles,
    thin_line,
)


@figure_of
def receptive_field(frame: pd.DataFrame, *, block_bp: int | None = None) -> go.Figure:
    """Draw how far a change of one base reaches, one panel per position (the study's Figure 8).

    `notebooks/receptive_field` draws it. The dotted line stands at the changed base; the input is
    longer than the window that is predicted, so it may stand outside the curves. A bin that did not
    change at all has no place on a logarithmic axis: it is a dash on the lower edge.

    Args:
        frame: one row per mutation, bin and model: mutation_position_bp, bin, bin_start_bp (in the
            input), model, abs_change, as `scan.mutation_effects` gives them.
        block_bp: where the curves step at the edges of blocks of tokens: bases of a block, for a
            line at each edge.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = ("mutation_position_bp", "bin", "bin_start_bp", "model", "abs_change")
    require_columns(frame, "receptive_field", columns)
    positions = sorted(frame["mutation_position_bp"].unique())
    titles = [f"base {position:,} changed" for position in positions]
    styles = model_styles(frame["model"])
    figure = stack_panels(titles, gap_px=26, panel_px=80, shared_yaxes="all")
    lower_edge = frame.loc[frame["abs_change"] > 0, "abs_change"].min() / 2
    for row, position in enumerate(positions, start=1):
        at_position = frame[frame["mutation_position_bp"] == position]
        for model, curve in at_position.groupby("model", sort=False):
            rows = curve.sort_values("bin")
            style = styles[str(model)]
            said = (
                f"{plain(str(model))}<br>base {position:,} changed<br>"
                "bin %{customdata} at %{x:,} bp: "
            )
            shared = {
                "row": row,
                "col": 1,
                "customdata": rows["bin"].astype(np.int16),
                "x": rows["bin_start_bp"].astype(np.int32),
                **in_legend(str(model)),
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
        figure.add_vline(position, row=row, col=1, line=thin_line(NEUTRAL_COLOR, "dot"))
    figure.update_yaxes(type="log", exponentformat="power", dtick=2, tickfont={"size": 10})
    figure.update_xaxes(
        title_text="position in the input (bp)", tickformat=",", row=len(positions), col=1
    )
    if block_bp:
        edges = {"tick0": 0, "dtick": block_bp, "showgrid": True, "gridcolor": FAINT_COLOR}
        figure.update_xaxes(minor=edges, showgrid=False)
    title_shared_axis(figure, "mean absolute change of the prediction")
    return finish(
        figure,
        frame,
        description="Mean absolute change of the prediction of each bin after one base is changed, "
        "one panel per position of the change, one line per model.",
    )


@figure_of
def effect_by_position(frame: pd.DataFrame) -> go.Figure:
    """Draw how much a base moves a prediction, by where in the input it stands.

    It sums the study's Figure 8 up; `notebooks/receptive_field` draws it.

    Args:
        frame: one row per position, from `curves.effect_by_position`: mutation_position_bp,
            enformer_abs_change, senformer_abs_change (means over the bins); others are shown on
            hover.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    models = {"Enformer": "enformer_abs_change", "S-Enformer": "senformer_abs_change"}
    require_columns(frame, "effect_by_position", ("mutation_position_bp", *models.values()))
    figure = stack_panels([""], gap_px=0, panel_px=260)
    styles = model_styles(models)
    for model, column in models.items():
        _add_by_position(figure, frame, column, model, styles[model])
    figure.update_yaxes(
        type="log", exponentformat="power", dtick=1, title_text="mean absolute change of all bins"
    )
    return finish(
        figure,
        frame,
        description="Mean absolute change of the prediction over all bins against the position of "
        "the base that was changed, one line per model.",
    )


@figure_of
def share_reached(frame: pd.DataFrame) -> go.Figure:
    """Draw how many bins a change of one base reaches, by where the base stands.

    It counts what the study's Figure 8 shows; `notebooks/receptive_field` draws it.

    Args:
        frame: one row per position and line: mutation_position_bp, line (what the legend says),
            share (of the predicted bins, a fraction).

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    require_columns(frame, "share_reached", ("mutation_position_bp", "line", "share"))
    figure = stack_panels([""], gap_px=0, panel_px=220)
    styles = model_styles(frame["line"])
    for line, rows in frame.groupby("line", sort=False):
        _add_by_position(figure, rows, "share", str(line), styles[str(line)])
    figure.update_yaxes(tickformat=".0%", range=[-0.05, 1.08], title_text="share of the bins")
    return finish(
        figure,
        frame,
        description="Share of the predicted bins that a change of one base reaches, against the "
        "position of the base, one line per model.",
    )


@figure_of
def input_gradients(frame: pd.DataFrame) -> go.Figure:
    """Draw which bases a bin depends on, by its gradient and by mutations, one panel per bin.

    It goes on from the study's Figure 8; `notebooks/receptive_field` draws it.

    Args:
        frame: one row per bin, model, method and position: bin, bin_start_bp (in the input), model,
            method ("gradient", a curve, or "mutation", marks), position_bp, abs_change_of_mean (of
            the mean over tracks, when a base there is replaced).

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = ("bin", "bin_start_bp", "model", "method", "position_bp", "abs_change_of_mean")
    require_columns(frame, "input_gradients", columns)
    bins = frame.drop_duplicates("bin").sort_values("bin")
    titles = [f"bin {number:,}" for number in bins["bin"]]
    styles = model_styles(frame["model"])
    figure = stack_panels(titles, gap_px=30, panel_px=130, shared_yaxes="all")
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
                hovertemplate=f"{plain(f'{model}, {method}')}<br>bin {of_bin['bin']:,}<br>"
                "base %{x:,}: %{y:.3g}<extra></extra>",
                row=row,
                col=1,
                **in_legend(f"{model}, {method}"),
            )
        middle = of_bin["bin_start_bp"] + BIN_SIZE_BP / 2
        figure.add_vline(middle, row=row, col=1, line=thin_line(NEUTRAL_COLOR, "dot"))
    figure.update_yaxes(type="log", exponentformat="power", dtick=2, tickfont={"size": 10})
    figure.update_xaxes(
        title_text="position of the base in the input (bp)",
        tickformat=",",
        row=len(bins),
        col=1,
    )
    title_shared_axis(figure, "absolute change of the mean over tracks")
    return finish(
        figure,
        frame,
        description="Absolute change of a bin's prediction when a base is replaced, against the "
        "base's position: estimated from the gradient as a line, measured by mutations as marks; "
        "one panel per bin, one colour per model.",
    )


@figure_of
def attention_pattern(frame: pd.DataFrame) -> go.Figure:
    """Draw which blocks of tokens attend to which in one layer, by how many of its heads.

    It explains the steps in the study's Figure 8; `notebooks/receptive_field` draws it.

    Args:
        frame: one row per pair of blocks: query_block, key_block, num_heads (0 where no head sees
            it), from `scan.bigbird_heads`.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    require_columns(frame, "attention_pattern", ("query_block", "key_block", "num_heads"))
    heads = frame.pivot(index="query_block", columns="key_block", values="num_heads").sort_index()
    figure = stack_panels([""], gap_px=0, panel_px=420)
    figure.add_heatmap(
        x=heads.columns,
        y=heads.index,
        z=heads.to_numpy(np.int16),
        zmin=0,
        colorscale=[[0, "rgba(0, 0, 0, 0)"], [1, attention_kind("bigbird").color]],
        colorbar={"title": {"text": "heads"}, "thickness": 12},
        xgap=1,
        ygap=1,
        hovertemplate="block %{y} sees block %{x}<br>by %{z} heads<extra></extra>",
    )
    figure.update_xaxes(title_text="block that is seen (key)", showgrid=False)
    figure.update_yaxes(title_text="block that sees (query)", showgrid=False, autorange="reversed")
    return finish(
        figure,
        frame,
        description="A square of query blocks against key blocks; the darker, the more heads of "
        "one attention layer see the key block from the query block.",
    )


def _add_by_position(
    figure: go.Figure, rows: pd.DataFrame, value: str, name: str, style: ModelStyle
) -> None:
    rows = rows.sort_values("mutation_position_bp")
    figure.add_scatter(
        x=rows["mutation_position_bp"],
        y=rows[value],
        mode="lines+markers",
        line={"color": style.color, "width": 2, "dash": style.dash},
        marker={"color": style.color, "symbol": style.symbol, "size": 9},
        **in_legend(name),
        **hover(rows),
    )
    figure.update_xaxes(title_text="position of the changed base (bp)", tickformat=",", nticks=5)
