"""Published claims beside what was measured of them, as tables and for reading.

What a run says of the claims stands in tables `<notebook>_claims.csv`, columns `COLUMNS`: the key
of a published claim; what was measured, a number in the claim's unit or words; and whether they
agree, "yes", "no", or why that cannot be said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from senformer.report import published, results

COLUMNS = ("key", "measured", "agrees")
NOTHING = "–"
NOT_MEASURED = "not measured here"
IN_STORED_RESULTS = "in its stored results"
"""Head of what was found in a publication's own results, where `measured` is of this project."""


def quantity(value: Any, unit: str) -> str:
    """Write a value for reading: thousands apart, its unit after it, words as they are.

    Args:
        value: a number, words, or nothing (None or NaN), which is written as nothing.
        unit: the number's unit; words get none.
    """
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, str):
        return value
    number = f"{int(value):,}" if float(value).is_integer() else f"{float(value):.4g}"
    return f"{number} {unit}".strip()


def not_comparable(why: str) -> str:
    """Say in the column `agrees` that a run cannot judge a claim, and why."""
    return f"not comparable: {why}"


def agreement(agrees: bool, *, unlike: str = "", otherwise: str = "") -> str:
    """Write what the column `agrees` of a table of claims says.

    Args:
        agrees: whether what was measured agrees with the claim.
        unlike: why that cannot be said, in a sentence; empty where it can.
        otherwise: what to add to a "no", a reason.
    """
    if unlike:
        return not_comparable(unlike)
    if agrees:
        return "yes"
    return f"no: {otherwise}" if otherwise else "no"


def verdict_and_reason(agrees: str) -> tuple[str, str]:
    """Part what the column `agrees` says, "no: another number", into verdict and reason.

    The reason is empty where none is given.
    """
    verdict, _, reason = agrees.partition(": ")
    return verdict, reason


def measured_claims(folder: Path) -> pd.DataFrame:
    """Read what the results in a folder say about published claims.

    Args:
        folder: holds the tables `<notebook>_claims.csv`, as `results.write` wrote them.

    Returns:
        `COLUMNS`, with index key; numbers are numbers, even in a column that holds words too. No
        rows where there are no such tables.

    Raises:
        ValueError: if a table lacks a column, or two rows speak of the same claim.
        KeyError: if a row's key is no published claim.
    """
    tables = [_read(path) for path in sorted(folder.glob("*_claims.csv"))]
    rows = pd.concat(tables) if tables else pd.DataFrame(columns=list(COLUMNS))
    twice = rows["key"][rows["key"].duplicated()]
    if len(twice):
        raise ValueError(f"{folder}: two rows measure {twice.iloc[0]!r}")
    return rows.set_index("key", drop=False)


def side_by_side(measured: pd.DataFrame, *, found: str = "measured") -> pd.DataFrame:
    """Put what was measured beside what was published, for a table on a page.

    Args:
        measured: rows of columns `COLUMNS`.
        found: name of the column of what was found: by this project, or `IN_STORED_RESULTS`.

    Returns:
        Columns claim (its statement), published, measured, agrees, all texts, in the order of
        `published.CLAIMS`; claims of which nothing was measured are left out.

    Raises:
        KeyError: if a row's key is no published claim.
    """
    of_key = {row["key"]: texts(row["key"], row) for row in measured.to_dict("records")}
    rows = [of_key[claim.key] for claim in published.CLAIMS if claim.key in of_key]
    table = pd.DataFrame(rows, columns=["claim", "published", "measured", "agrees"])
    return table.rename(columns={"measured": found})


def texts(key: str, row: Any) -> dict[str, str]:
    """Write one claim and what was measured of it for reading.

    Args:
        key: of a published claim.
        row: its row of `COLUMNS`, a mapping; empty where nothing was measured.

    Returns:
        claim, published, measured, agrees; a dash stands for what there is not.

    Raises:
        KeyError: if there is no claim of that key.
    """
    claim = published.claim(key)
    agrees = row.get("agrees")
    return {
        "claim": claim.statement,
        "published": quantity(claim.value, claim.unit) or "in words",
        "measured": quantity(_number_or_words(row.get("measured")), claim.unit) or NOTHING,
        "agrees": NOT_MEASURED if agrees is None or pd.isna(agrees) else str(agrees),
    }


def _read(path: Path) -> pd.DataFrame:
    rows = results.read(path)
    missing = [column for column in COLUMNS if column not in rows]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r}; expected {', '.join(COLUMNS)}")
    for key in rows["key"]:
        published.claim(key)
    # One cell of words makes texts of all numbers in a column of a CSV file.
    measured = rows["measured"].astype(object).map(_number_or_words)
    return rows.assign(measured=measured)[list(COLUMNS)]


def _number_or_words(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
