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


def test_ratios_divide_by_the_reference_of_the_same_length():
    frame = pd.DataFrame(
        {
            "trainable": "attention",
            "num_transformer_layers": 1,
            "sequence_length_bp": [1, 1, 2, 2, 3],
            "attention": [*["dense", "bigbird"] * 2, "bigbird"],
            "peak_memory_gb": [2.0, 1.0, None, 3.0, 4.0],
        }
    )
    frame.attrs["file"] = "memory.csv"
    ratios = scaling.ratios(frame, "peak_memory_gb")
    # At 2 and 3 there is nothing to compare with.
    assert ratios[["sequence_length_bp", "attention", "ratio"]].values.tolist() == [
        [1, "bigbird", 0.5]
    ]
    assert ratios["panel"].tolist() == ["trained: attention, 1 layer"]
    assert ratios.attrs["file"] == "memory.csv"
    with pytest.raises(ValueError, match="'tiled'"):
        scaling.ratios(frame, "peak_memory_gb", reference="tiled")


def test_a_kind_saves_from_where_no_longer_length_takes_more():
    seconds = {"dense": [2.0, 2.0, 2.0], "tiled": [1.0, 3.0, 1.0], "bigbird": [1.0, 1.0, 3.0]}
    frame = pd.DataFrame(
        [
            row(kind, length, step_seconds=taken)
            for kind, times in seconds.items()
            for length, taken in zip((4, 2, 1), times[::-1], strict=True)
        ]
    )
    ratios = scaling.ratios(frame, "step_seconds")
    assert scaling.saves_from_bp(ratios, "tiled") == 4  # at 1 it is faster too, at 2 it is not
    assert scaling.saves_from_bp(ratios, "bigbird") is None


def test_days_are_of_the_sequences_that_a_plan_trains_on():
    frame = pd.DataFrame(
        [
            row("dense", 8192, step_seconds=6.0, batch_size=2),
            row("tiled", 8192, step_seconds=3.0),
        ]
    )
    days = scaling.days_of_training(frame, num_sequences=28_800)
    assert list(days) == ["sequence_length_bp", "dense (Enformer)", "tiled"]
    assert days.iloc[0].tolist() == [8192, 1.0, 1.0]


def test_a_run_without_a_gpu_says_so():
    frame = pd.DataFrame({"device": ["a test, 2 CPU cores"] * 2})
    assert "nothing of this on a GPU" in scaling.describe_devices(frame)
    gpu = frame.assign(device="a card")
    assert scaling.describe_devices(gpu) == "Measured on a card."


def test_growth_finds_the_power_and_needs_three_lengths():
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


def test_bfloat16_is_compared_with_float32_of_the_same_step():
    single = [row(kind, n, gb=4.0) for kind in ("dense", "bigbird") for n in (1, 2)]
    half = [row("bigbird", 2, gb=3.0), row("dense", 3, gb=1.0)]
    frame = pd.DataFrame(single + [{**one, "compute_dtype": "bfloat16"} for one in half])
    [ratio] = scaling.bfloat16_ratios(frame, "gb").to_dict("records")
    assert (ratio["attention"], ratio["sequence_length_bp"], ratio["ratio"]) == ("bigbird", 2, 0.75)
    assert scaling.bfloat16_ratios(pd.DataFrame(single), "gb").empty
    nothing_shared = frame[(frame["compute_dtype"] == "float32") | (frame["attention"] == "dense")]
    assert scaling.bfloat16_ratios(nothing_shared, "gb").empty


def test_a_time_is_called_a_median_where_it_is_one():
    columns = ["steps", "step_seconds_min", "step_seconds", "step_seconds_max"]
    measured = [(1, [1, 2.0, 2.0, 2.0]), (2, [3, 2.0, 4.0, 5.0])]
    rows = [row("dense", length, **dict(zip(columns, of, strict=True))) for length, of in measured]
    frame = pd.DataFrame(rows)
    assert "the median of 3 steps or more" in scaling.describe_times(frame)
    assert "differ by 75%" in scaling.describe_times(frame)
    assert scaling.describe_times(frame[:1]).startswith("Each time is that of one step")
