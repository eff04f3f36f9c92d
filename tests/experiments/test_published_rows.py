"""What was published of steps is not measured again."""

import pandas as pd
import pytest

from senformer.experiments import published_rows
from senformer.experiments.compiling import cards, compilations
from senformer.experiments.memory_and_time import measurements
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.workflow import site

TABLES = site.BOOK / "results" / "data"


def test_a_run_that_begins_with_the_published_rows_measures_and_compiles_nothing(
    tmp_path, monkeypatch
):
    assert published_rows.keep(TABLES, tmp_path) > 100
    monkeypatch.setattr(measurements, "measure", None)  # would fail if it were called
    monkeypatch.setattr(compilations, "compiler_python", None)
    from senformer.report import results

    measured = results.read(TABLES / "memory.csv")
    fields = list(Measurement.__dataclass_fields__)
    asked = [
        Measurement(**{name: None if pd.isna(row[name]) else row[name] for name in fields})
        for row in measured.to_dict("records")
    ]
    again = measurements.measure_all(asked, tmp_path / "measurements")
    pd.testing.assert_frame_equal(
        again[["peak_memory_gb", "status", "commit"]],
        measured[["peak_memory_gb", "status", "commit"]],
        check_dtype=False,
    )
    compiled = results.read(TABLES / "memory_compiled.csv")
    steps = {
        measurement.name: measurement
        for row in compiled.to_dict("records")
        for measurement in [
            Measurement(**{name: None if pd.isna(row[name]) else row[name] for name in fields})
        ]
    }
    devices = [cards.card(name) for name in compiled["device"].unique()]
    again = compilations.compile_all(steps.values(), devices, tmp_path / "compiled")
    columns = ["peak_memory_gb", "kernels", "least_seconds", "device_label"]
    pd.testing.assert_frame_equal(again[columns], compiled[columns], check_dtype=False)


def test_rows_that_a_run_has_already_stay(tmp_path):
    published_rows.keep(TABLES, tmp_path)
    [path, *_] = sorted((tmp_path / "measurements").glob("*.json"))
    path.write_text("{}")
    published_rows.keep(TABLES, tmp_path)
    assert path.read_text() == "{}"


def test_a_folder_without_such_tables_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"memory\.csv"):
        published_rows.keep(tmp_path, tmp_path / "run")
