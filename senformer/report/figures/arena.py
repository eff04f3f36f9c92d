"""Speed and memory of efficient transformers by length, as the Long-Range Arena measured them."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import attention_kind
from senformer.report.figures import builders as draw
from senformer.report.figures.style import DASHES, Look

_KINDS_IN_COLOUR = {
    "Transformer": "dense",
    "BigBird": "bigbird",
    "Performer": "performer",
    "Reformer": "reformer",
}
_GREY_SYMBOLS = {
    "Local": "cross",
    "Linformer": "x",
    "Sinkhorn": "star",
    "Synthesizer": "hexagon",
    "Linear": "triangle-down",
}

MODEL_LOOKS = {
    model: Look(model, attention_kind(kind).color, attention_kind(kind).symbol, size=10, width=2.5)
    for model, kind in _KINDS_IN_COLOUR.items()
} | {
    model: Look(model, symbol=symbol, dash=dash, size=7, width=1)
    for (model, symbol), dash in zip(_GREY_SYMBOLS.items(), DASHES, strict=False)
}
"""Looks of the Arena's models: the models that the study discusses are in colour."""

_SPEED, _MEMORY = "speed_over_transformer", "memory_over_transformer"


@draw.figure("model", "tokens", _SPEED, _MEMORY)
def speed_and_memory(frame: pd.DataFrame) -> go.Figure:
    """Draw speed and memory, divided by those of the full Transformer, against length.

    Training speed and peak memory of eight efficient transformers over those of the full
    Transformer, against input length in tokens, one line per model; the Transformer is the level
    line at one.

    Args:
        frame: One row per model and length, from `long_range_arena`: model (a key of
            `MODEL_LOOKS`), tokens, speed_over_transformer, memory_over_transformer.
    """
    in_colour_last = sorted(MODEL_LOOKS, key=lambda model: MODEL_LOOKS[model].width)
    fig = draw.lines(
        [
            draw.Panel("speed over the Transformer's (times)", frame, [_SPEED]),
            draw.Panel("memory over the Transformer's (times)", frame, [_MEMORY]),
        ],
        draw.Series("model", {model: MODEL_LOOKS[model] for model in in_colour_last}),
        "tokens",
        panel_px=250,
    )
    for rank, model in enumerate(MODEL_LOOKS):
        fig.update_traces(legendrank=rank, selector={"legendgroup": model})
    fig.update_yaxes(type="log", tickvals=(0.5, 1, 2, 5), row=1, col=1)
    fig.update_yaxes(type="log", tickvals=(0.1, 0.2, 0.5, 1), row=2, col=1)
    fig.update_xaxes(type="log", tickvals=sorted(frame["tokens"].unique()), tickformat=",")
    draw.title_stack_axes(fig, x="input length (tokens)")
    return fig
