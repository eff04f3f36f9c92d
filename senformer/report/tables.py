"""Tables of the report as they stand on a page: readable heads with units, aligned, few digits."""

from __future__ import annotations

import html
import re

import pandas as pd
from IPython.display import HTML

from senformer.attention_kinds import KINDS

MISSING = "–"
LONG_TEXT = 40
"""Characters from which on a cell is read as a sentence."""

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
"""Heads of columns whose names are keys of a result file."""

_SHORT_BRACKETS = re.compile(r"\([^()]{1,20}\)")
_UNBROKEN = str.maketrans({" ": "\u00a0", "–": "–\u2060"})


def show(frame: pd.DataFrame, *, digits: int = 3, if_empty: str = "") -> HTML:
    """A table for the end of a notebook's cell.

    Pandas' own display cuts long text and shows an index that means nothing. On the site a head
    sorts its column, and a long table can be filtered.

    Args:
        frame: Its column names, by `HEADINGS`, are the table's head; its index is not shown.
        digits: Digits after the point of numbers that are not whole.
        if_empty: What to say instead of a table without rows; by default its head is shown.

    Returns:
        The table, with nothing cut.

    Raises:
        ValueError: If a column is named by a key, `like_this`, that has no heading.
    """
    heads = [heading(str(name)) for name in frame]
    if if_empty and frame.empty:
        return HTML(f"<p>{html.escape(if_empty)}</p>")
    shown = frame.apply(lambda column: _texts(column, digits))
    kinds = ["number" if _is_numeric(frame[name]) else "text" for name in frame]
    head = "".join(_cell("th", kind, text) for kind, text in zip(kinds, heads, strict=True))
    body = "\n".join(
        "<tr>" + "".join(map(_cell, ["td"] * len(kinds), kinds, row)) + "</tr>"
        for row in shown.itertuples(index=False, name=None)
    )
    classes = " ".join(["dataframe", *_classes(shown)])
    return HTML(
        f'<table class="{classes}">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )


def heading(name: str) -> str:
    """The head of a column, by `HEADINGS`; a kind of attention, or what is no key, is its own.

    Raises:
        ValueError: If it is a key without a heading.
    """
    if name in HEADINGS:
        return HEADINGS[name]
    if name in {kind.label for kind in KINDS.values()}:
        return name
    if "_" in name:
        raise ValueError(f"column {name!r} has no heading; give it one in tables.HEADINGS")
    return name[:1].upper() + name[1:]


def _cell(tag: str, kind: str, text: str) -> str:
    return f'<{tag} class="{kind}">{html.escape(text)}</{tag}>'


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _classes(shown: pd.DataFrame) -> list[str]:
    """The page gives columns of sentences room; columns of numbers need none."""
    longest = max((len(text) for column in shown for text in shown[column]), default=0)
    return ["sentences"] if longest > LONG_TEXT else []


def _texts(column: pd.Series, digits: int) -> pd.Series:
    """A column as it is shown, with digits after the point for all of its numbers or for none."""
    is_whole = not pd.api.types.is_float_dtype(column) or (column.dropna() % 1 == 0).all()
    return column.map(lambda value: _text(value, 0 if is_whole else digits))


def _text(value: object, digits: int) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return MISSING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _SHORT_BRACKETS.sub(_on_one_line, str(value))
    if 0 < abs(value) < 10**-digits:
        return f"{value:.1e}"
    return f"{value:,.{digits}f}"


def _on_one_line(found: re.Match[str]) -> str:
    """Quartiles, for instance: a narrow column breaks before them, not within."""
    return found[0].translate(_UNBROKEN)
