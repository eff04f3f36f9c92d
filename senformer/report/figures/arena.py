"""Speed and memory of efficient transformers by length, as the Long-Range Arena measured them."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import attention_kind
from senformer.report.figures.panels import (
    figure_of,
    finish,
    hover,
    in_legend,
    require_columns,
    stack_panels,
)
from senformer.report.figures.style import DASHES, NEUTRAL_COLOR, Mark

_KINDS = {
    "Transformer": attention_kind("dense"),
    "BigBird": attention_kind("bigbird"),
    "Performer": attention_kind("performer"),
    "Reformer": attention_kind("reformer"),
}

MODEL_MARKS = {
    **{model: Mark(kind.color, kind.symbol) for model, kind in _KINDS.items()},
    "Local": Mark(NEUTRAL_COLOR, "cross"),
    "Linformer": Mark(NEUTRAL_COLOR, "x"),
    "Sinkhorn": Mark(NEUTRAL_COLOR, "star"),
    "Synthesizer": Mark(NEUTRAL_COLOR, "hexagon"),
    "Linear": Mark(NEUTRAL_COLOR, "triangle-down"),
}
"""How the Arena's models are drawn: in colour those that the study speaks of."""

_PANELS = {
    "speed_over_transformer": ("speed over the Transformer's (times)", (0.5, 1, 2, 5)),
    "memory_over_transformer": ("memory over the Transformer's (times)", (0.1, 0.2, 0.5, 1)),
}


@figure_of
def speed_and_memory(frame: pd.DataFrame) -> go.Figure:
    """Draw speed and memory over the full transformer's against length; `notebooks/runtime`.

    Args:
        frame: one row per model and length, from `published_arena.read_long_range_arena`: model
            (one of `MODEL_MARKS`), tokens, speed_over_transformer, memory_over_transformer; others
            are shown on hover.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    require_columns(frame, "speed_and_memory", ("model", "tokens", *_PANELS))
    titles = [title for title, _ in _PANELS.values()]
    figure = stack_panels(titles, gap_px=34, panel_px=250)
    present = [model for model in MODEL_MARKS if model in set(frame["model"])]
    grey = [model for model in present if MODEL_MARKS[model].color == NEUTRAL_COLOR]
    for row, (column, (_, ticks)) in enumerate(_PANELS.items(), start=1):
        # The coloured ones last, so that no grey line lies over them.
        for model in sorted(present, key=lambda model: model not in grey):
            rows = frame[frame["model"] == model].sort_values("tokens")
            color, symbol = MODEL_MARKS[model]
            dash = DASHES[grey.index(model)] if model in grey else "solid"
            figure.add_scatter(
                x=rows["tokens"],
                y=rows[column],
                mode="lines+markers",
                line={"color": color, "dash": dash, "width": 1 if model in grey else 2.5},
                marker={"color": color, "symbol": symbol, "size": 7 if model in grey else 10},
                legendrank=present.index(model),
                row=row,
                col=1,
                **in_legend(model),
                **hover(rows),
            )
        figure.update_yaxes(type="log", tickvals=ticks, row=row, col=1)
    lengths = sorted(frame["tokens"].unique())
    figure.update_xaxes(type="log", tickvals=lengths, tickformat=",")
    figure.update_xaxes(title_text="input length (tokens)", row=len(_PANELS), col=1)
    return finish(
        figure,
        frame,
        description="Training speed and peak memory of eight efficient transformers over those of "
        "the full Transformer, against input length in tokens, one line per model; the Transformer "
        "is the level line at one.",
    )
