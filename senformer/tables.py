"""Tables of the report as they stand on a page: whole sentences, units in the head, few digits."""

from __future__ import annotations

import pandas as pd
from IPython.display import HTML

MISSING = "–"


def show(frame: pd.DataFrame, *, digits: int = 3) -> HTML:
    """A table for the end of a notebook's cell.

    Pandas' own display cuts long text and shows an index that means nothing.

    Args:
        frame: Its column names are the table's head; its index is not shown.
        digits: Digits after the point of numbers that are not whole.

    Returns:
        The table, with nothing cut.
    """
    shown = frame.rename(columns=lambda name: str(name).replace("_", " "))
    shown = shown.apply(lambda column: column.map(lambda value: _text(value, digits)))
    with pd.option_context("display.max_colwidth", None):
        return HTML(shown.to_html(index=False, border=0))


def _text(value: object, digits: int) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return MISSING
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.{digits}f}" if abs(value) >= 10**-digits else f"{value:.2g}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{int(value):,}"
    return str(value)
