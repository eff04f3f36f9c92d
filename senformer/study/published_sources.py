"""Who states what: a claim with its source, and the sources that most claims share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

STUDY = "Currie 2022"
STUDY_URL = "https://currie32.github.io/s-enformer-website/"
STUDY_CODE = "Currie 2022, code, commit d273c32"
STUDY_CODE_URL = "https://github.com/Currie32/s-enformer"
AVSEC = "Avsec et al. 2021, Nature Methods"
AVSEC_URL = "https://doi.org/10.1038/s41592-021-01252-x"
OURS = "this project, on the study's code (TensorFlow's CPU allocator, two cores)"

Kind = Literal["finding", "setting", "code", "elsewhere", "ours"]
"""What a claim is: something that the study found, and that can agree or not; what it did; what its
code does; what others report; what this project measured of its code."""


@dataclass(frozen=True)
class Claim:
    """One thing that a publication states.

    Attributes:
        key: a short name, `topic.what`, by which prose and tests ask for it.
        statement: the claim in a sentence of ours.
        value: its number, or None where the source gives words only.
        unit: the number's unit, empty where it has none.
        source: who states it and where.
        kind: see `Kind`.
        url: where the source is read; empty for this project's own.
    """

    key: str
    statement: str
    value: float | None
    unit: str
    source: str
    kind: Kind
    url: str


def study(key: str, statement: str, value: float | None, unit: str, where: str) -> Claim:
    """What the study found, and where in its text."""
    return Claim(key, statement, value, unit, f"{STUDY}, {where}", "finding", STUDY_URL)


def setting(key: str, statement: str, value: float | None, unit: str, where: str) -> Claim:
    """What the study did, and where in its text."""
    return Claim(key, statement, value, unit, f"{STUDY}, {where}", "setting", STUDY_URL)


def study_code(key: str, statement: str, value: float | None, unit: str, file: str) -> Claim:
    """What the study's code does, and in which file."""
    return Claim(key, statement, value, unit, f"{STUDY_CODE}, {file}", "code", STUDY_CODE_URL)


def issue(key: str, statement: str, value: float, repository: str, number: int) -> Claim:
    """What someone reports in a project on GitHub."""
    url = f"https://github.com/{repository}/issues/{number}"
    return Claim(key, statement, value, "", f"{repository}, issue {number}", "elsewhere", url)


def ours(key: str, statement: str, value: float | None, unit: str) -> Claim:
    """What this project measured of the study's code."""
    return Claim(key, statement, value, unit, OURS, "ours", "")
