"""What figures are put together from: panels, titles, hovers, the legend, the finish."""

from __future__ import annotations

import functools
import html
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from senformer.data.tracks import TRACK_TYPES
from senformer.report import results
from senformer.report.figures.style import FAINT_COLOR, TEMPLATE

_LEGEND_HEIGHT_PX = 90

_Options = ParamSpec("_Options")
_Draw = Callable[Concatenate[pd.DataFrame, _Options], go.Figure]


def figure_of(draw: _Draw[_Options]) -> _Draw[_Options]:
    """Mark a function that draws a table: its figure names it, and the file that the table is of.

    A page leads from a figure to both.
    """

    @functools.wraps(draw)
    def drawn(
        frame: pd.DataFrame, /, *args: _Options.args, **options: _Options.kwargs
    ) -> go.Figure:
        figure = draw(frame, *args, **options)
        origin = {"drawn_by": f"{draw.__module__}.{draw.__name__}"}
        if "file" in frame.attrs:
            origin["file"] = frame.attrs["file"]
        return figure.update_layout(meta={**figure.layout.meta, **origin})

    return drawn


def stack_panels(titles: Sequence[str], *, gap_px: int, panel_px: int, **shared: Any) -> go.Figure:
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


def stack_panels_with_strips(
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


def panel_grid(
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


def title_axes(figure: go.Figure, places: Sequence[tuple[int, int]], *, x: str, y: str) -> None:
    """Title the axes on the outside of a `panel_grid`, whose `places` these are."""
    for row, col in places:
        if (row + 1, col) not in places:
            figure.update_xaxes(title_text=x, showticklabels=True, row=row, col=col)
        if col == 1:
            figure.update_yaxes(title_text=y, row=row, col=col)


def title_shared_axis(figure: go.Figure, title: str) -> None:
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


def require_columns(frame: pd.DataFrame, figure: str, columns: Sequence[str]) -> None:
    """Refuse a table that a figure cannot be drawn from.

    Args:
        frame: the table.
        figure: the figure's name, for the message.
        columns: what the figure reads.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    missing = [column for column in columns if column not in frame]
    if missing:
        present = ", ".join(map(str, frame))
        raise ValueError(
            f"figure {figure}: no column {', '.join(missing)}; the table has {present}"
        )
    if frame.empty:
        raise ValueError(f"figure {figure}: the table has no rows")


def present_track_types(frame: pd.DataFrame) -> list[str]:
    """The types of a column `track_type`, in the order of `TRACK_TYPES`."""
    present = set(frame["track_type"])
    return [name for name in TRACK_TYPES if name in present]


def hover(rows: pd.DataFrame) -> dict[str, Any]:
    """Show the whole row of a mark, missing values left out."""
    texts = [
        "<br>".join(f"{name}: {_shown(value)}" for name, value in row.items() if not pd.isna(value))
        for row in rows.to_dict("records")
    ]
    return {"hovertext": texts, "hovertemplate": "%{hovertext}<extra></extra>"}


def whiskers(rows: pd.DataFrame, value: str, low: str, high: str) -> dict[str, Any]:
    """An interval beside a mark, by the columns of its middle and of its two ends."""
    return {
        "type": "data",
        "symmetric": False,
        "array": rows[high] - rows[value],
        "arrayminus": rows[value] - rows[low],
        "thickness": 1,
        "width": 3,
    }


def in_legend(name: str) -> dict[str, Any]:
    """What makes a trace one entry of the legend with all others of its name."""
    return {"name": plain(name), "legendgroup": name}


def finish(figure: go.Figure, frame: pd.DataFrame, *, description: str) -> go.Figure:
    """Give a figure the look of all, its description, and the caption of its table.

    Args:
        figure: drawn; it is changed.
        frame: what it was drawn from, with the provenance in `attrs` where it has one, or in
            `source` whose measurements they are where others published them.
        description: what it shows, in sentences, for those who cannot see it.
    """
    meta = {"description": description}
    if "provenance" in frame.attrs:
        meta["caption"] = results.caption_of(frame)
    elif "source" in frame.attrs:
        meta["caption"] = frame.attrs["source"]
    _name_once(figure)
    figure.update_layout(template=TEMPLATE, meta=meta)
    return figure


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
        fillcolor=FAINT_COLOR,
        opacity=0.5,
        layer="below",
        row=row,
        col=1,
    )


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


def _name_once(figure: go.Figure) -> None:
    named: set[str] = set()
    for trace in figure.data:
        if trace.showlegend is None and trace.name:
            trace.showlegend = trace.name not in named
            named.add(trace.name)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return wrap(str(value), 60)


def wrap(text: str, width: int) -> str:
    """A text in lines of at most so many characters, as Plotly breaks them."""
    return "<br>".join(map(plain, textwrap.wrap(text, width))) or plain(text)


def plain(text: str) -> str:
    """A text that Plotly shows as it is, neither as HTML nor as a place for a value.

    Args:
        text: From a table, where a user may have written anything.
    """
    return html.escape(text, quote=False).replace("%{", "%&#123;")
