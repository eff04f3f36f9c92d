"""Read and write the rows of a run, one JSON file with a digest per measurement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from senformer.config import IsoTime, NonEmptyText
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.storage import atomic_files
from senformer.storage.checksums import checksum_values
from senformer.storage.text_files import read_json_object

Row = dict[str, Any]

_DIGEST = "sha256"


class StepRow(Measurement):
    """A training step with what was found out about it; subclasses add columns of numbers.

    Attributes:
        status: The outcome; each subclass defines its values.
        message: Why the step failed or ran out of memory, otherwise empty.
        device: The device or the card.
        commit: Commit of this package.
        time_utc: Time of the measurement.
    """

    status: str
    message: str
    device: NonEmptyText
    commit: NonEmptyText
    time_utc: IsoTime

    def check_numbers(self, names: tuple[str, ...], statuses: tuple[str, ...]) -> None:
        """Check that columns have numbers if the status is among some, and none otherwise.

        Raises:
            ValueError: If a number is missing or should be; the message names its column.
        """
        for name in names:
            value = getattr(self, name)
            if (value is None) is (self.status in statuses):
                expected = "a number" if value is None else "None"
                raise ValueError(f"{name}={value}, expected {expected} as status={self.status!r}")


def check(columns: Mapping[str, Any], row_type: type[StepRow], source: Path | str) -> Row:
    """Check the types and values of a row's columns.

    Args:
        columns: The row's columns by name.
        row_type: The kind of row.
        source: File and row, for the message.

    Raises:
        ValueError: If a column is unknown, missing or has an impossible value.
    """
    try:
        return row_type(**columns).model_dump()
    except ValueError as error:
        raise ValueError(f"{source}: {str(error).splitlines()[0]}") from None


def read(path: Path, row_type: type[StepRow], expected: Mapping[str, Any]) -> Row | None:
    """Read a row, or return None if there is none or its measurement failed.

    Args:
        path: File of the row.
        row_type: The kind of row.
        expected: Columns and values that the row must have.

    Raises:
        ValueError: If the file is damaged, or has the row of another measurement; the message
            names it.
    """
    if not path.exists():
        return None
    columns = read_json_object(path, "a measurement (delete it to measure again)")
    if columns.pop(_DIGEST, None) != checksum_values(columns):
        raise ValueError(f"{path}: not as it was written, expected a measurement with its digest")
    row = check(columns, row_type, path)
    for name, value in expected.items():
        if row[name] != value:
            raise ValueError(f"{path}: {name}={row[name]!r}, expected {value!r}")
    return None if row["status"] == "failed" else row


def write(path: Path, row: Row) -> None:
    """Write a row with its digest atomically.

    Raises:
        OSError: If the file cannot be written; the message names it.
    """
    with atomic_files.replace_file(path) as unfinished:
        unfinished.write_text(json.dumps({**row, _DIGEST: checksum_values(row)}, indent=1) + "\n")


def last_error_line(stderr: str, returncode: int) -> str:
    """Return the last line that a failed process wrote to stderr, for the message of its row."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"ended with status {returncode} and no message"
