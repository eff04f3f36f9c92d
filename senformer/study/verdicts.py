"""What runs say of the study's claims: verdicts with their reasons, and the tables that hold them.

Three things could be called "the study": what it states, what it stored, and what its code does
when this project runs or compiles it. They stand apart, as `evidence`, from what this project's own
code does. A verdict follows from numbers and how sure they are; where the settings differ from the
study's, none is given.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from senformer.report import results
from senformer.study import claims

AGREES = "agrees"
CONTRADICTS = "contradicts"
DIFFERS = "differs in setting"
UNDECIDED = "cannot be said"
NOT_MEASURED = "not measured"
VERDICTS = (AGREES, CONTRADICTS, UNDECIDED, DIFFERS, NOT_MEASURED)
"""What can be said of a claim. The last stands in no table: it is said of claims without a row."""

STUDYS_CODE = "the study's code"
STORED = "stored results"
THIS_CODE = "this project's code"
EVIDENCE = (STUDYS_CODE, STORED, THIS_CODE)
"""What a claim is held against: the study's code, run or compiled by this project; results that
others stored, the study or whom it cites; and this project's code. What bears on it most is first.
"""


class Judgement(NamedTuple):
    """What one kind of evidence says of a claim: a row of a table of claims.

    Attributes:
        key: of a published claim.
        evidence: one of `EVIDENCE`.
        measured: a number in the claim's unit, words, or nothing.
        verdict: one of `VERDICTS`.
        reason: why it is this verdict, where that is not plain from the numbers; or empty.
    """

    key: str
    evidence: str
    measured: float | str | None
    verdict: str
    reason: str


_IN_WORDS = {
    AGREES: ("agrees", "agree"),
    CONTRADICTS: ("is contradicted", "are contradicted"),
    UNDECIDED: ("cannot be decided", "cannot be decided"),
    DIFFERS: ("was measured in other settings", "were measured in other settings"),
    NOT_MEASURED: ("was not measured", "were not measured"),
}
"""How a verdict is said of one claim, and of several."""

COLUMNS = Judgement._fields
"""Of a table `<notebook>_claims.csv`."""


def judgement(
    key: str,
    evidence: str,
    measured: float | str | None,
    agrees: bool | None,
    *,
    unlike: str = "",
    reason: str = "",
) -> Judgement:
    """Judge a claim by what was measured.

    Args:
        key: of the claim.
        evidence: one of `EVIDENCE`.
        measured: what was measured.
        agrees: whether that agrees with the claim; None where the numbers leave it open.
        unlike: how the settings differ from the study's, in a sentence: then there is no verdict on
            the claim, whatever the numbers are.
        reason: why, otherwise.
    """
    if unlike:
        return Judgement(key, evidence, measured, DIFFERS, unlike)
    verdict = UNDECIDED if agrees is None else AGREES if agrees else CONTRADICTS
    return Judgement(key, evidence, measured, verdict, reason)


def is_within(claimed: float, low: float, high: float) -> bool | None:
    """Whether a claimed number lies within an interval; None where there is no interval."""
    if pd.isna(low) or pd.isna(high):
        return None
    return bool(low <= claimed <= high)


def table(judgements: Iterable[Judgement]) -> pd.DataFrame:
    """Judgements as rows of `COLUMNS`."""
    return pd.DataFrame(judgements, columns=list(COLUMNS))


def read(folder: Path) -> pd.DataFrame:
    """Read what the results in a folder say about published claims.

    Args:
        folder: holds the tables `<notebook>_claims.csv`, as `results.write` wrote them.

    Returns:
        Rows of `COLUMNS`; numbers are numbers, even in a column that holds words too. None where
        there are no such tables.

    Raises:
        ValueError: if a table lacks a column, two rows have the same claim and evidence, or a
            verdict or evidence is unknown.
        KeyError: if a row's key is no published claim.
    """
    tables = [_read(path) for path in sorted(folder.glob("*_claims.csv"))]
    rows = pd.concat(tables, ignore_index=True) if tables else table([])
    twice = rows[rows.duplicated(["key", "evidence"])]
    if len(twice):
        key, evidence = twice.iloc[0][["key", "evidence"]]
        raise ValueError(f"{folder}: two rows judge {key!r} by {evidence}")
    return rows


def decisive(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each claim the row that bears on it most: in the order of `EVIDENCE`, verdicts first.

    Args:
        rows: of `COLUMNS`.
    """
    order = rows.assign(
        is_open=~rows["verdict"].isin((AGREES, CONTRADICTS)),
        place=rows["evidence"].map(EVIDENCE.index),
    )
    ordered = order.sort_values(["is_open", "place"], kind="stable").drop_duplicates("key")
    return rows.loc[ordered.index.sort_values()]


def counts(rows: pd.DataFrame, topic: str = "") -> dict[str, int]:
    """How many of the study's findings get which verdict, by the evidence that bears on each most.

    Args:
        rows: of `COLUMNS`.
        topic: of the findings to count, a notebook's name; empty for all.
    """
    keys = [
        claim.key
        for claim in claims.CLAIMS
        if claim.kind == "finding" and claim.key.startswith(f"{topic}." if topic else "")
    ]
    verdicts = decisive(rows).set_index("key")["verdict"].reindex(keys).fillna(NOT_MEASURED)
    found = verdicts.value_counts()
    return {verdict: int(found[verdict]) for verdict in VERDICTS if verdict in found}


def in_words(counted: dict[str, int]) -> str:
    """Say how often each verdict was given: `2 agree, 1 contradicts`."""
    return ", ".join(
        f"{count} {_IN_WORDS[verdict][count > 1]}" for verdict, count in counted.items()
    )


def side_by_side(rows: pd.DataFrame) -> pd.DataFrame:
    """Put what was found beside what was published, for a table to read.

    Args:
        rows: of `COLUMNS`.

    Returns:
        Columns claim (its statement), stated, evidence, measured, verdict, reason, all texts, in
        the order of `claims.CLAIMS`.

    Raises:
        KeyError: if a row's key is no published claim.
    """
    order = {claim.key: place for place, claim in enumerate(claims.CLAIMS)}
    in_order = sorted(rows.to_dict("records"), key=lambda row: order[row["key"]])
    return pd.DataFrame(
        [
            {
                "claim": claims.get_claim(row["key"]).statement,
                "stated": claims.format_value(claims.get_claim(row["key"])),
                "evidence": row["evidence"],
                "measured": measured_text(row),
                "verdict": row["verdict"],
                "reason": "" if pd.isna(row["reason"]) else row["reason"],
            }
            for row in in_order
        ],
        columns=["claim", "stated", "evidence", "measured", "verdict", "reason"],
    )


def measured_text(row: Any) -> str:
    """What a row of `COLUMNS` found, for reading; a dash where there is nothing.

    Beside a finding's number it has one decimal more, so that the two can be compared.
    """
    claim = claims.get_claim(row["key"])
    _, _, stated_decimals = str(claim.value or "").partition(".")
    is_compared = claim.kind == "finding" and bool(stated_decimals)
    decimals = len(stated_decimals) + 1 if is_compared else None
    return claims.format_quantity(_number_or_words(row["measured"]), claim.unit, decimals) or "–"


def _read(path: Path) -> pd.DataFrame:
    rows = results.read(path)
    missing = [column for column in COLUMNS if column not in rows]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r}; expected {', '.join(COLUMNS)}")
    for key in rows["key"]:
        claims.get_claim(key)
    for column, known in (("evidence", EVIDENCE), ("verdict", VERDICTS)):
        unknown = rows.loc[~rows[column].isin(known), column]
        if len(unknown):
            raise ValueError(
                f"{path}: {column} {unknown.iloc[0]!r}, expected one of {', '.join(known)}"
            )
    # One cell of words makes texts of all numbers in a column of a CSV file.
    measured = rows["measured"].astype(object).map(_number_or_words)
    reason = rows["reason"].astype(object).fillna("")  # a column of empty texts is read as NaN
    return rows.assign(measured=measured, reason=reason)[list(COLUMNS)]


def _number_or_words(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
