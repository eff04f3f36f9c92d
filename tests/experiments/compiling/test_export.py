"""A training step is exported as a program for a GPU on a machine without one."""

import math
import re

import pytest

from senformer.experiments.compiling.export import export_step
from senformer.experiments.memory_and_time.grid import Measurement


@pytest.fixture(scope="module")
def program():
    step = Measurement(
        attention="bigbird_relative",
        num_transformer_layers=2,
        channels=256,
        num_heads=4,
        block_size=16,
        sequence_length_bp=16 * 128 * 16,
        steps=0,
    )
    return export_step(step)


def test_export_has_only_stablehlo(program):
    assert program.startswith("module")
    operations = set(re.findall(r"= \"?(\w+)\.\w+", program)) - {"stablehlo", "func", "chlo"}
    assert not operations


def test_export_keeps_recomputations_apart(program):
    assert program.count("stablehlo.optimization_barrier") >= 2


def test_export_has_no_large_constant(program):
    """Positions for dropout masks would be large; the program computes them."""
    shapes = re.findall(r"stablehlo\.constant .*: tensor<([\dx]+)x\w+>", program)
    sizes = [math.prod(map(int, shape.split("x"))) for shape in shapes]
    tokens, features = 256, 60
    assert max(sizes) == (2 * tokens - 1) * features
