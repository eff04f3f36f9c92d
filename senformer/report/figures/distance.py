"""What a longer input improves, and how far away the bases are that a prediction depends on."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import KINDS
from senformer.report.figures import builders as draw
from senformer.report.figures.style import Look, kind_looks
from senformer.report.row_labels import CEILING, NO_ENHANCER

_R = ("pearson_r", "pearson_r_low", "pearson_r_high")
_SHARE_USED = ("share_used", "share_low", "share_high")

_BOUNDS = {
    CEILING: Look("best possible", symbol="line-ew-open", dash="dash", width=1.5),
    NO_ENHANCER: Look("best without any enhancer", dash="dot", width=1, mode="lines"),
}


@draw.figure("attention", "sequence_length_bp", "measure", *_R)
def accuracy_by_length(frame: pd.DataFrame) -> go.Figure:
    """Draw how accuracy grows with the length of the input.

    Pearson's r by length of the input, one panel per measure, one line per kind of attention,
    with the best possible prediction for the length and the best without any enhancer.

    The study's Figures 1 and 2 show how long an input can be; this figure shows what the length is
    worth, which the study does not test.

    Args:
        frame: One row per attention, length and measure, from `input_length`: attention (a key of
            `KINDS`, `CEILING` or `NO_ENHANCER`), sequence_length_bp (0 for `NO_ENHANCER`), measure,
            pearson_r and its 95 % interval, pearson_r_low and pearson_r_high.

    Raises:
        ValueError: If a kind of attention is unknown.
    """
    without = frame["attention"] == NO_ENHANCER
    lengths_bp = sorted(frame.loc[~without, "sequence_length_bp"].unique())
    ends = pd.DataFrame({"sequence_length_bp": [lengths_bp[0], lengths_bp[-1]]})
    level = frame[without].drop(columns="sequence_length_bp").merge(ends, how="cross")
    shown = pd.concat([frame[~without], level[frame.columns]])
    panels = draw.panels_by(shown, "measure", _R, order=dict.fromkeys(frame["measure"]))
    series = draw.Series("attention", _attention_looks(frame))
    fig = draw.lines(panels, series, "sequence_length_bp", panel_px=200)
    fig.update_xaxes(type="log", tickvals=lengths_bp, tickformat=",")
    draw.title_stack_axes(fig, x="length of the input (bp)", y="Pearson's r")
    return fig


@draw.figure("attention", "sequence_length_bp", "nearest_bp", "farthest_bp", *_SHARE_USED)
def use_by_distance(frame: pd.DataFrame) -> go.Figure:
    """Draw how much of the enhancers' effect predictions use, by distance from the promoter.

    Share of what enhancers do to promoters that shows in the predictions, by the distance between
    the two, one panel per length of the input, one line per kind of attention and one for what the
    input holds.

    The study's Figure 8 shows which bases can affect a prediction; this figure shows how much of
    the true effect is used.

    Args:
        frame: One row per attention, length and band of distance, from `enhancer_distance`:
            attention, sequence_length_bp, nearest_bp, farthest_bp, share_used and its 95 %
            interval, share_low and share_high.

    Raises:
        ValueError: If a kind of attention is unknown.
    """
    frame = frame[frame["sequence_length_bp"] > 0]
    lengths_bp = sorted(frame["sequence_length_bp"].unique())
    panels = draw.panels_by(
        frame, "sequence_length_bp", _SHARE_USED, "input of {:,} bp".format, order=lengths_bp
    )
    fig = draw.bands(panels, draw.Series("attention", _attention_looks(frame)), panel_px=150)
    draw.title_stack_axes(
        fig,
        x="from enhancer to promoter (thousand bp)",
        y="share of the enhancers' effect that is used",
    )
    return fig


@draw.figure(
    *("layer", "head", "nearest_bp", "farthest_bp"),
    *("share_of_attention", "share_kept", "share_kept_by_chance"),
)
def attention_kept(frame: pd.DataFrame) -> go.Figure:
    """Draw how much of a trained model's attention a sparse pattern keeps.

    Share of each head's attention that falls on keys which the sparse pattern keeps, by distance
    between query and key, one panel per layer, with the share of keys that is kept.

    Each panel is a layer and each mark a head in a band of distance. The line is what the pattern
    would keep by chance.

    Args:
        frame: One row per layer, head and band, from `attention_shares.attention_kept`: layer,
            head, nearest_bp, farthest_bp, share_of_attention, share_kept, share_kept_by_chance.
    """
    kept = Look(
        "kept of a head's attention (size: how much of it falls there)",
        KINDS["bigbird_relative"].color,
        "circle-open",
        mode="markers",
    )
    chance = Look("kept by chance", dash="dash", width=1, mode="lines")
    layers = sorted(frame["layer"].unique())
    titles = [f"layer {layer + 1}" for layer in layers]
    fig = draw.stack_panels(titles, gap_px=30, panel_px=140, shared_yaxes="all")
    for row, layer in enumerate(layers, start=1):
        rows = frame[frame["layer"] == layer]
        x = draw.band_labels(rows)
        sizes = 6 + 24 * rows["share_of_attention"] ** 0.5
        draw.add_series(
            fig, rows, kept, place=(row, 1), x=x, y=rows["share_kept"], marker_size=sizes
        )
        draw.add_series(
            fig,
            rows,
            chance,
            place=(row, 1),
            x=list(dict.fromkeys(x)),
            y=rows.groupby("nearest_bp", sort=False)["share_kept_by_chance"].mean(),
            hovertemplate="%{y:.1%} of the keys<extra></extra>",
        )
    fig.update_yaxes(tickformat=".0%", range=[-0.1, 1.15])
    draw.title_stack_axes(fig, x="from query to key (thousand bp)", y="attention kept")
    return fig


def _attention_looks(frame: pd.DataFrame) -> dict[str, Look]:
    present = list(dict.fromkeys(frame["attention"]))
    kinds = kind_looks(name for name in present if name not in _BOUNDS)
    return {name: (_BOUNDS | kinds)[name] for name in present}
