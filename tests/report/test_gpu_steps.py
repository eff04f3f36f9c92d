"""Tables and sentences about steps on a GPU."""

import pandas as pd
import pytest
from figure_tables import compiled_steps

from senformer.report import gpu_steps


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


def test_describe_runs(ran):
    assert gpu_steps.describe_runs(ran) == (
        "Run on Card by jax 1: 3 programs, 10 timed steps each, after one that is not counted. The "
        "longest and the shortest step of a program differ by at most 5%."
    )


def test_describe_published_code(ran):
    published = ran.assign(code="published", step_seconds=[2, 1, 4, 5]).query(
        "attention != 'tiled'"
    )
    at_two_lengths = published.assign(sequence_length_bp=[131_072, 131_072, 262_144])
    assert gpu_steps.describe_published_code(at_two_lengths) == (
        "Of the study's two formulations, each compiled as a whole, bigbird took the time of dense "
        "0.50 times at 131,072 bp."
    )


def test_describe_least_time_of_own_steps(ran):
    own = gpu_steps.steps_of_this_package(ran)
    assert list(own["attention"]) == ["dense", "bigbird"]
    assert gpu_steps.describe_least_time(own) == (
        "Steps took 1.0 to 2.0 times the least time: least for bigbird at 131,072 bp, most for "
        "dense at 131,072 bp."
    )


def test_describe_compiled_peak(ran):
    assert gpu_steps.describe_compiled_peak(ran) == (
        "The card's allocator gave out 0.90 to 1.25 times the compiled peak, 1.00 times in the "
        "median. The largest difference is that of dense at 131,072 bp, with 2.0 GB instead of "
        "1.6 GB."
    )


def test_memory_per_layer():
    per_layer = gpu_steps.memory_per_layer(compiled_steps())
    assert len(per_layer) == 2 * 2 * 2 * 2
    assert per_layer["layer_gb"].to_numpy() == pytest.approx(per_layer["sequence_length_bp"] / 1e6)
    deep_alone = compiled_steps().query("num_transformer_layers == 11")
    assert gpu_steps.memory_per_layer(deep_alone).empty


def test_add_published_code_keeps_comparable_steps():
    ours = compiled_steps().query("code == 'this package' and device == 'rtx'").drop(columns="code")
    published = compiled_steps().query("code == 'published'").drop(columns="code")
    both = gpu_steps.add_published_code(ours, published)
    assert dict(both["code"].value_counts()) == {"this package": 8, "published": 8}
    assert set(both["device"]) == {"rtx"}
    wider = published.assign(channels=768)
    assert set(gpu_steps.add_published_code(ours, wider)["code"]) == {"this package"}
    assert gpu_steps.add_published_code(ours.iloc[:0], published).empty


def test_describe_launches_names_the_largest_share():
    text = gpu_steps.describe_launches(compiled_steps().query("device == 'h'"))
    assert text.startswith("Launches take 7.6% to 100.0% of the least time")  # 0.02 of 0.26 s
    assert "at 131,072 bp on H." in text
    assert gpu_steps.describe_launches(compiled_steps().iloc[:0]) == gpu_steps.NOT_COMPILED
