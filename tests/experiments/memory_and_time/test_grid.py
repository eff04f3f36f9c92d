"""Measurements have unique names, command-line options and valid values."""

import pytest
from step_rows import TINY

from senformer.experiments.memory_and_time import measurements
from senformer.experiments.memory_and_time.grid import Measurement, command_line_options, grid

GRID = {
    "attention": ["dense", "bigbird"],
    "num_transformer_layers": [1],
    "channels": 256,
    "num_heads": 4,
    "sequence_lengths_bp": [65_536, 131_072],
}


def test_grid_alternates_kinds_of_attention():
    further = {"attention": ["dense"], "compute_dtype": "bfloat16"}
    steps = grid(**GRID, more=[further])
    assert [m.attention for m in steps] == ["dense", "bigbird"] * 2 + ["dense"] * 2
    assert steps[4:] == [m.replace(compute_dtype="bfloat16") for m in steps[:4:2]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention": "dense"}, "attention='dense', expected a list of at least one"),
        ({"attention": []}, "attention=.*, expected a list of at least one"),
        ({"attention": 5}, "attention=5, expected a list of at least one"),
        ({"lenght": 1}, "unknown option 'lenght'"),
        ({"more": [{"steps": -1}]}, "steps=-1, expected at least 0"),
    ],
)
def test_grid_names_an_invalid_argument(change, message):
    with pytest.raises(ValueError, match=message):
        grid(**{**GRID, **change})


def test_names_differ_in_every_field():
    values = {
        "attention": "tiled",
        "num_transformer_layers": 2,
        "channels": 512,
        "sequence_length_bp": 4096,
        "batch_size": 2,
        "trainable": "all",
        "steps": 3,
        "budget_gb": 1.25,
        "num_heads": 8,
        "block_size": 32,
        "compute_dtype": "bfloat16",
    }
    assert set(values) == set(Measurement.model_fields)
    others = [TINY.replace(**{name: value}) for name, value in values.items()]
    names = {m.name for m in (TINY, TINY.replace(budget_gb=1.5), *others)}
    assert len(names) == 2 + len(others)


def test_names_of_stored_files_do_not_change():
    assert TINY.name == "dense_1layers_256ch_2048bp_attention_batch1_2steps_4heads_block16"
    other = TINY.replace(compute_dtype="bfloat16", budget_gb=1.5)
    assert other.name == f"{TINY.name}_bfloat16_1.5gb"


def test_command_line_options_restore_the_measurement(monkeypatch):
    from typer.testing import CliRunner

    from senformer.cli import app

    measured = []
    monkeypatch.setattr(measurements, "measure", lambda m: measured.append(m) or {"status": "ok"})
    changes = {"budget_gb": 3.5, "trainable": "all", "batch_size": 2, "compute_dtype": "bfloat16"}
    requested = [TINY, TINY.replace(**changes)]
    for measurement in requested:
        options = command_line_options(measurement).split()
        assert CliRunner().invoke(app, ["measure", *options]).exit_code == 0
    assert measured == requested


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainable": "heads"}, "trainable='heads', expected one of attention, all"),
        ({"attention": "sparse"}, "attention='sparse', expected one of"),
        ({"sequence_length_bp": 1000}, "multiple of 128"),
        ({"steps": -1}, "steps=-1, expected at least 0"),
        ({"steps": 1.5}, "steps=1.5, expected a valid integer"),
        ({"batch_size": "2"}, "batch_size='2', expected a valid integer"),
        ({"budget_gb": float("nan")}, "budget_gb=nan, expected a finite number"),
        ({"budget_gb": 0.0}, "budget_gb=0.0, expected greater than 0"),
        ({"budget_gb": True}, "budget_gb=True, expected a valid number"),
    ],
)
def test_measurement_rejects_invalid_values(change, message):
    with pytest.raises(ValueError, match=message):
        TINY.replace(**change)
