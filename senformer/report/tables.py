"""Tables of the report as they stand on a page: whole sentences, units in the head, few digits."""

from __future__ import annotations

import html
import re

import pandas as pd
from IPython.display import HTML

MISSING = "–"
LONG_TEXT = 40
"""Characters from which on a cell is read as a sentence."""

_SHORT_BRACKETS = re.compile(r"\([^()]{1,20}\)")
_UNBROKEN = str.maketrans({" ": "\u00a0", "–": "–\u2060"})


def show(frame: pd.DataFrame, *, digits: int = 3, if_empty: str = "") -> HTML:
    """A table for the end of a notebook's cell.

    Pandas' own display cuts long text and shows an index that means nothing.

    Args:
        frame: Its column names are the table's head; its index is not shown.
        digits: Digits after the point of numbers that are not whole.
        if_empty: What to say instead of a table without rows; by default its head is shown.

    Returns:
        The table, with nothing cut.
    """
    if if_empty and frame.empty:
        return HTML(f"<p>{html.escape(if_empty)}</p>")
    shown = frame.rename_axis(columns=None).rename(columns=lambda name: str(name).replace("_", " "))
    shown = shown.apply(lambda column: _texts(column, digits))
    with pd.option_context("display.max_colwidth", None):
        return HTML(shown.to_html(index=False, border=0, classes=_classes(shown)))


def _classes(shown: pd.DataFrame) -> str:
    """The page gives columns of sentences room; columns of numbers need none."""
    longest = max((len(text) for column in shown for text in shown[column]), default=0)
    return "sentences" if longest > LONG_TEXT else ""


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
