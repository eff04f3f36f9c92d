"""How accurate ablations are, and how accuracy depends on the attention that they remove."""

from __future__ import annotations

import itertools

import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import KINDS
from senformer.report.figures import builders as draw
from senformer.report.figures.style import NEUTRAL_COLOR, Look

_R = ("pearson_r", "pearson_r_low", "pearson_r_high")
_DROP = ("pearson_r_drop", "pearson_r_drop_low", "pearson_r_drop_high")
_PATTERN_SYMBOLS = (
    *("circle", "square", "diamond", "triangle-up", "triangle-down", "star"),
    *("circle-open", "square-open", "diamond-open"),
)


@draw.figure("model", "compared_with", "when", "measure", *_R)
def accuracy_of_ablations(frame: pd.DataFrame) -> go.Figure:
    """Draw the accuracy of ablations, one panel per measure.

    Pearson's r of each model before and after its attention is trained, one row per change of the
    attention, one panel per measure, with 95 % intervals.

    The figure divides the drop in the study's Figure 5a into steps. If every model is an ablation
    of the model before it, the rows are joined and read as a staircase.

    Args:
        frame: One row per model, moment and measure, from `accuracy_drops`: model, compared_with,
            when (before, after), measure, pearson_r and its 95 % interval, pearson_r_low and
            pearson_r_high.
    """
    origin = frame.drop_duplicates("model").set_index("model")["compared_with"]
    is_path = list(origin.iloc[1:]) == list(origin.index[:-1])
    mode = "lines+markers" if is_path else "markers"
    looks = {
        "before": Look("before training", NEUTRAL_COLOR, "circle-open", width=1, mode=mode),
        "after": Look("after training", KINDS["bigbird"].color, "diamond", width=1, mode=mode),
    }
    measures = list(dict.fromkeys(frame["measure"]))[::-1]  # measures of regulation first
    fig = draw.dots(
        draw.panels_by(frame, "measure", _R, order=measures),
        draw.Series("when", looks),
        draw.Categories(
            "model", {name: draw.wrap(name, 26) for name in dict.fromkeys(frame["model"])}
        ),
        row_px=30,
        gap_px=44,
    )
    fig.update_traces(line_shape="vh")
    fig.update_yaxes(tickfont={"size": 11})
    fig.update_xaxes(showticklabels=True, matches=None)
    draw.title_stack_axes(fig, x="Pearson's r")
    return fig


@draw.figure("model", "share_lost", "measure", *_DROP)
def drop_by_attention_lost(frame: pd.DataFrame) -> go.Figure:
    """Draw the accuracy drop of patterns against the attention that they remove.

    How much of Enformer's r each pattern loses before any training, against the share of its
    attention that the pattern takes away, one panel per measure.

    Args:
        frame: One row per pattern and measure: model and share_lost, from
            `attention_shares.attention_lost`, and measure and pearson_r_drop with its
            95 % interval, from `accuracy_drops`.
    """
    models = frame.sort_values("share_lost")["model"].unique()
    looks = {
        model: Look(model, KINDS["bigbird_relative"].color, symbol, size=10, mode="markers")
        for model, symbol in zip(models, itertools.cycle(_PATTERN_SYMBOLS), strict=False)
    }
    panels = draw.panels_by(frame, "measure", _DROP)
    fig = draw.lines(panels, draw.Series("model", looks), "share_lost", panel_px=230)
    fig.update_xaxes(tickformat=".0%")
    draw.title_stack_axes(fig, x="share of the trained attention taken away", y="drop in r")
    return fig
