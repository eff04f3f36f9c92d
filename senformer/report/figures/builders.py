"""Builders of figures: panels of dots with intervals, lines by length and bands by distance.

`figure` turns a drawing function into a figure of the report: it checks the table's columns and
adds template, description and caption. `study_figure` lists the function as one of the study's.
"""

from __future__ import annotations

import functools
import html
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from senformer.data.tracks import TRACK_TYPES
from senformer.report import results
from senformer.report.figures.style import DASHES, FAINT_COLOR, TEMPLATE, Look

_LEGEND_HEIGHT_PX = 90
_SPREAD_OF_SERIES = 0.6  # of the distance between two categories

_Options = ParamSpec("_Options")
_Draw = Callable[Concatenate[pd.DataFrame, _Options], go.Figure]
_Function = TypeVar("_Function", bound=Callable[..., go.Figure])


class StudyFigure(NamedTuple):
    """One of the study's figures, or a part of one, as this report draws it.

    Attributes:
        number: Number of the study's figure.
        shows: What the figure shows, in a few words.
        notebook: Name of the notebook that draws it; the page is `results/<notebook>`.
        table: File that the figure is drawn from, in `book/results/data/`.
        function: Function that draws the figure, with its module.
    """

    number: int
    shows: str
    notebook: str
    table: str
    function: str


REGISTERED: list[StudyFigure] = []
"""Every figure that `study_figure` marks, in the order of import."""


def study_figure(
    number: int, shows: str, notebook: str, table: str
) -> Callable[[_Function], _Function]:
    """Register a function as the one that draws a figure of the study.

    Args:
        number: Number of the study's figure.
        shows: What the figure shows, in a few words.
        notebook: Name of the notebook that calls the function.
        table: File that the figure is drawn from, in `book/results/data/`.
    """

    def register(draw: _Function) -> _Function:
        REGISTERED.append(StudyFigure(number, shows, notebook, table, name_of(draw)))
        return draw

    return register


def figure(*columns: str) -> Callable[[_Draw[_Options]], _Draw[_Options]]:
    """Make a figure of the report out of a function that draws a table.

    The figure gets the common template, the caption of its table, the names of its function and its
    file, to which a page links, and a description for readers who cannot see it. The description is
    the second paragraph of the function's docstring; `{name}` in it stands for the value of the
    keyword argument `name`. The function raises a ValueError if the table lacks a column or has no
    rows.

    Args:
        *columns: Columns that the table must have.
    """

    def decorate(draw: _Draw[_Options]) -> _Draw[_Options]:
        template = " ".join((draw.__doc__ or "").split("\n\n")[1].split())

        @functools.wraps(draw)
        def drawn(
            frame: pd.DataFrame, /, *args: _Options.args, **options: _Options.kwargs
        ) -> go.Figure:
            missing = [column for column in columns if column not in frame]
            if missing:
                raise ValueError(
                    f"figure {draw.__name__}: no column {', '.join(missing)}; the table has "
                    f"{', '.join(map(str, frame))}"
                )
            if frame.empty:
                raise ValueError(f"figure {draw.__name__}: the table has no rows")
            result = draw(frame, *args, **options)
            description = template.format(**options)
            meta = {
                "description": description[:1].upper() + description[1:],
                "drawn_by": name_of(draw),
            }
            if "provenance" in frame.attrs:
                meta["caption"] = results.caption_of(frame)
            elif "source" in frame.attrs:
                meta["caption"] = frame.attrs["source"]
            if "file" in frame.attrs:
                meta["file"] = frame.attrs["file"]
            labels: set[str] = set()
            for trace in result.data:
                if trace.showlegend is None and trace.name:
                    trace.showlegend = trace.name not in labels
                    labels.add(trace.name)
            return result.update_layout(template=TEMPLATE, meta=meta)

        return drawn

    return decorate


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's name with its module, as pages and the API reference spell it."""
    return f"{function.__module__}.{function.__name__}"


class Panel(NamedTuple):
    """One panel of a figure.

    Attributes:
        title: Title above the panel.
        rows: Rows of the table that it shows.
        values: Column of the values, or the columns of value, lower and upper end of its interval.
    """

    title: str
    rows: pd.DataFrame
    values: Sequence[str]


class Series(NamedTuple):
    """What the legend lists.

    Attributes:
        column: Column that names a row's series.
        looks: How each series is drawn, by its name, in the order of drawing.
    """

    column: str
    looks: Mapping[Any, Look]


class Categories(NamedTuple):
    """The rows of a panel of dots, from top to bottom.

    Attributes:
        column: Column that names a row's category, or a function from rows to their categories.
        labels: Label of each category, by its name.
        is_spread: Whether marks of different series stand below each other within a category.
    """

    column: str | Callable[[pd.DataFrame], pd.Series]
    labels: Mapping[Any, str]
    is_spread: bool = False


def panels_by(
    frame: pd.DataFrame,
    column: str,
    values: Sequence[str],
    title: Callable[[Any], str] = str,
    *,
    order: Iterable[Any] | None = None,
) -> list[Panel]:
    """Divide a table into one panel per value of a column.

    Args:
        frame: The table.
        column: Column whose values divide it.
        values: See `Panel`.
        title: Function from a value of the column to the panel's title.
        order: Values from top to bottom; by default in the order of the table.
    """
    names = dict.fromkeys(frame[column] if order is None else order)
    return [Panel(title(name), frame[frame[column] == name], values) for name in names]


def dots(
    panels: Sequence[Panel], series: Series, categories: Categories, *, row_px: int, **layout: Any
) -> go.Figure:
    """Draw values with their intervals, one row of marks per category.

    Args:
        panels: Panels, from top to bottom.
        series: What the legend lists.
        categories: Rows of each panel.
        row_px: Height of a row in pixels.
        **layout: Options of `stack_panels`.
    """
    layout.setdefault("panel_px", row_px * len(categories.labels))
    figure = stack_panels([panel.title for panel in panels], **layout)
    places = {name: place for place, name in enumerate(categories.labels)}
    step = _SPREAD_OF_SERIES / max(1, len(series.looks) - 1)
    for row, panel in enumerate(panels, start=1):
        for number, (name, look) in enumerate(series.looks.items()):
            rows = panel.rows[panel.rows[series.column] == name]
            if rows.empty:
                continue
            column = categories.column
            names = rows[column] if isinstance(column, str) else column(rows)
            y = names.map(categories.labels)
            if categories.is_spread:
                y = names.map(places) - _SPREAD_OF_SERIES / 2 + step * number
            x, error_x = rows[panel.values[0]], whiskers(rows, panel.values)
            add_series(figure, rows, look, x=x, y=y, error_x=error_x, place=(row, 1))
    labels = list(categories.labels.values())
    if categories.is_spread:
        figure.update_yaxes(
            tickvals=list(places.values()), ticktext=labels, range=[len(labels) - 0.5, -0.5]
        )
    else:
        figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1])
    return figure


def lines(
    panels: Sequence[Panel],
    series: Series,
    x: str | Callable[[pd.DataFrame], Sequence[str]],
    *,
    panel_px: int,
    **layout: Any,
) -> go.Figure:
    """Draw one line per series, for example against the length of the input.

    Args:
        panels: Panels, from top to bottom.
        series: What the legend lists.
        x: Column of the x axis, by which rows are sorted, or a function from rows to their places.
        panel_px: Height of a panel in pixels.
        **layout: Options of `stack_panels`.
    """
    titles = [panel.title for panel in panels]
    figure = stack_panels(titles, panel_px=panel_px, **{"gap_px": 34, **layout})
    for row, panel in enumerate(panels, start=1):
        for name, look in series.looks.items():
            rows = panel.rows[panel.rows[series.column] == name]
            if rows.empty:
                continue
            if isinstance(x, str):
                rows = rows.sort_values(x, kind="stable")
            places = rows[x] if isinstance(x, str) else x(rows)
            y, error_y = rows[panel.values[0]], whiskers(rows, panel.values)
            add_series(figure, rows, look, x=places, y=y, error_y=error_y, place=(row, 1))
    return figure


def bands(panels: Sequence[Panel], series: Series, *, panel_px: int, **layout: Any) -> go.Figure:
    """Draw one line per series against bands of distance.

    Args:
        panels: Panels, from top to bottom; their rows have columns nearest_bp and farthest_bp.
        series: What the legend lists.
        panel_px: Height of a panel in pixels.
        **layout: Options of `stack_panels`.
    """
    layout = {"gap_px": 30, "shared_yaxes": "all", **layout}
    figure = lines(panels, series, band_labels, panel_px=panel_px, **layout)
    figure.update_yaxes(tickformat=".0%")
    return figure


def band_labels(rows: pd.DataFrame) -> list[str]:
    """Return the label of each row's band of distance, in thousand base pairs: `16 to 33`."""
    return [
        f"over {nearest_bp / 1000:.0f}"
        if farthest_bp == float("inf")
        else f"{nearest_bp / 1000:.0f} to {farthest_bp / 1000:.0f}"
        for nearest_bp, farthest_bp in zip(rows["nearest_bp"], rows["farthest_bp"], strict=True)
    ]


def add_series(
    figure: go.Figure,
    rows: pd.DataFrame,
    look: Look,
    *,
    place: tuple[int, int] = (1, 1),
    **trace: Any,
) -> None:
    """Add one trace to a figure.

    Args:
        figure: Figure with a subplot at `place`; it is changed.
        rows: Rows that a mark shows on hover.
        look: How to draw the trace.
        place: Row and column of the subplot.
        **trace: Arguments of a scatter trace; they replace those of the look and the hover text.
    """
    shown = {} if "hovertemplate" in trace or "hoverinfo" in trace else hover(rows)
    row, col = place
    figure.add_scatter(
        **(legend_entry(look.label) | look.trace() | shown | trace), row=row, col=col
    )


def add_legend_entry(figure: go.Figure, look: Look, *, place: tuple[int, int] = (1, 1)) -> None:
    """Add an entry to the legend that no mark of its own stands for, such as a dash."""
    trace = look.trace()
    if look.mode == "markers":
        trace["marker"] |= {"size": 10, "line": {"width": 1.5, "color": look.color}}
    row, col = place
    figure.add_scatter(x=[None], y=[None], **legend_entry(look.label), **trace, row=row, col=col)


def layer_dashes(frame: pd.DataFrame) -> dict[int, str]:
    """Return the dash of each number of transformer layers, the deepest model's first."""
    layers = sorted(frame["num_transformer_layers"].unique(), reverse=True)
    return {count: DASHES[place % len(DASHES)] for place, count in enumerate(layers)}


def layer_label(count: int) -> str:
    """Return `1 layer` or `11 layers`."""
    return f"{count} layer{'s' if count > 1 else ''}"


def stack_panels(
    titles: Sequence[str], *, panel_px: float | Sequence[float], gap_px: int = 0, **shared: Any
) -> go.Figure:
    """Make panels below each other that share the x axis: a shape that fits a phone.

    Args:
        titles: Titles of the panels.
        panel_px: Height of each panel in pixels, or one height for all.
        gap_px: Distance of two panels in pixels.
        **shared: Options of `make_subplots`.
    """
    count = len(titles)
    heights_px = list(np.broadcast_to(panel_px, count))
    inner_px = sum(heights_px) + (count - 1) * gap_px
    spacing = gap_px / inner_px
    figure = make_subplots(
        count, 1, shared_xaxes=True, vertical_spacing=spacing, row_heights=heights_px, **shared
    )
    for row, title in enumerate(titles, start=1):
        _title_panel(figure, title, row=row)
    return figure.update_layout(height=inner_px + 90 + _LEGEND_HEIGHT_PX)


def stack_panels_with_strips(
    titles: Sequence[str], marks: Iterable[int]
) -> tuple[go.Figure, list[tuple[int, int]]]:
    """Make panels below each other, each with a strip above it for marks that have no value.

    Args:
        titles: Titles of the panels.
        marks: Number of marks that each panel's strip has room for.

    Returns:
        The figure, and of each panel the subplot rows of its strip and of itself. They are equal if
        there is no strip: Plotly would draw neither an empty subplot nor its title.
    """
    rows: list[tuple[str, int]] = []  # title and height
    places = []
    for title, count in zip(titles, marks, strict=True):
        rows += [(title, max(44, 14 * count)), ("", 250)] if count else [(title, 250)]
        places.append((len(rows) - bool(count), len(rows)))
    names, heights_px = zip(*rows, strict=True)
    figure = stack_panels(names, panel_px=heights_px, gap_px=26)
    for strip, main in places:
        if strip != main:
            figure.update_yaxes(tickvals=[], zeroline=False, showgrid=False, row=strip, col=1)
            figure.update_xaxes(ticks="", row=strip, col=1)
            box = {"x0": 0, "x1": 1, "y0": 0, "y1": 1, "line": {"width": 0}, "layer": "below"}
            box |= {"type": "rect", "xref": "x domain", "yref": "y domain"}
            figure.add_shape(box, fillcolor=FAINT_COLOR, opacity=0.5, row=strip, col=1)
    return figure, places


def panel_grid(
    titles: Sequence[str], *, panel_px: int, title_lines: int = 1, **shared: Any
) -> tuple[go.Figure, list[tuple[int, int]]]:
    """Make panels in two columns.

    Args:
        titles: Titles of the panels.
        panel_px: Height of a panel in pixels.
        title_lines: Lines of the longest title.
        **shared: Options of `make_subplots`.

    Returns:
        The figure, and row and column of each panel.
    """
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


def title_grid_axes(
    figure: go.Figure, places: Sequence[tuple[int, int]], *, x: str, y: str
) -> None:
    """Title the outer axes of a `panel_grid`; `places` are its panels' rows and columns."""
    for row, col in places:
        if (row + 1, col) not in places:
            figure.update_xaxes(title_text=x, showticklabels=True, row=row, col=col)
        if col == 1:
            figure.update_yaxes(title_text=y, row=row, col=col)


def title_stack_axes(figure: go.Figure, *, x: str, y: str = "") -> None:
    """Title the x axis below a stack of panels, and with `y` the stack's y axes, once for all."""
    *_, bottom = figure.select_xaxes()
    bottom.update(title_text=x)
    if y:
        middle = {"xref": "paper", "yref": "paper", "x": 0, "y": 0.5, "xshift": -46}
        anchor = {"xanchor": "right", "yanchor": "middle", "textangle": -90, "showarrow": False}
        figure.add_annotation(**middle, **anchor, text=y)
        figure.update_layout(margin={"l": 68})


def title_length_axis(figure: go.Figure, lengths_bp: pd.Series) -> None:
    """Make the x axis one of input lengths, with ticks at least a fifth of their length apart."""
    ticks: list[int] = []
    for length_bp in sorted(set(lengths_bp)):
        if not ticks or length_bp >= 1.2 * ticks[-1]:
            ticks.append(int(length_bp))
    figure.update_xaxes(type="log", tickvals=ticks, tickformat=".3~s")
    title_stack_axes(figure, x="input length (bp)")


def present_track_types(frame: pd.DataFrame) -> list[str]:
    """Return the track types of column `track_type`, in the order of `TRACK_TYPES`."""
    present = set(frame["track_type"])
    return [name for name in TRACK_TYPES if name in present]


def track_type_categories(frame: pd.DataFrame) -> Categories:
    """Return the track types of column `track_type` as the categories of `dots`."""
    return Categories("track_type", {name: name for name in present_track_types(frame)})


def hover(rows: pd.DataFrame) -> dict[str, Any]:
    """Return trace arguments that show a mark's whole row, missing values left out."""
    texts = []
    for row in rows.to_dict("records"):
        known = {name: value for name, value in row.items() if not pd.isna(value)}
        for name, value in known.items():
            known[name] = f"{value:.6g}" if isinstance(value, float) else wrap(str(value), 60)
        texts.append("<br>".join(f"{name}: {text}" for name, text in known.items()))
    return {"hovertext": texts, "hovertemplate": "%{hovertext}<extra></extra>"}


def whiskers(rows: pd.DataFrame, values: Sequence[str]) -> dict[str, Any] | None:
    """Return error bars from the columns of value, lower and upper end; None for a lone value."""
    if len(values) == 1:
        return None
    value, low, high = values
    return {
        "type": "data",
        "symmetric": False,
        "array": rows[high] - rows[value],
        "arrayminus": rows[value] - rows[low],
        "thickness": 1,
        "width": 3,
    }


def legend_entry(label: str) -> dict[str, Any]:
    """Return trace arguments that make all traces of a label one entry of the legend."""
    return {"name": plain(label), "legendgroup": label}


def wrap(text: str, width: int) -> str:
    """Break a text into lines of at most `width` characters, with Plotly's line breaks."""
    return "<br>".join(map(plain, textwrap.wrap(text, width))) or plain(text)


def plain(text: str) -> str:
    """Escape a text so that Plotly shows it verbatim, without HTML and placeholders.

    Args:
        text: Any text from a table, which a user may have written.
    """
    return html.escape(text, quote=False).replace("%{", "%&#123;")


def _title_panel(figure: go.Figure, title: str, *, row: int, col: int = 1) -> None:
    """Write a title above a subplot, at its left edge."""
    if title:
        corner = {"xref": "x domain", "yref": "y domain", "x": 0, "y": 1}
        anchor = {"xanchor": "left", "yanchor": "bottom", "align": "left", "showarrow": False}
        figure.add_annotation(**corner, **anchor, text=title, row=row, col=col)
