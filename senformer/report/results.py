"""Result files: one tidy CSV per table, with what produced it in its first line.

That line also holds a digest of the file, so that a table which was cut short or changed after it
was written is not taken for what a run measured.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from senformer.storage import atomic_files
from senformer.storage.text_files import parse_json_object, read_text

PROVENANCE_KEYS = (
    "parameters",
    "seed",
    "data",
    "version",
    "commit",
    "device",
    "libraries",
    "time_utc",
)
"""What every provenance holds, in the order in which it is written."""

UNKNOWN = "unknown"

ONEDNN = "oneDNN"
OWN_KERNELS = "TensorFlow's own kernels"

_PREFIX = "# "
_DIGEST = "sha256"
_SHORT_COMMIT = 7
_MOST_COMMITS_NAMED = 2


def write(frame: pd.DataFrame, path: str | Path, provenance: Mapping[str, Any]) -> Path:
    """Write a table with its provenance, whole or not at all.

    Args:
        frame: a tidy table, one row per observation, units in the column names. Its index is not
            written, so it must not carry a name.
        path: where to write; folders are made. A file that is there is replaced.
        provenance: as `provenance.describe_run` gives it.

    Returns:
        The path written.

    Raises:
        ValueError: if the index has a name, or `provenance` lacks a key.
        OSError: if it cannot be written; the message names the file.
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

    Its provenance is in `.attrs["provenance"]`, the name of its file in `.attrs["file"]`.

    Numbers come back bit for bit; an empty string comes back as a missing value.

    Args:
        path: a CSV written by `write`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file's first line is not a provenance, as in a CSV from elsewhere, or the
            file changed after it was written. One of before files had a digest is taken as it is.
    """
    path = Path(path)
    expected = "a result file; the notebook that writes it makes it anew"
    header, _, table = read_text(path, expected).partition("\n")
    described = _parse_provenance(path, header)
    digest = described.pop(_DIGEST, None)
    if digest is not None and digest != _digest(described, table):
        raise ValueError(f"{path}: changed after it was written, expected {expected}")
    _expect_rows_as_wide_as_the_header(path, table)
    frame = pd.read_csv(io.StringIO(table), keep_default_na=False, na_values=[""])
    frame.attrs |= {"provenance": described, "file": path.name}
    return frame


def caption(provenance: Mapping[str, Any]) -> str:
    """Give the line that stands under a figure: device, data, commit, date.

    Args:
        provenance: as `provenance.describe_run` gives it.
    """
    return _caption(
        [provenance["device"]],
        provenance["data"],
        [provenance["commit"]],
        [provenance["time_utc"]],
    )


def caption_of(frame: pd.DataFrame) -> str:
    """Give the line that stands under a figure of this table.

    Where each row says on which device, at which commit and when it was measured, that is what the
    line says, and not where and when the rows were put together. Of many commits it names the first
    and the last; the table has all.

    Args:
        frame: as `read` gives it, or rows of it, with its provenance in `attrs`. Rows without a
            commit, such as published ones, count for nothing.
    """
    provenance = frame.attrs["provenance"]
    if not {"device", "commit", "time_utc"} <= set(frame) or frame["commit"].isna().all():
        return caption(provenance)
    measured = frame.dropna(subset="commit").sort_values("time_utc")
    device = "device_label" if "device_label" in measured else "device"
    return _caption(
        list(measured[device].unique()),
        provenance["data"],
        list(measured["commit"].unique()),
        [measured["time_utc"].min(), measured["time_utc"].max()],
    )


def _caption(
    devices: Sequence[str], data: str, commits: Sequence[str], times_utc: Sequence[str]
) -> str:
    days = dict.fromkeys(str(time)[: len("2000-01-01")] for time in times_utc)
    parts = [
        " and ".join(filter(None, [", ".join(devices[:-1]), devices[-1]])),
        data,
        _named([_short(commit) for commit in commits]),
        " to ".join(days),
    ]
    return " · ".join(parts)


def _named(commits: Sequence[str]) -> str:
    if len(commits) > _MOST_COMMITS_NAMED:
        return f"{len(commits)} commits, {commits[0]} to {commits[-1]}"
    return f"commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}"


def _short(commit: str) -> str:
    revision, dirty, _ = str(commit).partition("-dirty")
    return revision if revision == UNKNOWN else revision[:_SHORT_COMMIT] + dirty


def _parse_provenance(path: Path, header: str) -> dict[str, Any]:
    expected = "a file of `results.write`"
    if not header.startswith(_PREFIX + "{"):
        raise ValueError(f"{path}: no provenance in its first line; expected {expected}")
    described = parse_json_object(header.removeprefix(_PREFIX), path, expected)
    for key in (*PROVENANCE_KEYS, *described):
        if key not in described or key not in (*PROVENANCE_KEYS, _DIGEST):
            how = "has an unknown" if key in described else "lacks"
            raise ValueError(f"{path}: its provenance {how} {key!r}; expected {expected}")
    return described


def _digest(described: Mapping[str, Any], table: str) -> str:
    lines = table.replace("\r\n", "\n").replace("\r", "\n")  # as a text is read
    return hashlib.sha256(f"{json.dumps(described)}\n{lines}".encode()).hexdigest()


def _expect_rows_as_wide_as_the_header(path: Path, table: str) -> None:
    rows = csv.reader(io.StringIO(table), strict=True)
    try:
        names = next(rows, [])
        widths = [len(row) for row in rows if row]
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV table ({error})") from None
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{path}: columns {', '.join(names)!r}, expected a head of distinct names")
    for number, width in enumerate(widths):
        if width != len(names):
            raise ValueError(
                f"{path}: row {number} has {width} values, expected the head's {len(names)}"
            )
