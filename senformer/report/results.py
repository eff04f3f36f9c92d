"""Result files: one tidy CSV per table, whose first line says what produced it.

That line also holds a digest of the file, so that a table that was cut short or changed after the
run is not mistaken for what the run measured.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from senformer.config import IsoTime, Options
from senformer.storage import atomic_files
from senformer.storage.text_files import parse_json_object, read_text


class _Provenance(Options):
    """Declare what a table came from; `provenance.describe_run` finds it out."""

    parameters: dict[str, Any]
    seed: Annotated[int, Field(strict=True)]
    data: str
    version: str
    commit: str
    device: str
    libraries: dict[str, str]
    time_utc: IsoTime


PROVENANCE_KEYS = tuple(_Provenance.model_fields)
"""The keys of every provenance, in the order in which they are written."""

UNKNOWN = "unknown"

ONEDNN = "oneDNN"
OWN_KERNELS = "TensorFlow's own kernels"

_PREFIX = "# "
_DIGEST = "sha256"
_SHORT_COMMIT = 7
_MOST_COMMITS_NAMED = 2


def write(frame: pd.DataFrame, path: str | Path, provenance: Mapping[str, Any]) -> Path:
    """Write a table with its provenance, completely or not at all.

    Args:
        frame: A tidy table: one row per observation, units in the column names. The index is not
            written, so it must not have a name.
        path: File to write; its folder is created, and an existing file is replaced.
        provenance: Provenance from `provenance.describe_run`.

    Returns:
        The path of the file.

    Raises:
        ValueError: If the index has a name, or `provenance` lacks a key or has a wrong type.
        OSError: If the file cannot be written; the message names it.
    """
    path = Path(path)
    _check_provenance(path, provenance)
    if any(name is not None for name in frame.index.names):
        raise ValueError(f"{path}: the index {frame.index.names} would be lost; make it a column")
    table = frame.to_csv(index=False, lineterminator="\n")
    described = dict(provenance)
    header = json.dumps(described | {_DIGEST: _digest(described, table)})
    with atomic_files.replace_file(path) as unfinished:
        unfinished.write_text(f"{_PREFIX}{header}\n{table}", encoding="utf-8")
    return path


def read(path: str | Path) -> pd.DataFrame:
    """Read a table that `write` wrote.

    Numbers are bit-identical to those written; an empty string becomes a missing value.

    Args:
        path: A CSV file that `write` wrote.

    Returns:
        The table, with its provenance in `.attrs["provenance"]` and the name of its file in
        `.attrs["file"]`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the first line is no provenance with a digest, or the file changed after it
            was written.
    """
    path = Path(path)
    expected = "a result file; run the notebook that writes it"
    header, _, table = read_text(path, expected).partition("\n")
    described = _parse_provenance(path, header)
    if described.pop(_DIGEST, None) != _digest(described, table):
        raise ValueError(f"{path}: changed after it was written, expected {expected}")
    _check_provenance(path, described)
    try:
        frame = pd.read_csv(io.StringIO(table), keep_default_na=False, na_values=[""])
    except ValueError as error:
        raise ValueError(f"{path}: not a CSV table ({error}), expected {expected}") from None
    frame.attrs |= {"provenance": described, "file": path.name}
    return frame


def caption(provenance: Mapping[str, Any]) -> str:
    """Write the line under a figure: device, data, commit, date.

    Args:
        provenance: Provenance from `provenance.describe_run`.
    """
    return caption_of(pd.DataFrame(), provenance)


def caption_of(frame: pd.DataFrame, provenance: Mapping[str, Any] | None = None) -> str:
    """Write the line under a figure of a table.

    If each row has its own device, commit and time of measurement, the line gives those and not
    where and when the rows were put together. Of many commits it names the first and the last.

    Args:
        frame: A table from `read`, or rows of it. Rows without a commit, such as published ones,
            are ignored.
        provenance: Provenance of the table; by default `frame.attrs["provenance"]`.
    """
    provenance = provenance or frame.attrs["provenance"]
    measured = pd.DataFrame([provenance])
    if {"device", "commit", "time_utc"} <= set(frame) and frame["commit"].notna().any():
        measured = frame.dropna(subset="commit").sort_values("time_utc")
    label = "device_label" if "device_label" in measured else "device"
    *devices, last = measured[label].unique()
    commits = [shorten_commit(commit) for commit in measured["commit"].unique()]
    if len(commits) > _MOST_COMMITS_NAMED:
        named = f"{len(commits)} commits, {commits[0]} to {commits[-1]}"
    else:
        named = f"commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}"
    times = measured["time_utc"].astype(str).str[: len("2000-01-01")]
    return " · ".join(
        [
            f"{', '.join(devices)} and {last}" if devices else last,
            provenance["data"],
            named,
            " to ".join(dict.fromkeys([times.iloc[0], times.iloc[-1]])),
        ]
    )


def shorten_commit(commit: str) -> str:
    """Return the first characters of a commit, and `-dirty` if it had uncommitted changes."""
    revision, dirty, _ = str(commit).partition("-dirty")
    return revision if revision == UNKNOWN else revision[:_SHORT_COMMIT] + dirty


def _parse_provenance(path: Path, header: str) -> dict[str, Any]:
    expected = "a file of `results.write`"
    if not header.startswith(_PREFIX + "{"):
        raise ValueError(f"{path}: no provenance in its first line, expected {expected}")
    described = parse_json_object(header.removeprefix(_PREFIX), path, expected)
    if not isinstance(described.get(_DIGEST), str):
        raise ValueError(f"{path}: no {_DIGEST} in its first line, expected {expected}")
    return described


def _check_provenance(path: Path, provenance: Mapping[str, Any]) -> None:
    try:
        _Provenance(**provenance)
    except ValueError as error:
        lines = ", ".join(str(error).splitlines())
        raise ValueError(f"{path}: its provenance is wrong ({lines})") from None


def _digest(described: Mapping[str, Any], table: str) -> str:
    lines = table.replace("\r\n", "\n").replace("\r", "\n")  # as Python reads text
    return hashlib.sha256(f"{json.dumps(described)}\n{lines}".encode()).hexdigest()
