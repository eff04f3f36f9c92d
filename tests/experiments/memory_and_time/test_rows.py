"""Rows on disk are read as they were written, or refused in one line that names the file."""

import json

import pytest
from step_rows import compiled_row, measured_row

from senformer.experiments.compiling.compilations import CompiledRow
from senformer.experiments.memory_and_time import rows
from senformer.experiments.memory_and_time.measurements import MeasuredRow

KINDS = {MeasuredRow: measured_row, CompiledRow: compiled_row}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path, kind):
    path = tmp_path / "row.json"
    rows.write(path, KINDS[kind]())
    return path


def expect_one_line(path, kind, message):
    with pytest.raises((ValueError, OSError), match=message) as error:
        rows.read(path, kind, {})
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_rows_are_read_as_written(path, kind):
    row = rows.read(path, kind, {"channels": 256})
    assert row == KINDS[kind]()
    rows.write(path, row)  # in the model's order of columns
    assert rows.read(path, kind, {}) == row
    with pytest.raises(ValueError, match=r"row\.json: channels=256, expected 512"):
        rows.read(path, kind, {"channels": 512})


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("2.0", "1.0"),
        lambda text: text.replace("2.0", "2"),
        lambda text: text.replace("256", "512"),
        lambda text: text.replace('"sha256"', '"sha512"'),
        lambda text: text[: text.rindex(",")] + "}",  # without the digest
        lambda text: json.dumps(json.loads(text) | {"sha256": None}),
        lambda text: json.dumps(json.loads(text) | {"unknown": 1}),
        lambda text: text.replace("{", '{"channels": 256,', 1),
        lambda text: text[:-9],
        lambda text: f"[{text}]",
        lambda text: "[" * 100_000,
        lambda text: "9" * 5000,
        lambda text: "",
        lambda text: "\0" * 9,
        lambda text: "\udcff\udcfe",
    ],
)
def test_damaged_rows_are_refused(path, kind, damage):
    damaged = damage(path.read_text()).encode(errors="surrogateescape")
    path.write_bytes(damaged)
    expect_one_line(path, kind, "expected a measurement")


COLUMNS = {
    "peak_memory_gb": [-5, 0.0, float("nan"), float("inf"), 10**400, "2.0", True, None, [2.0], {}],
    "status": ["fine", None, "", 1, "failed"],
    "device": ["", None, 7],
    "commit": ["", None],
    "time_utc": ["", None, "yesterday", 2026],
    "message": [None, 0],
    "channels": [256.0, "256", 100],
    "attention": ["sparse", None],
    "budget_gb": [float("nan"), "24", True, 0],
    "compute_dtype": ["float64"],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_have_types_and_bounds(path, kind, name):
    for value in COLUMNS[name]:
        rows.write(path, KINDS[kind](**{name: value}))
        expect_one_line(path, kind, f"row.json: .*({name}|status)")
    without = {k: v for k, v in KINDS[kind]().items() if k != name}
    if name not in ("budget_gb", "compute_dtype"):  # they have a default
        rows.write(path, without)
        expect_one_line(path, kind, name)


@pytest.mark.parametrize(
    "changes",
    [
        {"step_seconds": None},
        {"step_seconds_min": 0.75},
        {"step_seconds_max": 0.25},
        {"steps": 0},
        {"status": "out_of_memory"},
    ],
)
def test_measured_times_agree_with_the_steps(tmp_path, changes):
    path = tmp_path / "row.json"
    rows.write(path, measured_row(**changes))
    expect_one_line(path, MeasuredRow, "expected")


@pytest.mark.parametrize(
    "changes", [{"kernels": 1.5}, {"operations": -1}, {"device": "../a100"}, {"device": "/a100"}]
)
def test_compiled_columns_are_counts_and_a_card(tmp_path, changes):
    path = tmp_path / "row.json"
    rows.write(path, compiled_row(**changes))
    expect_one_line(path, CompiledRow, next(iter(changes)))
