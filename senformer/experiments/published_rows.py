"""Measured and compiled steps of published tables, as a run keeps them.

A run that begins with them measures and compiles what they lack: the pages of memory and runtime
are made again in seconds, where their rows took hours. Each row keeps the commit, the device and
the day that it was measured at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from senformer.experiments.compiling.compilations import LEAST_TIMES, row_file
from senformer.experiments.memory_and_time import rows
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.report import results

NOTEBOOKS = ("memory", "runtime")
"""Whose tables hold such rows."""

_OF_CARDS = ("device_label", "device_memory_gb", *LEAST_TIMES)
"""Columns that are made anew of a card's description when a row is read."""

_FIELDS = {field.name for field in dataclasses.fields(Measurement)}


def keep(tables: Path, run_folder: Path) -> int:
    """Let a run begin with the steps of published tables.

    Args:
        tables: holds `memory.csv`, `runtime.csv` and what was compiled for each, as a run left
            them: `book/results/data`, or another run's folder.
        run_folder: the run's. Rows that it has already stay.

    Returns:
        How many rows it has of them.

    Raises:
        FileNotFoundError: if there is no such table.
        ValueError: if one is damaged, or has no rows of this kind.
    """
    kept = 0
    for name in NOTEBOOKS:
        for row in _rows(results.read(tables / f"{name}.csv")):
            path = run_folder / "measurements" / f"{_measurement(row).name}.json"
            kept += _write(path, row)
        for row in _rows(results.read(tables / f"{name}_compiled.csv")):
            of_step = {column: value for column, value in row.items() if column not in _OF_CARDS}
            path = row_file(_measurement(row), str(row["device"]), run_folder / "compiled")
            kept += _write(path, of_step)
    return kept


def _rows(table: pd.DataFrame) -> Iterator[rows.Row]:
    """Rows as they were before a table made missing values and whole numbers its own."""
    for row in table.to_dict("records"):
        plain = {str(name): _plain(value) for name, value in row.items()}
        yield plain | {"message": plain.get("message") or ""}


def _plain(value: object) -> object:
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    # A column with a missing value holds its whole numbers as floats.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _measurement(row: rows.Row) -> Measurement:
    missing = sorted(_FIELDS - row.keys())
    if missing:
        raise ValueError(f"no column {missing[0]!r}, expected a table of measured steps")
    return Measurement(**{name: row[name] for name in _FIELDS})


def _write(path: Path, row: rows.Row) -> int:
    if not path.exists():
        rows.write(path, row)
    return 1
