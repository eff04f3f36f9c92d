"""Ratios, growth and training time of steps that can be computed by hand."""

import numpy as np
import pandas as pd
import pytest

from senformer.experiments.memory_and_time import scaling


def row(attention, length, **measured):
    return {
        "trainable": "attention",
        "num_transformer_layers": 1,
        "attention": attention,
        "sequence_length_bp": length,
        "batch_size": 1,
        "compute_dtype": "float32",
        **measured,
    }


def test_ratios_divide_by_dense_at_the_same_length():
    frame = pd.DataFrame(
        [
            row("dense", 1, gb=2.0),
            row("bigbird", 1, gb=1.0),
            row("dense", 2, gb=None),
            row("bigbird", 2, gb=3.0),
            row("bigbird", 3, gb=4.0),
        ]
    )
    frame.attrs["file"] = "memory.csv"
    ratios = scaling.ratios(frame, "gb")
    [found] = ratios.to_dict("records")
    assert (found["sequence_length_bp"], found["attention"], found["ratio"]) == (1, "bigbird", 0.5)
    assert found["panel"] == "trained: attention, 1 layer"
    assert ratios.attrs["file"] == "memory.csv"
    with pytest.raises(ValueError, match="'tiled'"):
        scaling.ratios(frame, "gb", reference="tiled")


def test_saves_from_where_all_longer_ones_save():
    seconds = {"dense": [2.0, 2.0, 2.0], "tiled": [1.0, 3.0, 1.0], "bigbird": [1.0, 1.0, 3.0]}
    frame = pd.DataFrame(
        [
            row(kind, length, step_seconds=times[i])
            for kind, times in seconds.items()
            for i, length in ((2, 4), (1, 2), (0, 1))
        ]
    )
    ratios = scaling.ratios(frame, "step_seconds")
    assert scaling.saves_from_bp(ratios, "tiled") == 4  # it saves at 1 too, but not at 2
    assert scaling.saves_from_bp(ratios, "bigbird") is None


def test_days_of_training_count_all_sequences():
    rows = [row("dense", 8192, step_seconds=6.0, batch_size=2), row("tiled", 8192, step_seconds=3)]
    days = scaling.days_of_training(pd.DataFrame(rows), num_sequences=28_800)
    assert list(days) == ["sequence_length_bp", "dense (Enformer)", "tiled"]
    assert days.iloc[0].tolist() == [8192, 1.0, 1.0]


def test_describe_devices_says_if_none_is_a_gpu():
    frame = pd.DataFrame({"device": ["a test, 2 CPU cores"] * 2})
    assert "not on a GPU" in scaling.describe_devices(frame)
    assert scaling.describe_devices(frame.assign(device="a card")) == "Measured on a card."


def test_growth_is_the_exponent_of_three_lengths():
    lengths = (1000, 3000, 4000, 9000)
    frame = pd.DataFrame(
        [row("dense", length, seconds=3e-6 * length**2) for length in lengths]
        + [row("bigbird", length, seconds=0.5 * length) for length in lengths]
        + [row("tiled", length, seconds=1.0) for length in lengths[:2]]
        + [row("tiled", lengths[2], seconds=np.nan)]
    )
    table = scaling.growth(frame, "seconds").set_index("attention")
    assert table["exponent"].to_dict() == pytest.approx({"dense": 2, "bigbird": 1})
    assert table.loc["dense", ["shortest_bp", "longest_bp"]].tolist() == [1000, 9000]


def test_bfloat16_ratios_need_both_types():
    single = [row(kind, n, gb=4.0) for kind in ("dense", "bigbird") for n in (1, 2)]
    half = [row("bigbird", 2, gb=3.0), row("dense", 3, gb=1.0)]
    frame = pd.DataFrame(single + [{**measured, "compute_dtype": "bfloat16"} for measured in half])
    [ratio] = scaling.bfloat16_ratios(frame, "gb").to_dict("records")
    assert (ratio["attention"], ratio["sequence_length_bp"], ratio["ratio"]) == ("bigbird", 2, 0.75)
    assert scaling.bfloat16_ratios(pd.DataFrame(single), "gb").empty


def test_describe_times_names_medians():
    columns = ["steps", "step_seconds_min", "step_seconds", "step_seconds_max"]
    measured = [(1, [1, 2.0, 2.0, 2.0]), (2, [3, 2.0, 4.0, 5.0])]
    frame = pd.DataFrame(
        [row("dense", length, **dict(zip(columns, x, strict=True))) for length, x in measured]
    )
    assert "the median of 3 steps or more" in scaling.describe_times(frame)
    assert "differ by 75%" in scaling.describe_times(frame)
    assert scaling.describe_times(frame[:1]).startswith("Each time is that of one step")
