"""Judge claims by evidence, and read, count and list verdicts.

A claim is judged by three kinds of evidence, which stay apart: results that others stored, the
study's code as this project ran or compiled it, and this project's code. A verdict follows from
numbers and their uncertainty. Where a run's settings differ from the study's, there is no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from senformer.report import results
from senformer.study.claims import CLAIMS, format_quantity, format_value, get_claim

AGREES = "agrees"
CONTRADICTS = "contradicts"
DIFFERS = "differs in setting"
UNDECIDED = "cannot be said"
NOT_MEASURED = "not measured"
VERDICTS = (AGREES, CONTRADICTS, UNDECIDED, DIFFERS, NOT_MEASURED)
"""All verdicts. Tables never hold the last one: it stands for claims without a row."""

_VERDICT_PHRASES = {
    AGREES: ("agrees", "agree"),
    CONTRADICTS: ("is contradicted", "are contradicted"),
    UNDECIDED: ("cannot be decided", "cannot be decided"),
    DIFFERS: ("was measured in other settings", "were measured in other settings"),
    NOT_MEASURED: ("was not measured", "were not measured"),
}
"""Phrases for one claim and for several claims."""

STUDYS_CODE = "the study's code"
STORED = "stored results"
THIS_CODE = "this project's code"
EVIDENCE = (STUDYS_CODE, STORED, THIS_CODE)
"""Kinds of evidence, the most relevant to a claim first."""

Tables = Mapping[str, Any]
"""Tables by name, as a judge's extractor takes them."""


class UndecidedError(Exception):
    """The numbers leave a claim open; the message gives the reason."""


class NotComparableError(Exception):
    """The settings differ from the study's; the message gives the reason."""


class Found(NamedTuple):
    """The result of an extractor.

    Attributes:
        measured: A number in the claim's unit, words, or None.
        agrees: Whether it agrees with the claim; None if the numbers leave that open.
        reason: The reason, where it is not plain from the numbers; or empty.
        difference: How the evidence differs from the study's setting, in a sentence; then there is
            no verdict. Empty if it does not.
    """

    measured: float | str | None
    agrees: bool | None
    reason: str = ""
    difference: str = ""


class Judge(NamedTuple):
    """How one kind of evidence judges one claim.

    Attributes:
        key: Key of the claim.
        evidence: One of `EVIDENCE`.
        extract: Takes the tables; returns what they say of the claim. It raises `UndecidedError`
            or `NotComparableError` if they say nothing.
        difference: How this evidence always differs from the study, in a sentence; None if the
            differences of the run apply.
        needs: Name of the table without which the judge gives no row.
    """

    key: str
    evidence: str
    extract: Callable[[Tables], Found]
    difference: str | None = None
    needs: str = ""


class Judgement(NamedTuple):
    """One row of a table of verdicts.

    Attributes:
        key: Key of the claim.
        evidence: One of `EVIDENCE`.
        measured: A number in the claim's unit, words, or None.
        verdict: One of `VERDICTS`.
        reason: The reason for the verdict; or empty.
    """

    key: str
    evidence: str
    measured: float | str | None
    verdict: str
    reason: str


COLUMNS = Judgement._fields
"""Columns of a table `<notebook>_claims.csv`."""


def apply_judges(judges: Iterable[Judge], tables: Tables, difference: str = "") -> pd.DataFrame:
    """Judge claims by the tables of a run.

    Args:
        judges: The rows to make, in order.
        tables: Tables by name; a judge whose table is missing gives no row.
        difference: How the run's settings differ from the study's, in a sentence; or empty.

    Returns:
        A table with `COLUMNS`.
    """
    rows = []
    for judge in judges:
        if judge.needs and judge.needs not in tables:
            continue
        differs = difference if judge.difference is None else judge.difference
        try:
            found = judge.extract(tables)
        except NotComparableError as error:
            found, differs = Found(None, None), str(error)
        except UndecidedError as error:
            found = Found(None, None, str(error))
        verdict = {True: AGREES, False: CONTRADICTS, None: UNDECIDED}[found.agrees]
        reason = found.reason
        if differs := found.difference or differs:
            verdict, reason = DIFFERS, differs
        rows.append(Judgement(judge.key, judge.evidence, found.measured, verdict, reason))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def decide(supports: ArrayLike, contradicts: ArrayLike) -> bool | None:
    """Tell whether a claim about all cases holds.

    Args:
        supports: Booleans, whether each case supports the claim.
        contradicts: Booleans, whether each case contradicts it.

    Returns:
        True if there are cases and all support it, False if one contradicts it, otherwise None.
    """
    if np.size(supports) and np.all(supports):
        return True
    return False if np.any(contradicts) else None


def is_within(claimed: float, low: float, high: float) -> bool | None:
    """Tell whether a claimed number lies in an interval; None if there is no interval."""
    if pd.isna(low) or pd.isna(high):
        return None
    return bool(low <= claimed <= high)


def read_verdicts(folder: Path) -> pd.DataFrame:
    """Read all tables `<notebook>_claims.csv` of a folder, as `results.write` wrote them.

    Returns:
        Rows with `COLUMNS`; numbers are numbers, also in a column that holds words. Empty if there
        are no such tables.

    Raises:
        ValueError: If a table lacks a column, two rows have the same claim and evidence, or a
            verdict or evidence is unknown.
        KeyError: If a row's key is no published claim.
    """
    tables = []
    for path in sorted(folder.glob("*_claims.csv")):
        rows = results.read(path)
        missing = [column for column in COLUMNS if column not in rows]
        if missing:
            raise ValueError(f"{path}: no column {missing[0]!r}; expected {', '.join(COLUMNS)}")
        for key in rows["key"]:
            get_claim(key)
        for column, known in (("evidence", EVIDENCE), ("verdict", VERDICTS)):
            unknown = rows.loc[~rows[column].isin(known), column].tolist()
            if unknown:
                expected = ", ".join(known)
                raise ValueError(f"{path}: {column} {unknown[0]!r}, expected one of {expected}")
        # Words in one cell turn all numbers of a CSV column into texts.
        measured = rows["measured"].astype(object).map(_parse_number)
        reason = rows["reason"].astype(object).fillna("")  # a column of empty texts is read as NaN
        tables.append(rows.assign(measured=measured, reason=reason)[list(COLUMNS)])
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    judged = pd.concat(tables, ignore_index=True)
    twice = judged[judged.duplicated(["key", "evidence"])]
    if len(twice):
        key, evidence = twice.iloc[0][["key", "evidence"]]
        raise ValueError(f"{folder}: two rows judge {key!r} by {evidence}")
    return judged


def select_decisive(rows: pd.DataFrame) -> pd.DataFrame:
    """Select the most relevant row of each claim: verdicts first, then the order of `EVIDENCE`."""
    order = rows.assign(
        is_open=~rows["verdict"].isin((AGREES, CONTRADICTS)),
        place=rows["evidence"].map(EVIDENCE.index),
    )
    ordered = order.sort_values(["is_open", "place"], kind="stable").drop_duplicates("key")
    return rows.loc[ordered.index.sort_values()]


def count_verdicts(rows: pd.DataFrame, topic: str = "") -> dict[str, int]:
    """Count the study's findings by verdict, each by its most relevant evidence.

    Args:
        rows: Table with `COLUMNS`.
        topic: Name of a notebook to count its findings alone; empty for all.
    """
    keys = [c.key for c in CLAIMS if c.kind == "finding" and topic in ("", c.topic)]
    found = select_decisive(rows).set_index("key")["verdict"].reindex(keys).fillna(NOT_MEASURED)
    counted = found.value_counts()
    return {verdict: int(counted[verdict]) for verdict in VERDICTS if verdict in counted}


def describe_counts(counts: Mapping[str, int]) -> str:
    """Write counts of verdicts as words: `2 agree, 1 is contradicted`."""
    return ", ".join(
        f"{count} {_VERDICT_PHRASES[verdict][count > 1]}" for verdict, count in counts.items()
    )


def compare_with_claims(rows: pd.DataFrame) -> pd.DataFrame:
    """Put measured values next to the claims, for a table to read.

    Args:
        rows: Table with `COLUMNS`.

    Returns:
        Columns claim (its statement), stated, evidence, measured, verdict, reason, all texts, in
        the order of `CLAIMS`.

    Raises:
        KeyError: If a row's key is no published claim.
    """
    order = {claim.key: place for place, claim in enumerate(CLAIMS)}
    in_order = sorted(rows.to_dict("records"), key=lambda row: order[row["key"]])
    return pd.DataFrame(
        [
            {
                "claim": get_claim(row["key"]).statement,
                "stated": format_value(get_claim(row["key"])),
                "evidence": row["evidence"],
                "measured": format_measured(row),
                "verdict": row["verdict"],
                "reason": "" if pd.isna(row["reason"]) else row["reason"],
            }
            for row in in_order
        ],
        columns=["claim", "stated", "evidence", "measured", "verdict", "reason"],
    )


def format_measured(row: Any) -> str:
    """Write what a row of `COLUMNS` measured; a dash if nothing.

    A finding's number gets one decimal more than the claimed number, so that the two compare.
    """
    claim = get_claim(row["key"])
    _, _, claimed_decimals = str(claim.value or "").partition(".")
    decimals = None
    if claim.kind == "finding" and claimed_decimals:
        decimals = len(claimed_decimals) + 1
    return format_quantity(_parse_number(row["measured"]), claim.unit, decimals) or "–"


def _parse_number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
