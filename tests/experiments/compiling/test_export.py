"""A step as the program of a GPU, exported where there is none."""

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


def test_it_is_stablehlo_alone(program):
    assert program.startswith("module")
    operations = set(re.findall(r"= \"?(\w+)\.\w+", program)) - {"stablehlo", "func", "chlo"}
    assert not operations


def test_what_is_repeated_stays_apart_from_its_first_run(program):
    assert program.count("stablehlo.optimization_barrier") >= 2


def test_no_constant_is_larger_than_the_features_of_positions(program):
    """Places that dropout draws for would be: they are computed, not brought along."""
    shapes = re.findall(r"stablehlo\.constant .*: tensor<([\dx]+)x\w+>", program)
    sizes = [math.prod(map(int, shape.split("x"))) for shape in shapes]
    tokens, features = 256, 60
    assert max(sizes) == (2 * tokens - 1) * features
