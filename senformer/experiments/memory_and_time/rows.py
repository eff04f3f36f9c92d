"""Rows of a batch, a JSON file each: what is there is not done again, if it is what was asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from senformer.storage import atomic_files
from senformer.storage.text_files import read_json_object

Row = dict[str, Any]


def read(path: Path, asked: Mapping[str, Any]) -> Row | None:
    """A row that was kept, or none.

    Args:
        path: Its file.
        asked: What it must be a row of: these columns with these values.

    Raises:
        ValueError: If the file is no row, or one of something else; the message names it.
    """
    if not path.exists():
        return None
    row: Row = read_json_object(path, "a measurement (delete it to measure again)")
    for name, value in asked.items():
        if row.get(name) != value:
            raise ValueError(f"{path}: {name}={row.get(name)!r}, expected {value!r}")
    return row


def last_error_line(stderr: str, returncode: int) -> str:
    """What a process that failed said last, for the row that stands for it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"ended with status {returncode} and no message"


def write(path: Path, row: Row) -> None:
    """Keep a row, whole or not at all.

    Raises:
        OSError: If it cannot be written; the message names its file.
    """
    with atomic_files.replace_file(path) as unfinished:
        unfinished.write_text(json.dumps(row, indent=1) + "\n")
