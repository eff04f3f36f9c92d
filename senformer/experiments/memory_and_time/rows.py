"""Read and write the rows of a run, one JSON file per measurement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from senformer.storage import atomic_files
from senformer.storage.text_files import read_json_object

Row = dict[str, Any]


def read(path: Path, expected: Mapping[str, Any]) -> Row | None:
    """Read a row, or return None if there is none or its measurement failed.

    Args:
        path: File of the row.
        expected: Columns and values that the row must have.

    Raises:
        ValueError: If the file has no row or the row of another measurement; the message names it.
    """
    if not path.exists():
        return None
    row: Row = read_json_object(path, "a measurement (delete it to measure again)")
    for name, value in expected.items():
        if row.get(name) != value:
            raise ValueError(f"{path}: {name}={row.get(name)!r}, expected {value!r}")
    return None if row.get("status") == "failed" else row


def write(path: Path, row: Row) -> None:
    """Write a row atomically.

    Raises:
        OSError: If the file cannot be written; the message names it.
    """
    with atomic_files.replace_file(path) as unfinished:
        unfinished.write_text(json.dumps(row, indent=1) + "\n")


def last_error_line(stderr: str, returncode: int) -> str:
    """Return the last line that a failed process wrote to stderr, for the message of its row."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"ended with status {returncode} and no message"
