"""What a change of the attention costs, what a longer input buys, and from how far it is taken."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import KINDS, attention_kind
from senformer.report.figures.panels import (
    figure_of,
    finish,
    hover,
    in_legend,
    require_columns,
    stack_panels,
    title_shared_axis,
    whiskers,
    wrap,
)
from senformer.report.figures.style import NEUTRAL_COLOR, thin_line

NO_ENHANCER = "no enhancer"
"""What a table by length has in place of an attention: the best prediction without an enhancer."""

CEILING = "ceiling"
"""And the best prediction that there is for the length."""

_MOMENTS = {
    "before": ("before training", NEUTRAL_COLOR, "circle-open"),
    "after": ("after training", KINDS["bigbird"].color, "diamond"),
}
_PATTERN_SYMBOLS = (
    *("circle", "square", "diamond", "triangle-up", "triangle-down", "star"),
    *("circle-open", "square-open", "diamond-open"),
)
_ROW_PX = 30


@figure_of
def cost_of_changes(frame: pd.DataFrame) -> go.Figure:
    """Draw what changes of the attention cost, a panel per measure; `notebooks/finetuning`.

    It takes the study's Figure 5a apart. Where every model is a change of the one before, the rows
    are joined and read as a staircase. Whiskers are 95 % intervals.

    Args:
        frame: one row per model, moment and measure, from `causes.cost_of_changes`: model, of, when
            (before, after), measure, pearson_r, pearson_r_low, pearson_r_high; others are shown on
            hover.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = ("model", "of", "when", "measure", "pearson_r", "pearson_r_low", "pearson_r_high")
    require_columns(frame, "cost_of_changes", columns)
    is_path = _is_path(frame)
    models = {name: wrap(name, 26) for name in dict.fromkeys(frame["model"])}
    measures = list(dict.fromkeys(frame["measure"]))[::-1]  # what tells most of regulation first
    figure = stack_panels(measures, gap_px=44, panel_px=_ROW_PX * len(models))
    for row, measure in enumerate(measures, start=1):
        for when, (label, color, symbol) in _MOMENTS.items():
            rows = frame[(frame["measure"] == measure) & (frame["when"] == when)]
            figure.add_scatter(
                x=rows["pearson_r"],
                y=rows["model"].map(models),
                error_x=whiskers(rows, "pearson_r", "pearson_r_low", "pearson_r_high"),
                mode="lines+markers" if is_path else "markers",
                line={"color": color, "width": 1, "shape": "vh"},
                marker={"color": color, "symbol": symbol, "size": 9},
                row=row,
                col=1,
                **in_legend(label),
                **hover(rows),
            )
    order = list(models.values())[::-1]
    figure.update_yaxes(categoryorder="array", categoryarray=order, tickfont={"size": 11})
    figure.update_xaxes(showticklabels=True, matches=None)
    figure.update_xaxes(title_text="Pearson's r", row=len(measures), col=1)
    return finish(
        figure,
        frame,
        description="Pearson's r of each model before and after its attention is trained, one row "
        "per change of the attention, one panel per measure, with 95 % intervals.",
    )


@figure_of
def loss_by_attention_lost(frame: pd.DataFrame) -> go.Figure:
    """Draw what patterns cost against what they take away, `notebooks/finetuning`.

    One panel per measure, one mark per pattern. Whiskers are 95 % intervals.

    Args:
        frame: one row per pattern and measure: model and share_lost, from
            `attention_shares.attention_lost`, and measure, loss, loss_low and loss_high, from
            `causes.cost_of_changes`; others are shown on hover.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = ("model", "share_lost", "measure", "loss", "loss_low", "loss_high")
    require_columns(frame, "loss_by_attention_lost", columns)
    measures = list(dict.fromkeys(frame["measure"]))
    figure = stack_panels(measures, gap_px=34, panel_px=230)
    for row, measure in enumerate(measures, start=1):
        of_measure = frame[frame["measure"] == measure].sort_values("share_lost")
        symbols = itertools.cycle(_PATTERN_SYMBOLS)
        for model, symbol in zip(of_measure["model"], symbols, strict=False):
            rows = of_measure[of_measure["model"] == model]
            figure.add_scatter(
                x=rows["share_lost"],
                y=rows["loss"],
                error_y=whiskers(rows, "loss", "loss_low", "loss_high"),
                mode="markers",
                marker={
                    "color": KINDS["bigbird_relative"].color,
                    "symbol": symbol,
                    "size": 10,
                },
                row=row,
                col=1,
                **in_legend(str(model)),
                **hover(rows),
            )
    figure.update_xaxes(tickformat=".0%")
    figure.update_xaxes(
        title_text="share of the trained attention taken away", row=len(measures), col=1
    )
    title_shared_axis(figure, "r lost")
    return finish(
        figure,
        frame,
        description="How much of Enformer's r each pattern costs before any training, against the "
        "share of its attention that the pattern takes away, one panel per measure.",
    )


@figure_of
def accuracy_by_length(frame: pd.DataFrame) -> go.Figure:
    """Draw what a longer input buys, `notebooks/receptive_field`.

    The study's reason for sparse attention, which it does not test: its Figures 1 and 2 say how
    long an input may be, this one what for. Whiskers are 95 % intervals.

    Args:
        frame: one row per attention, or best prediction, length and measure, from
            `length.accuracy_by_length`: attention (a key of `KINDS`, `ceiling` or `no enhancer`),
            sequence_length_bp, measure, pearson_r, pearson_r_low, pearson_r_high; others are
            shown on hover.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = ("attention", "sequence_length_bp", "measure", "pearson_r", "pearson_r_low")
    require_columns(frame, "accuracy_by_length", (*columns, "pearson_r_high"))
    measures = list(dict.fromkeys(frame["measure"]))
    figure = stack_panels(measures, gap_px=34, panel_px=200)
    lengths_bp = sorted(frame.loc[frame["sequence_length_bp"] > 0, "sequence_length_bp"].unique())
    for row, measure in enumerate(measures, start=1):
        of_measure = frame[frame["measure"] == measure]
        for attention, rows in of_measure.groupby("attention", sort=False):
            if attention == NO_ENHANCER:
                rows = pd.concat([rows] * 2).assign(
                    sequence_length_bp=[lengths_bp[0], lengths_bp[-1]]
                )
            ordered = rows.sort_values("sequence_length_bp")
            interval = ("pearson_r", "pearson_r_low", "pearson_r_high")
            _add_line(figure, row, str(attention), ordered["sequence_length_bp"], ordered, interval)
    figure.update_xaxes(type="log", tickvals=lengths_bp, tickformat=",")
    figure.update_xaxes(title_text="length of the input (bp)", row=len(measures), col=1)
    title_shared_axis(figure, "Pearson's r")
    return finish(
        figure,
        frame,
        description="Pearson's r by length of the input, one panel per measure, one line per kind "
        "of attention, beside the best possible prediction for the length and the best without "
        "any enhancer.",
    )


@figure_of
def use_by_distance(frame: pd.DataFrame) -> go.Figure:
    """Draw from how far away models take what they predict, `notebooks/receptive_field`.

    It goes on from the study's Figure 8: that shows which bases can matter, this one how much of
    what matters is used. One panel per length of the input. Whiskers are 95 % intervals.

    Args:
        frame: one row per attention or best prediction, length and band of distance, from
            `length.use_by_distance`: attention, sequence_length_bp, nearest_bp, farthest_bp,
            share_used, share_low, share_high.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = (
        "attention",
        "sequence_length_bp",
        "nearest_bp",
        "farthest_bp",
        "share_used",
        "share_low",
        "share_high",
    )
    require_columns(frame, "use_by_distance", columns)
    frame_by_length = frame[frame["sequence_length_bp"] > 0]
    lengths_bp = sorted(frame_by_length["sequence_length_bp"].unique())
    titles = [f"input of {length_bp:,} bp" for length_bp in lengths_bp]
    figure = stack_panels(titles, gap_px=30, panel_px=150, shared_yaxes="all")
    for row, length_bp in enumerate(lengths_bp, start=1):
        at_length = frame_by_length[frame_by_length["sequence_length_bp"] == length_bp]
        for attention, rows in at_length.groupby("attention", sort=False):
            interval = ("share_used", "share_low", "share_high")
            _add_line(figure, row, str(attention), _bands(rows), rows, interval)
    figure.update_yaxes(tickformat=".0%")
    figure.update_xaxes(
        title_text="from enhancer to promoter (thousand bp)", row=len(lengths_bp), col=1
    )
    title_shared_axis(figure, "share of the enhancers' effect that is used")
    return finish(
        figure,
        frame,
        description="Share of what enhancers do to promoters that shows in the predictions, by the "
        "distance between the two, one panel per length of the input, one line per kind of "
        "attention and one for what the input holds.",
    )


@figure_of
def attention_kept(frame: pd.DataFrame) -> go.Figure:
    """Draw how much of a trained model's attention a pattern keeps, `notebooks/receptive_field`.

    One panel per layer, one mark per head and band of distance, on the line what chance would keep.

    Args:
        frame: one row per layer, head and band, from `attention_shares.attention_kept`: layer,
            head, nearest_bp, farthest_bp, share_of_attention, share_kept, share_kept_by_chance.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = (
        "layer",
        "head",
        "nearest_bp",
        "farthest_bp",
        "share_of_attention",
        "share_kept",
        "share_kept_by_chance",
    )
    require_columns(frame, "attention_kept", columns)
    layers = sorted(frame["layer"].unique())
    figure = stack_panels(
        [f"layer {layer + 1}" for layer in layers], gap_px=30, panel_px=140, shared_yaxes="all"
    )
    for row, layer in enumerate(layers, start=1):
        of_layer = frame[frame["layer"] == layer]
        bands = _bands(of_layer)
        figure.add_scatter(
            x=bands,
            y=of_layer["share_kept"],
            mode="markers",
            marker={
                "color": KINDS["bigbird_relative"].color,
                "symbol": "circle-open",
                "size": 6 + 24 * of_layer["share_of_attention"] ** 0.5,
            },
            row=row,
            col=1,
            **in_legend("kept of a head's attention (size: how much of it falls there)"),
            **hover(of_layer),
        )
        chance = of_layer.groupby("nearest_bp", sort=False)["share_kept_by_chance"].mean()
        figure.add_scatter(
            x=list(dict.fromkeys(bands)),
            y=chance,
            mode="lines",
            line=thin_line(NEUTRAL_COLOR, "dash"),
            hovertemplate="%{y:.1%} of the keys<extra></extra>",
            row=row,
            col=1,
            **in_legend("kept by chance"),
        )
    figure.update_yaxes(tickformat=".0%", range=[-0.1, 1.15])
    figure.update_xaxes(title_text="from query to key (thousand bp)", row=len(layers), col=1)
    title_shared_axis(figure, "attention kept")
    return finish(
        figure,
        frame,
        description="Share of each head's attention that falls on keys which the sparse pattern "
        "keeps, by distance between query and key, one panel per layer, beside the share of keys "
        "that is kept.",
    )


def _is_path(frame: pd.DataFrame) -> bool:
    """Whether every model but the first is a change of the one before it."""
    of = frame.drop_duplicates("model").set_index("model")["of"]
    return list(of.iloc[1:]) == list(of.index[:-1])


def _add_line(
    figure: go.Figure,
    row: int,
    attention: str,
    x: Sequence[str] | pd.Series,
    rows: pd.DataFrame,
    interval: tuple[str, str, str],
) -> None:
    """A kind of attention, or a best prediction: value, low and high end are columns of `rows`."""
    figure.add_scatter(
        x=x,
        y=rows[interval[0]],
        error_y=whiskers(rows, *interval),
        mode="lines" if attention == NO_ENHANCER else "lines+markers",
        row=row,
        col=1,
        **_style_of_kind(attention),
        **hover(rows),
    )


def _style_of_kind(attention: str) -> dict[str, object]:
    if attention == NO_ENHANCER:
        return {"line": thin_line(NEUTRAL_COLOR, "dot"), **in_legend("best without any enhancer")}
    if attention == CEILING:
        return {
            "line": {"color": NEUTRAL_COLOR, "width": 1.5, "dash": "dash"},
            "marker": {"color": NEUTRAL_COLOR, "symbol": "line-ew-open", "size": 9},
            **in_legend("best possible"),
        }
    kind = attention_kind(attention)
    return {
        "line": {"color": kind.color, "width": 2},
        "marker": {"color": kind.color, "symbol": kind.symbol, "size": 9},
        **in_legend(kind.label),
    }


def _band(nearest_bp: float, farthest_bp: float) -> str:
    """`16-33`, in thousands of base pairs."""
    if farthest_bp == float("inf"):
        return f"over {nearest_bp / 1000:.0f}"
    return f"{nearest_bp / 1000:.0f} to {farthest_bp / 1000:.0f}"


def _bands(rows: pd.DataFrame) -> Sequence[str]:
    return [
        _band(nearest_bp, farthest_bp)
        for nearest_bp, farthest_bp in zip(rows["nearest_bp"], rows["farthest_bp"], strict=True)
    ]
