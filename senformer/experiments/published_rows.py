"""Copy measured and compiled steps from published tables into a run.

Such a run measures and compiles only the missing steps, so that it makes the pages of memory and
runtime again in seconds instead of hours. Each row keeps its commit, device and time.
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
"""The notebooks whose tables contain measured steps."""

_CARD_COLUMNS = ("device_label", "device_memory_gb", *LEAST_TIMES)
"""Columns that are derived from a card's description whenever a row is read."""

_FIELDS = {field.name for field in dataclasses.fields(Measurement)}


def keep(tables: Path, run_folder: Path) -> int:
    """Copy the steps of published tables into a run's folder.

    Args:
        tables: Folder of `memory.csv`, `runtime.csv` and their tables of compiled steps, such as
            `book/results/data` or another run's folder.
        run_folder: The run's folder. Rows that it has already stay.

    Returns:
        The number of different steps in the tables.

    Raises:
        FileNotFoundError: If there is no such table.
        ValueError: If a table is damaged, or has no measured steps.
    """
    steps: dict[Path, rows.Row] = {}
    for name in NOTEBOOKS:
        for row in _rows(results.read(tables / f"{name}.csv")):
            path = run_folder / "measurements" / f"{_measurement(row).name}.json"
            steps.setdefault(path, row)
        for row in _rows(results.read(tables / f"{name}_compiled.csv")):
            path = row_file(_measurement(row), str(row["device"]), run_folder / "compiled")
            steps.setdefault(path, {k: v for k, v in row.items() if k not in _CARD_COLUMNS})
    for path, row in steps.items():
        if not path.exists():
            rows.write(path, row)
    return len(steps)


def _rows(table: pd.DataFrame) -> Iterator[rows.Row]:
    """Yield the rows of a table with None for missing values, and with integers.

    pandas stores the integers of a column with missing values as floats.
    """

    def restore(value: object) -> object:
        if pd.isna(value):  # type: ignore[call-overload]
            return None
        return int(value) if isinstance(value, float) and value.is_integer() else value

    for row in table.to_dict("records"):
        restored = {str(name): restore(value) for name, value in row.items()}
        yield restored | {"message": restored.get("message") or ""}


def _measurement(row: rows.Row) -> Measurement:
    missing = sorted(_FIELDS - row.keys())
    if missing:
        raise ValueError(f"no column {missing[0]!r}, expected a table of measured steps")
    return Measurement(**{name: row[name] for name in _FIELDS})
