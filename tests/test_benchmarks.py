"""Every script in `benchmarks/` runs to its end and writes what the book's tables read."""

import importlib.util
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from senformer.experiments.compiling.export import export_step
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.report import benchmark_tables
from senformer.workflow import notebooks

_spec = importlib.util.spec_from_file_location(
    "run_exported", notebooks.ROOT / "benchmarks" / "run_exported.py"
)
run_exported = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(run_exported)

SHORTEST_BP = "40960"  # five blocks of 64 tokens: BigBird's least
COMMANDS = [
    "attention.py alone --tokens 320 --repeats 1",
    "attention.py layer --tokens 320 --kinds dense bigbird_relative --repeats 1 --gradients all",
    "cached_trunk.py --length 16384 --repeats 1",
    "receptive_field.py --preset senformer_tiny --length 16384 --positions 3 --repeats 1",
    f"whole_model.py train --length {SHORTEST_BP} --layers 1 --kinds bigbird_relative --repeats 1",
    f"whole_model.py predict --length {SHORTEST_BP} --layers 1 --kinds tiled --repeats 1",
]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_script_writes_what_it_measured_and_how_it_was_called(command, tmp_path):
    script, *arguments = command.split()
    ended = subprocess.run(
        [sys.executable, notebooks.ROOT / "benchmarks" / script, *arguments, "--folder", tmp_path],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    (path,) = tmp_path.glob("*.csv")
    assert str(path) in ended.stdout
    rows = benchmark_tables.read(path)
    assert (rows["seconds"] > 0).all()
    assert rows["device"].notna().all()
    parameters = rows.attrs["provenance"]["parameters"]
    assert parameters["repeats"] == 1
    assert "folder" not in parameters


@pytest.fixture(scope="module")
def exported():
    """A step's program, and the arguments that it says it takes."""
    step = Measurement(
        attention="bigbird",
        num_transformer_layers=1,
        channels=256,
        num_heads=4,
        block_size=16,
        sequence_length_bp=16 * 128 * 16,
        steps=0,
    )
    text = export_step(step)
    arguments, results = re.search(r"func\.func @main\((.*?)\) -> \((.*?)\) \{", text).groups()
    types = re.findall(r"tensor<((?:\d+x)*)(\w+)>", arguments)
    shapes = [([int(n) for n in shape.split("x") if n], kind) for shape, kind in types]
    return (
        text,
        shapes,
        re.findall(r"tensor<[^>]*>", results),
        re.findall(r"tensor<[^>]*>", arguments),
    )


def test_what_an_exported_step_updates_is_of_the_same_type(exported):
    text, _, results, arguments = exported
    updated = run_exported.updated_arguments(text)
    assert len(updated) == len(results) - 1  # but for the loss
    assert all(results[result] == arguments[argument] for result, argument in updated.items())


def test_arguments_for_an_exported_step_are_positive_and_sum_to_about_one(exported):
    made = run_exported.make_arguments(exported[1])
    assert [x.shape for x in made] == [tuple(shape) for shape, _ in exported[1]]
    numbers = [x for x in made if x.dtype.kind == "f"]
    assert all((x > 0).all() and np.isfinite(x).all() for x in numbers)
    kernel = next(x for x in numbers if x.ndim == 3 and x.shape[-1] > 4)
    assert kernel.sum(axis=(0, 1)) == pytest.approx(np.ones(kernel.shape[-1]), rel=0.2)


def test_products_in_whole_float32_leave_no_product_otherwise(exported):
    text = run_exported.with_precision(exported[0], run_exported.FLOAT32_PRODUCTS["float32"])
    assert "HIGHEST" in text
    assert "DEFAULT" not in text
