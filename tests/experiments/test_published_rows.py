import pandas as pd
import pytest

from senformer.experiments import published_rows
from senformer.experiments.compiling import compilations
from senformer.experiments.memory_and_time import measurements
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.report import results
from senformer.workflow import site

TABLES = site.BOOK / "results" / "data"


def measurements_of(table):
    fields = list(Measurement.__dataclass_fields__)
    return [
        Measurement(**{name: None if pd.isna(row[name]) else row[name] for name in fields})
        for row in table.to_dict("records")
    ]


def test_keep_replaces_measuring_and_compiling(tmp_path, monkeypatch):
    assert published_rows.keep(TABLES, tmp_path) > 100
    monkeypatch.setattr(measurements, "measure", None)  # would fail if it were called
    monkeypatch.setattr(compilations, "compiler_python", None)
    measured = results.read(TABLES / "memory.csv")
    again = measurements.measure_all(measurements_of(measured), tmp_path / "measurements")
    columns = ["peak_memory_gb", "status", "commit"]
    pd.testing.assert_frame_equal(again[columns], measured[columns], check_dtype=False)
    compiled = results.read(TABLES / "memory_compiled.csv")
    steps = {measurement.name: measurement for measurement in measurements_of(compiled)}
    again = compilations.compile_all(
        steps.values(), compiled["device"].unique(), tmp_path / "compiled"
    )
    columns = ["peak_memory_gb", "kernels", "least_seconds", "device_label"]
    pd.testing.assert_frame_equal(again[columns], compiled[columns], check_dtype=False)


def test_keep_leaves_existing_rows(tmp_path):
    published_rows.keep(TABLES, tmp_path)
    [path, *_] = sorted((tmp_path / "measurements").glob("*.json"))
    path.write_text("{}")
    published_rows.keep(TABLES, tmp_path)
    assert path.read_text() == "{}"


def test_keep_names_missing_table(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"memory\.csv"):
        published_rows.keep(tmp_path, tmp_path / "run")
