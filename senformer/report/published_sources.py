"""Who states what: a claim with its source, and the sources that most claims share."""

from __future__ import annotations

from dataclasses import dataclass

STUDY = "Currie 2022, currie32.github.io/s-enformer-website"
STUDY_CODE = "Currie 2022, github.com/Currie32/s-enformer, commit d273c32"
AVSEC = "Avsec et al. 2021, Nature Methods, doi 10.1038/s41592-021-01252-x"
OURS = "this project, on the published code (TensorFlow's CPU allocator, two cores)"


@dataclass(frozen=True)
class Claim:
    """One thing that a publication states.

    Attributes:
        key: a short name, `topic.what`, by which prose and tests ask for it.
        statement: the claim in a sentence of ours.
        value: its number, or None where the source gives words only.
        unit: the number's unit, empty where it has none.
        source: who states it and where.
    """

    key: str
    statement: str
    value: float | None
    unit: str
    source: str


def study(key: str, statement: str, value: float | None, unit: str, where: str) -> Claim:
    """A claim of the study's text, and where in it."""
    return Claim(key, statement, value, unit, f"{STUDY}, {where}")


def study_code(key: str, statement: str, value: float | None, unit: str, file: str) -> Claim:
    """What the study's code does, and in which file."""
    return Claim(key, statement, value, unit, f"{STUDY_CODE}, {file}")


def ours(key: str, statement: str, value: float | None, unit: str) -> Claim:
    """What this project measured of the published code."""
    return Claim(key, statement, value, unit, OURS)
