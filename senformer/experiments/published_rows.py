"""Copy measured and compiled steps from published tables into a run.

Such a run measures and compiles only the missing steps, so that it makes the pages of memory and
runtime again in seconds instead of hours. Each row keeps its commit, device and time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from senformer.experiments.compiling.compilations import LEAST_TIMES, CompiledRow, row_file
from senformer.experiments.memory_and_time import rows
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.experiments.memory_and_time.measurements import MeasuredRow
from senformer.report import results

NOTEBOOKS = ("memory", "runtime")
"""The notebooks whose tables contain measured steps."""

_CARD_COLUMNS = ("device_label", "device_memory_gb", *LEAST_TIMES)
"""Columns that are derived from a card's description whenever a row is read."""


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
        ValueError: If a table is damaged, or has a row that no measurement writes; the message
            names the table.
    """
    steps: dict[Path, rows.Row] = {}
    for name in NOTEBOOKS:
        for row in _read_rows(tables / f"{name}.csv", MeasuredRow):
            path = run_folder / "measurements" / f"{_measurement(row).name}.json"
            steps.setdefault(path, row)
        for row in _read_rows(tables / f"{name}_compiled.csv", CompiledRow):
            path = row_file(_measurement(row), row["device"], run_folder / "compiled")
            steps.setdefault(path, row)
    for path, row in steps.items():
        if not path.exists():
            rows.write(path, row)
    return len(steps)


def _read_rows(path: Path, row_type: type[rows.StepRow]) -> Iterator[rows.Row]:
    """Yield the checked rows of a table.

    pandas stores the integers of a column with missing values as floats, and empty text as missing.
    """
    table = results.read(path).drop(columns=list(_CARD_COLUMNS), errors="ignore")
    for number, row in enumerate(table.to_dict("records")):
        columns = {str(name): _restore(value) for name, value in row.items()}
        columns["message"] = columns.get("message") or ""
        yield rows.check(columns, row_type, f"{path}, row {number}")


def _restore(value: object) -> object:
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _measurement(row: rows.Row) -> Measurement:
    return Measurement(**{name: row[name] for name in Measurement.model_fields})
