"""What a prediction depends on: bases, by mutation and by gradient, and blocks of tokens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import attention_kind
from senformer.config import BIN_SIZE_BP
from senformer.report.figures import builders as draw
from senformer.report.figures.style import FAINT_COLOR, NEUTRAL_COLOR, model_looks, thin_line


@draw.study_figure(
    8, "how far a change of one base reaches", "receptive_field", "receptive_field.csv"
)
@draw.figure("mutation_position_bp", "bin", "bin_start_bp", "model", "abs_change")
def receptive_field(frame: pd.DataFrame, *, block_bp: int | None = None) -> go.Figure:
    """Draw how far a change of one base reaches, one panel per position (the study's Figure 8).

    Mean absolute change of the prediction of each bin after one base is changed, one panel per
    position of the change, one line per model.

    The dotted line marks the changed base. It can be outside the curves, because the input is
    longer than the predicted window. A bin that did not change at all, which a logarithmic axis
    cannot show, is a dash on the lower edge.

    Args:
        frame: One row per mutation, bin and model, from `scan.mutation_effects`:
            mutation_position_bp, bin, bin_start_bp (in the input), model, abs_change.
        block_bp: Length of a block of tokens in bases; draws a line at each edge of a block.
    """
    positions = sorted(frame["mutation_position_bp"].unique())
    titles = [f"base {position:,} changed" for position in positions]
    fig = draw.stack_panels(titles, gap_px=26, panel_px=80, shared_yaxes="all")
    lower_edge = frame.loc[frame["abs_change"] > 0, "abs_change"].min() / 2
    for row, (position, title) in enumerate(zip(positions, titles, strict=True), start=1):
        at_position = frame[frame["mutation_position_bp"] == position]
        for model, look in model_looks(frame["model"], width=1.5, mode="lines").items():
            rows = at_position[at_position["model"] == model].sort_values("bin")
            if rows.empty:
                continue
            is_same = rows["abs_change"] == 0
            dash = look._replace(symbol="line-ew-open", size=5, mode="markers")
            parts = [(look, rows["abs_change"].where(~is_same).astype(np.float32), "%{y:.3g}")]
            if is_same.any():
                parts.append((dash, is_same.map({True: lower_edge, False: None}), "no change"))
            for part_look, y, effect in parts:
                draw.add_series(
                    fig,
                    rows,
                    part_look,
                    place=(row, 1),
                    customdata=rows["bin"].astype(np.int16),
                    x=rows["bin_start_bp"].astype(np.int32),
                    y=y,
                    hovertemplate=f"{draw.plain(str(model))}<br>{title}<br>"
                    f"bin %{{customdata}} at %{{x:,}} bp: {effect}<extra></extra>",
                )
        fig.add_vline(position, row=row, col=1, line=thin_line(NEUTRAL_COLOR, "dot"))
    fig.update_yaxes(type="log", exponentformat="power", dtick=2, tickfont={"size": 10})
    if block_bp:
        edges = {"tick0": 0, "dtick": block_bp, "showgrid": True, "gridcolor": FAINT_COLOR}
        fig.update_xaxes(minor=edges, showgrid=False)
    fig.update_xaxes(tickformat=",", row=len(positions), col=1)
    draw.title_stack_axes(
        fig, x="position in the input (bp)", y="mean absolute change of the prediction"
    )
    return fig


@draw.figure("mutation_position_bp", "enformer_abs_change", "senformer_abs_change")
def effect_by_position(frame: pd.DataFrame) -> go.Figure:
    """Draw how much a base changes a prediction, by its position (summary of the study's Figure 8).

    Mean absolute change of the prediction over all bins against the position of the base that was
    changed, one line per model.

    Args:
        frame: One row per position, from `curves.effect_by_position`: mutation_position_bp,
            enformer_abs_change, senformer_abs_change (means over the bins).
    """
    models = {"Enformer": "enformer_abs_change", "S-Enformer": "senformer_abs_change"}
    fig = draw.stack_panels([""], panel_px=260)
    rows = frame.sort_values("mutation_position_bp")
    for model, look in model_looks(models).items():
        draw.add_series(fig, rows, look, x=rows["mutation_position_bp"], y=rows[models[model]])
    fig.update_yaxes(type="log", exponentformat="power", dtick=1)
    fig.update_yaxes(title_text="mean absolute change of all bins")
    fig.update_xaxes(title_text="position of the changed base (bp)", tickformat=",", nticks=5)
    return fig


@draw.figure("mutation_position_bp", "line", "share")
def share_reached(frame: pd.DataFrame) -> go.Figure:
    """Draw the share of bins that a change of one base reaches, by the position of the base.

    Share of the predicted bins that a change of one base reaches, against the position of the base,
    one line per model.

    Args:
        frame: One row per position and line: mutation_position_bp, line (label in the legend),
            share (of the predicted bins, a fraction).
    """
    series = draw.Series("line", model_looks(frame["line"]))
    fig = draw.lines(
        [draw.Panel("", frame, ["share"])], series, "mutation_position_bp", panel_px=220
    )
    fig.update_yaxes(tickformat=".0%", range=[-0.05, 1.08], title_text="share of the bins")
    fig.update_xaxes(title_text="position of the changed base (bp)", tickformat=",", nticks=5)
    return fig


@draw.figure("bin", "bin_start_bp", "model", "method", "position_bp", "abs_change_of_mean")
def input_gradients(frame: pd.DataFrame) -> go.Figure:
    """Draw which bases a bin depends on, by its gradient and by mutations, one panel per bin.

    Absolute change of a bin's prediction when a base is replaced, against the base's position:
    estimated from the gradient as a line, measured by mutations as marks; one panel per bin, one
    colour per model.

    Args:
        frame: One row per bin, model, method and position: bin, bin_start_bp (in the input), model,
            method ("gradient", drawn as a curve, or "mutation", drawn as marks), position_bp,
            abs_change_of_mean (change of the mean over tracks when the base there is replaced).
    """
    bins = frame.drop_duplicates("bin").sort_values("bin")
    titles = [f"bin {number:,}" for number in bins["bin"]]
    fig = draw.stack_panels(titles, gap_px=30, panel_px=130, shared_yaxes="all")
    looks = model_looks(frame["model"], width=1.2)
    numbers = zip(bins["bin"], bins["bin_start_bp"], titles, strict=True)
    for row, (number, start_bp, title) in enumerate(numbers, start=1):
        at_bin = frame[frame["bin"] == number]
        for (model, method), rows in at_bin.groupby(["model", "method"], sort=False):
            rows = rows.sort_values("position_bp")
            label = f"{model}, {method}"
            change = rows["abs_change_of_mean"].astype(np.float32)
            draw.add_series(
                fig,
                rows,
                looks[str(model)]._replace(
                    label=label, mode="lines" if method == "gradient" else "markers"
                ),
                place=(row, 1),
                x=rows["position_bp"].astype(np.int32),
                y=change.where(change > 0),
                hovertemplate=f"{draw.plain(label)}<br>{title}<br>base %{{x:,}}: "
                "%{y:.3g}<extra></extra>",
            )
        middle_bp = start_bp + BIN_SIZE_BP / 2
        fig.add_vline(middle_bp, row=row, col=1, line=thin_line(NEUTRAL_COLOR, "dot"))
    fig.update_yaxes(type="log", exponentformat="power", dtick=2, tickfont={"size": 10})
    fig.update_xaxes(tickformat=",", row=len(bins), col=1)
    draw.title_stack_axes(
        fig, x="position of the base in the input (bp)", y="absolute change of the mean over tracks"
    )
    return fig


@draw.figure("query_block", "key_block", "num_heads")
def attention_pattern(frame: pd.DataFrame) -> go.Figure:
    """Draw how many heads of a layer let each query block attend to each key block.

    A square of query blocks against key blocks; the darker, the more heads of one attention layer
    see the key block from the query block.

    The pattern explains the steps in the study's Figure 8.

    Args:
        frame: One row per pair of blocks, from `pattern`: query_block, key_block, num_heads (0 if
            no head attends).
    """
    heads = frame.pivot(index="query_block", columns="key_block", values="num_heads").sort_index()
    fig = draw.stack_panels([""], panel_px=420)
    fig.add_heatmap(
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
    fig.update_xaxes(title_text="block that is seen (key)", showgrid=False)
    fig.update_yaxes(title_text="block that sees (query)", showgrid=False, autorange="reversed")
    return fig
