"""A measurement is told apart by its name, and asked for by the options of the command line."""

import dataclasses

import pytest

from senformer.experiments.memory_and_time import measurements
from senformer.experiments.memory_and_time.grid import Measurement, command_line_options, grid

TINY = Measurement(
    attention="dense",
    num_transformer_layers=1,
    channels=256,
    sequence_length_bp=2048,
    num_heads=4,
    block_size=16,
    steps=2,
)


def test_a_further_grid_says_what_differs_and_keeps_the_rest():
    arguments = {
        "attention": ["dense", "bigbird"],
        "num_transformer_layers": [1],
        "channels": 256,
        "num_heads": 4,
        "sequence_lengths_bp": [65_536],
    }
    further = {"attention": ["dense"], "compute_dtype": "bfloat16"}
    *first, last = grid(**arguments, more=[further])
    assert first == grid(**arguments)
    assert last == dataclasses.replace(first[0], compute_dtype="bfloat16")


def test_a_grid_of_an_unknown_setting_is_refused_by_name():
    with pytest.raises(TypeError, match="lenght"):
        grid(attention=["dense"], num_transformer_layers=[1], sequence_lengths_bp=[2048], lenght=1)


@pytest.mark.parametrize("attention", ["dense", []])
def test_what_is_no_list_is_refused_by_name(attention):
    with pytest.raises(ValueError, match=r"attention=.*, expected a list of at least one"):
        grid(attention=attention, num_transformer_layers=[1], sequence_lengths_bp=[16_384])


def test_kinds_of_attention_take_turns():
    measurements = grid(
        attention=["dense", "bigbird"],
        num_transformer_layers=[1],
        channels=256,
        sequence_lengths_bp=[16_384, 32_768],
        num_heads=4,
        block_size=16,
    )
    assert [m.attention for m in measurements] == ["dense", "bigbird"] * 2


def test_names_differ_wherever_measurements_differ():
    changes = {
        "attention": ["tiled"],
        "num_transformer_layers": [2],
        "channels": [512],
        "sequence_length_bp": [4096],
        "batch_size": [2],
        "trainable": ["all"],
        "steps": [3],
        "budget_gb": [1.5, 1.25],
        "num_heads": [8],
        "block_size": [32],
        "compute_dtype": ["bfloat16"],
    }
    assert set(changes) == {field.name for field in dataclasses.fields(Measurement)}
    every = [
        TINY,
        *(
            dataclasses.replace(TINY, **{name: value})
            for name, values in changes.items()
            for value in values
        ),
    ]
    assert len({m.name for m in every}) == len(every)


def test_the_name_of_a_file_stays_what_it_was_when_it_was_measured():
    assert TINY.name == "dense_1layers_256ch_2048bp_attention_batch1_2steps_4heads_block16"
    other = dataclasses.replace(TINY, compute_dtype="bfloat16", budget_gb=1.5)
    assert other.name == f"{TINY.name}_bfloat16_1.5gb"


def test_command_line_options_ask_for_the_same_measurement(monkeypatch):
    from typer.testing import CliRunner

    from senformer.cli import app

    asked = []
    monkeypatch.setattr(measurements, "measure", lambda m: asked.append(m) or {"status": "ok"})
    changes = {"budget_gb": 3.5, "trainable": "all", "batch_size": 2, "compute_dtype": "bfloat16"}
    every = [TINY, dataclasses.replace(TINY, **changes)]
    for measurement in every:
        options = command_line_options(measurement).split()
        assert CliRunner().invoke(app, ["measure", *options]).exit_code == 0
    assert asked == every


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainable": "heads"}, "trainable='heads', expected one of attention, all"),
        ({"attention": "sparse"}, "attention='sparse', expected one of"),
        ({"sequence_length_bp": 1000}, "multiple of 128"),
        ({"steps": -1}, "steps=-1, expected an integer of at least 0"),
        ({"steps": 1.5}, "steps=1.5, expected an integer of at least 0"),
        ({"batch_size": "2"}, "batch_size='2', expected an integer of at least 1"),
        ({"budget_gb": float("nan")}, "budget_gb=nan, expected a finite number above 0"),
        ({"budget_gb": 0.0}, "budget_gb=0.0, expected a finite number above 0"),
    ],
)
def test_impossible_measurements_are_refused_before_any_work(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)
