"""Load the claims of the study and of the papers it builds on, from `claims.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

FILE = Path(__file__).with_name("claims.toml")

TRACK_TYPE_NAMES = {
    "dnase_atac": "DNase/ATAC",
    "chip_histone": "Histone ChIP",
    "chip_tf": "TF ChIP",
    "cage": "CAGE",
}
"""Track types: names in the study's files and keys, and names in this project."""

SEQUENCE_LENGTHS_BP = tuple(range(131_072, 786_432 + 1, 65_536))
"""The eleven input lengths of the study's memory and runtime figures."""

SEQUENCE_LENGTH_BP = 196_608
"""Enformer's input length, and the study's where it does not vary the length."""

TARGET_LENGTH = 896
"""Number of bins that Enformer predicts."""

CODE_LENGTHS_BP = (131_072, 262_144, 393_216)
"""Lengths at which this project measured the memory of the study's code."""

Kind = Literal["finding", "setting", "code", "elsewhere", "ours"]
"""Kinds of claims; `claims.toml` explains them."""

_Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Claim:
    """A statement of a publication.

    Attributes:
        key: Identifier `topic.name`, by which prose and tests refer to the claim.
        kind: See `Kind`; only a finding gets a verdict.
        statement: The claim in one sentence.
        source: Name of the source and the place in it.
        value: Its number, or None where the source gives words only.
        unit: Unit of the number; empty where it has none.
        url: Address of the source; empty for this project's own measurements.
    """

    key: Annotated[str, Field(pattern=r"^\w+\.\w+$")]
    kind: Kind
    statement: _Text
    source: _Text
    value: float | int | None = None
    unit: str = ""
    url: str = ""

    @property
    def topic(self) -> str:
        """The part of the key before the dot; for findings the name of a notebook."""
        return self.key.partition(".")[0]


def load_claims(path: str | Path = FILE) -> tuple[Claim, ...]:
    """Load claims from a TOML file and resolve their sources.

    Args:
        path: File with tables `[sources.<name>]` and a list `[[claims]]`; see `claims.toml`.

    Raises:
        ValueError: If a field is missing, unknown or of the wrong type, a source is not in the
            file, or a key occurs twice.
    """
    content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    rows = []
    for row in content["claims"]:
        fields = dict(row)
        name, where = fields.pop("source", None), fields.pop("where", "")
        if name not in content["sources"]:
            key = row.get("key")
            raise ValueError(f"{path}: claim {key!r}: source {name!r} is not in [sources]")
        source = content["sources"][name]
        url = source.get("url", "")
        if where.startswith("issue "):
            url = f"{url}/issues/{where.removeprefix('issue ')}"
        text = ", ".join(filter(None, (source["name"], where)))
        rows.append(fields | {"source": text, "url": url})
    try:
        claims = TypeAdapter(tuple[Claim, ...]).validate_python(rows)
    except ValidationError as error:
        first = error.errors()[0]
        key = rows[int(first["loc"][0])].get("key")
        raise ValueError(f"{path}: claim {key!r}: {first['loc'][-1]}: {first['msg']}") from None
    keys = [claim.key for claim in claims]
    if repeated := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"{path}: claim {repeated[0]!r} occurs {keys.count(repeated[0])} times")
    return claims


def get_claim(key: str) -> Claim:
    """Return the claim with a key.

    Raises:
        KeyError: If no claim has the key.
    """
    if key not in _BY_KEY:
        raise KeyError(f"no published claim {key!r}; there are {', '.join(_BY_KEY)}")
    return _BY_KEY[key]


def get_value(key: str) -> float:
    """Return the number of a claim.

    Raises:
        KeyError: If no claim has the key.
        ValueError: If the source states the claim in words only.
    """
    value = get_claim(key).value
    if value is None:
        raise ValueError(f"published claim {key!r} has no number")
    return value


def format_value(claim: Claim) -> str:
    """Write the number and unit of a claim, or that the source gives words only."""
    return format_quantity(claim.value, claim.unit) or "in words"


def format_quantity(value: Any, unit: str, decimals: int | None = None) -> str:
    """Write a value for reading: with thousands separators and its unit.

    Args:
        value: A number, words (written unchanged), or None or NaN (written as an empty text).
        unit: Unit of the number; words get none.
        decimals: Number of decimals; by default none for integers and four significant digits for
            other numbers.
    """
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, str):
        return value
    if decimals is not None:
        number = f"{float(value):,.{decimals}f}"
    elif float(value).is_integer():
        number = f"{int(value):,}"
    else:
        number = f"{float(value):.4g}"
    return f"{number} {unit}".strip()


CLAIMS = load_claims()
"""All published claims, in the order of the file."""

_BY_KEY = {claim.key: claim for claim in CLAIMS}
