"""Steps that ran on a GPU, in words and tables."""

import pandas as pd
import pytest

from senformer.report import gpu_runs


@pytest.fixture
def ran():
    columns = ["code", "attention", "sequence_length_bp", "compute_dtype"]
    rows = [
        ("this package", "dense", 131_072, "float32"),
        ("this package", "bigbird", 131_072, "float32"),
        ("published", "dense", 131_072, "float32"),
        ("this package", "tiled", 131_072, "float32"),
    ]
    numbers = {
        "step_seconds": [0.2, 0.1, 0.4, None],  # the last did not run
        "step_seconds_min": [0.2, 0.1, 0.39, None],
        "step_seconds_max": [0.2, 0.1, 0.41, None],
        "least_seconds": [0.1, 0.1, 0.1, 0.1],
        "peak_memory_gb": [2.0, 1.8, 3.0, None],
        "compiled_peak_gb": [1.6, 2.0, 3.0, 1.0],
        "steps": [10, 10, 10, None],
        "ran_on": ["Card", "Card", "Card", "Card"],
        "libraries": ["jax 1", "jax 1", "jax 1", None],
    }
    return pd.DataFrame(rows, columns=columns).assign(**numbers)


def test_it_is_said_where_and_how_often_they_ran(ran):
    assert gpu_runs.where_run(ran) == (
        "Run on Card by jax 1: 3 programs, 10 steps each after a first, whose longest and "
        "shortest differ by 5% at most."
    )


def test_the_published_codes_are_compared_where_both_ran(ran):
    published = ran.assign(
        trainable="attention",
        num_transformer_layers=11,
        code="published",
        step_seconds=[2, 1, 4, 5],
    ).query("attention != 'tiled'")
    at_two_lengths = published.assign(sequence_length_bp=[131_072, 131_072, 262_144])
    assert gpu_runs.published_codes_beside_each_other(at_two_lengths) == (
        "Of the study's two formulations, each compiled as a whole, bigbird took the time of dense "
        "0.50 times at 131,072 bp."
    )


def test_the_least_time_is_compared_with_this_packages_own_steps(ran):
    own = gpu_runs.of_this_package(ran)
    assert list(own["attention"]) == ["dense", "bigbird"]
    assert gpu_runs.beside_the_least_time(own) == (
        "Steps took 1.0 to 2.0 times the least time: the least of bigbird at 131,072 bp, the most "
        "of dense at 131,072 bp."
    )


def test_the_peak_that_is_farthest_off_is_named(ran):
    assert gpu_runs.beside_the_compiled_peak(ran) == (
        "The card's allocator had given out 0.90 to 1.25 times the peak that had been compiled for "
        "it, 1.00 times in the median; farthest off is dense at 131,072 bp, with 2.0 GB where 1.6 "
        "were compiled."
    )
