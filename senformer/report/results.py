"""Result files: one tidy CSV per table, whose first line says what produced it.

That line also holds a digest of the file, so that a table that was cut short or changed after the
run is not mistaken for what the run measured.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from senformer.storage import atomic_files
from senformer.storage.text_files import parse_json_object, read_text

PROVENANCE_KEYS = (
    *("parameters", "seed", "data", "version"),
    *("commit", "device", "libraries", "time_utc"),
)
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
        ValueError: If the index has a name, or `provenance` lacks a key.
        OSError: If the file cannot be written; the message names it.
    """
    path = Path(path)
    missing = [key for key in PROVENANCE_KEYS if key not in provenance]
    if missing:
        raise ValueError(f"{path}: provenance lacks {', '.join(missing)}")
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
        ValueError: If the first line is no provenance, or the file changed after it was written.
            Older files without a digest are not verified.
    """
    path = Path(path)
    expected = "a result file; run the notebook that writes it"
    header, _, table = read_text(path, expected).partition("\n")
    described = _parse_provenance(path, header)
    digest = described.pop(_DIGEST, None)
    if digest is not None and digest != _digest(described, table):
        raise ValueError(f"{path}: changed after it was written, expected {expected}")
    _check_row_widths(path, table)
    frame = pd.read_csv(io.StringIO(table), keep_default_na=False, na_values=[""])
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
    commits = [_shorten_commit(commit) for commit in measured["commit"].unique()]
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


def _shorten_commit(commit: str) -> str:
    revision, dirty, _ = str(commit).partition("-dirty")
    return revision if revision == UNKNOWN else revision[:_SHORT_COMMIT] + dirty


def _parse_provenance(path: Path, header: str) -> dict[str, Any]:
    expected = "a file of `results.write`"
    if not header.startswith(_PREFIX + "{"):
        raise ValueError(f"{path}: no provenance in its first line; expected {expected}")
    described = parse_json_object(header.removeprefix(_PREFIX), path, expected)
    for key in PROVENANCE_KEYS:
        if key not in described:
            raise ValueError(f"{path}: its provenance lacks {key!r}; expected {expected}")
    for key in described:
        if key not in (*PROVENANCE_KEYS, _DIGEST):
            raise ValueError(f"{path}: its provenance has an unknown {key!r}; expected {expected}")
    return described


def _digest(described: Mapping[str, Any], table: str) -> str:
    lines = table.replace("\r\n", "\n").replace("\r", "\n")  # as Python reads text
    return hashlib.sha256(f"{json.dumps(described)}\n{lines}".encode()).hexdigest()


def _check_row_widths(path: Path, table: str) -> None:
    rows = csv.reader(io.StringIO(table), strict=True)
    try:
        names = next(rows, [])
        widths = [len(row) for row in rows if row]
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV table ({error})") from None
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{path}: columns {', '.join(names)!r}, expected distinct names")
    for number, width in enumerate(widths):
        if width != len(names):
            raise ValueError(
                f"{path}: row {number} has {width} values, expected {len(names)} as in the header"
            )
