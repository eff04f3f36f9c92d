"""Tables on a page: readable headings with units, aligned columns, few digits."""

from __future__ import annotations

import html
import re

import pandas as pd
from IPython.display import HTML

from senformer.attention_kinds import KINDS

MISSING = "–"
LONG_TEXT = 40
"""A table with a longer cell, in characters, is laid out as one of sentences."""

HEADINGS = {
    "sequence_length_bp": "Input length (bp)",
    "studys_code_gb": "Study's code (GB)",
    "this_code_gb": "This project's code (GB)",
    "ratio": "This over the study's",
    "track_type": "Type of track",
    "pearson_r": "Pearson's r",
    "pearson_r_local": "Without any enhancer",
    "pearson_r_of_record": "With those within a record",
    "num_tracks": "Tracks",
    "num_constant": "Tracks without an r",
    "r over": "r over",
    "study_reports": "As the study reports",
    "mutation_position_bp": "Changed base (bp)",
    "mean_abs_change": "Mean change",
    "peak_over_median": "Peak over median",
    "step_where_blocks_meet": "Greatest step where blocks meet (times)",
    "step_bp": "Its place (bp)",
    "step_elsewhere": "Greatest step elsewhere (times)",
    "share_of_effects": "Share of the effects",
    "tera_operations": "Operations (10¹²)",
    "share_of_study": "Share of the study's way",
}
"""Headings of the columns of result files."""

_SHORT_BRACKETS = re.compile(r"\([^()]{1,20}\)")
_UNBROKEN = str.maketrans({" ": "\u00a0", "–": "–\u2060"})


def show(frame: pd.DataFrame, *, digits: int = 3, if_empty: str = "") -> HTML:
    """Show a table at the end of a notebook's cell.

    Unlike pandas' own display, it cuts no text and hides the index. On the site a heading sorts its
    column, and a long table can be filtered.

    Args:
        frame: The table; `HEADINGS` translates its column names.
        digits: Digits after the point, for columns with fractions.
        if_empty: Text that replaces a table without rows; by default its headings are shown.

    Raises:
        ValueError: If a column's name is a key, `like_this`, that has no heading.
    """
    headings = [heading(str(name)) for name in frame]
    if if_empty and frame.empty:
        return HTML(f"<p>{html.escape(if_empty)}</p>")
    texts = [_format_column(frame[name], digits) for name in frame]
    is_long = any(len(text) > LONG_TEXT for column in texts for text in column)
    numbers = frame.select_dtypes("number").columns
    kinds = ["number" if name in numbers else "text" for name in frame]
    head = "".join(map(_cell, ["th"] * len(kinds), kinds, headings))
    rows = (map(_cell, ["td"] * len(kinds), kinds, row) for row in zip(*texts, strict=True))
    body = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return HTML(
        f'<table class="dataframe{" sentences" if is_long else ""}">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def heading(name: str) -> str:
    """Return the heading of a column: from `HEADINGS`, or the name itself if it is no key.

    Raises:
        ValueError: If the name is a key without a heading.
    """
    if name in HEADINGS:
        return HEADINGS[name]
    if name in {kind.label for kind in KINDS.values()}:
        return name
    if "_" in name:
        raise ValueError(f"column {name!r} has no heading; add one to tables.HEADINGS")
    return name[:1].upper() + name[1:]


def _cell(tag: str, kind: str, text: str) -> str:
    return f'<{tag} class="{kind}">{html.escape(text)}</{tag}>'


def _format_column(column: pd.Series, digits: int) -> list[str]:
    """Format a column, with digits after the point for all of its numbers or for none."""
    is_whole = not pd.api.types.is_float_dtype(column) or (column.dropna() % 1 == 0).all()
    return [_format_value(value, 0 if is_whole else digits) for value in column]


def _format_value(value: object, digits: int) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return MISSING
    if isinstance(value, bool) or not isinstance(value, int | float):
        # A narrow column breaks lines before short brackets, such as quartiles, not within.
        return _SHORT_BRACKETS.sub(lambda found: found[0].translate(_UNBROKEN), str(value))
    if 0 < abs(value) < 10**-digits:
        return f"{value:.1e}"
    return f"{value:,.{digits}f}"
