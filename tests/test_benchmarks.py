"""Scripts in `benchmarks/` run and write the tables that the book reads."""

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

SHORTEST_BP = "40960"  # five blocks of 64 tokens: the fewest for BigBird
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
def test_script_writes_rows_and_parameters(command, tmp_path):
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
    """A step's program, the shapes of its arguments, and the types of its results and arguments."""
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


def test_updated_arguments_keep_their_types(exported):
    text, _, results, arguments = exported
    updated = run_exported.updated_arguments(text)
    assert len(updated) == len(results) - 1  # the loss is not an updated variable
    assert all(results[result] == arguments[argument] for result, argument in updated.items())


def test_make_arguments_keeps_activations_near_one(exported):
    made = run_exported.make_arguments(exported[1])
    assert [x.shape for x in made] == [tuple(shape) for shape, _ in exported[1]]
    numbers = [x for x in made if x.dtype.kind == "f"]
    assert all((x > 0).all() and np.isfinite(x).all() for x in numbers)
    kernel = next(x for x in numbers if x.ndim == 3 and x.shape[-1] > 4)
    assert kernel.sum(axis=(0, 1)) == pytest.approx(np.ones(kernel.shape[-1]), rel=0.2)


def test_with_precision_changes_every_product(exported):
    text = run_exported.with_precision(exported[0], run_exported.FLOAT32_PRODUCTS["float32"])
    assert "HIGHEST" in text
    assert "DEFAULT" not in text
