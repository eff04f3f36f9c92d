"""Result files: one tidy CSV per table, with what produced it in its first line."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from senformer.storage import whole_files

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
_SHORT_COMMIT = 7


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
    text = io.StringIO()
    text.write(_PREFIX + json.dumps(dict(provenance)) + "\n")
    frame.to_csv(text, index=False, lineterminator="\n")
    with whole_files.whole_file(path) as unfinished:
        unfinished.write_text(text.getvalue(), encoding="utf-8")
    return path


def read(path: str | Path) -> pd.DataFrame:
    """Read a table that `write` wrote; its provenance is in `.attrs["provenance"]`.

    Numbers come back bit for bit; an empty string comes back as a missing value.

    Args:
        path: a CSV written by `write`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file's first line is not a provenance, as in a CSV from elsewhere.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such result file; run the notebook that writes it")
    header, _, table = path.read_text(encoding="utf-8").partition("\n")
    described = _parse_provenance(path, header)
    frame = pd.read_csv(io.StringIO(table), keep_default_na=False, na_values=[""])
    frame.attrs["provenance"] = described
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
    line says, and not where and when the rows were put together.

    Args:
        frame: as `read` gives it, or rows of it, with its provenance in `attrs`. Rows without a
            commit, such as published ones, count for nothing.
    """
    provenance = frame.attrs["provenance"]
    if not {"device", "commit", "time_utc"} <= set(frame) or frame["commit"].isna().all():
        return caption(provenance)
    measured = frame.dropna(subset="commit").sort_values("time_utc")
    return _caption(
        list(measured["device"].unique()),
        provenance["data"],
        list(measured["commit"].unique()),
        [measured["time_utc"].min(), measured["time_utc"].max()],
    )


def _caption(
    devices: Sequence[str], data: str, commits: Sequence[str], times_utc: Sequence[str]
) -> str:
    named = "commit" if len(commits) == 1 else "commits"
    days = dict.fromkeys(str(time)[: len("2000-01-01")] for time in times_utc)
    parts = [
        " and ".join(filter(None, [", ".join(devices[:-1]), devices[-1]])),
        data,
        f"{named} {', '.join(map(_short, commits))}",
        " to ".join(days),
    ]
    return " · ".join(parts)


def _short(commit: str) -> str:
    revision, dirty, _ = str(commit).partition("-dirty")
    return revision if revision == UNKNOWN else revision[:_SHORT_COMMIT] + dirty


def _parse_provenance(path: Path, header: str) -> dict[str, Any]:
    try:
        described = json.loads(header.removeprefix(_PREFIX))
    except json.JSONDecodeError:
        described = None
    if not header.startswith(_PREFIX) or not isinstance(described, dict):
        raise ValueError(
            f"{path}: no provenance in its first line; expected a file of `results.write`"
        )
    return described
