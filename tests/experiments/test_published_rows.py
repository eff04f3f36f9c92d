import shutil

import numpy as np
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
    return [
        Measurement(**{k: None if pd.isna(row[k]) else row[k] for k in Measurement.model_fields})
        for row in table.to_dict("records")
    ]


def test_keep_replaces_measuring_and_compiling(tmp_path, monkeypatch):
    assert published_rows.keep(TABLES, tmp_path) > 100
    monkeypatch.setattr(measurements, "measure", None)  # would fail if it were called
    monkeypatch.setattr(compilations, "compiler_python", None)
    measured = results.read(TABLES / "memory.csv")
    again = measurements.measure_all(measurements_of(measured), tmp_path / "measurements")
    compiled = results.read(TABLES / "memory_compiled.csv")
    steps = {measurement.name: measurement for measurement in measurements_of(compiled)}
    compiled_again = compilations.compile_all(
        steps.values(), compiled["device"].unique(), tmp_path / "compiled"
    )
    for kept, published in ((again, measured), (compiled_again, compiled)):
        assert set(kept) == set(published)
        kept = kept[list(published)].replace("", np.nan).fillna(np.nan)
        pd.testing.assert_frame_equal(kept, published, check_dtype=False)


def test_keep_leaves_existing_rows(tmp_path):
    published_rows.keep(TABLES, tmp_path)
    [path, *_] = sorted((tmp_path / "measurements").glob("*.json"))
    path.write_text("{}")
    published_rows.keep(TABLES, tmp_path)
    assert path.read_text() == "{}"


def test_keep_names_missing_table(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"memory\.csv"):
        published_rows.keep(tmp_path, tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("memory", {column: None}) for column in ("status", "device", "time_utc", "channels")),
        ("memory", {"peak_memory_gb": -5.0}),
        ("memory", {"peak_memory_gb": "much"}),
        ("memory", {"status": "fine"}),
        ("runtime", {"step_seconds": np.nan}),
        ("runtime", {"steps": 1.5}),
        ("runtime", {"attention": "sparse"}),
        ("memory_compiled", {"kernels": None}),
        ("memory_compiled", {"device": "../../x"}),
        ("runtime_compiled", {"operations": 0.5}),
        ("runtime_compiled", {"more": 1}),
    ],
)
def test_keep_refuses_impossible_columns(tmp_path, name, change):
    shutil.copytree(TABLES, tmp_path / "tables")
    path = tmp_path / f"tables/{name}.csv"
    frame = results.read(path)
    changed = frame.assign(**change).drop(columns=[k for k, v in change.items() if v is None])
    results.write(changed, path, frame.attrs["provenance"])
    [column] = change
    with pytest.raises(ValueError, match=rf"{name}\.csv, row \d+: .*{column}") as error:
        published_rows.keep(tmp_path / "tables", tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
