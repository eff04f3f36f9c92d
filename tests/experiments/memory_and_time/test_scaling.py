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
    ratios = scaling.ratios(frame, "peak_memory_gb")
    assert ratios["sequence_length_bp"].tolist() == [1, 2]  # at 3 there is nothing to compare with
    assert ratios["bigbird"][0] == 0.5
    assert ratios["bigbird"].isna().tolist() == [False, True]
    with pytest.raises(ValueError, match="'tiled'"):
        scaling.ratios(frame, "peak_memory_gb", reference="tiled")


def test_a_kind_saves_from_where_no_longer_length_takes_more():
    seconds = {"dense": [2.0, 2.0, 2.0], "tiled": [1.0, 3.0, 1.0], "bigbird": [1.0, 1.0, 3.0]}
    frame = pd.DataFrame(
        [
            row(kind, length, step_seconds=taken)
            for kind, times in seconds.items()
            for length, taken in zip((1, 2, 4), times, strict=True)
        ]
    )
    saves = scaling.saves_from(frame, "step_seconds").set_index("attention")
    assert saves.loc["tiled", "less_from_bp"] == 4  # at 1 it is faster too, at 2 it is not
    assert np.isnan(saves.loc["bigbird", "less_from_bp"])
    assert np.isnan(saves.loc["dense", "less_from_bp"])
    assert saves["ratio_at_longest"].tolist() == [1, 0.5, 1.5]


def test_kinds_stand_side_by_side_where_something_was_measured():
    frame = pd.DataFrame(
        {
            "trainable": "attention",
            "num_transformer_layers": [1, 11, 11],
            "sequence_length_bp": 8192,
            "attention": ["dense", "bigbird", "dense"],
            "peak_memory_gb": [1.0, 2.0, None],
        }
    )
    table = scaling.by_attention(frame, "peak_memory_gb")
    assert list(table["num_transformer_layers"]) == [1, 11]
    assert list(table.columns[-2:]) == ["dense", "bigbird"]
    assert table["bigbird"].isna().tolist() == table["dense"].notna().tolist() == [True, False]


def test_lengths_are_in_order_within_a_model_whenever_they_were_measured():
    frame = pd.DataFrame([row("dense", length, peak_memory_gb=1.0) for length in (1, 4, 2)])
    frame = pd.concat([frame, frame.assign(num_transformer_layers=11)])
    table = scaling.by_attention(frame, "peak_memory_gb")
    assert table["num_transformer_layers"].tolist() == [1, 1, 1, 11, 11, 11]
    assert table["sequence_length_bp"].tolist() == [1, 2, 4] * 2


def test_the_longest_length_that_fits_has_no_gap_below_it():
    frame = pd.DataFrame(
        [row("dense", length, peak_memory_gb=gb) for length, gb in ((1, 3), (2, 9), (4, 5))]
    )
    table = scaling.longest_measured_bp(frame, (2, 4, 16))
    assert pd.isna(table["2 GB"][0])
    assert (table["4 GB"][0], table["16 GB"][0]) == (1, 4)


def test_days_are_of_the_sequences_that_a_plan_trains_on():
    frame = pd.DataFrame(
        [
            row("dense", 8192, step_seconds=6.0, batch_size=2),
            row("bigbird", 8192, step_seconds=3.0),
        ]
    )
    days = scaling.days_of_training(frame, num_sequences=28_800)
    assert days.loc[0, ["dense", "bigbird"]].tolist() == [1.0, 1.0]


def test_a_run_without_a_gpu_says_so():
    frame = pd.DataFrame({"device": ["a test, 2 CPU cores"] * 2})
    assert "nothing of this on a GPU" in scaling.where_measured(frame)
    gpu = frame.assign(device="a card")
    assert scaling.where_measured(gpu) == "Measured on a card."


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
    table = scaling.bfloat16_ratios(frame, "gb")
    assert table.to_dict("records") == [
        {
            "trainable": "attention",
            "num_transformer_layers": 1,
            "sequence_length_bp": 2,
            "bigbird": 0.75,
        }
    ]
    assert scaling.bfloat16_ratios(pd.DataFrame(single), "gb").empty
    nothing_shared = frame[(frame["compute_dtype"] == "float32") | (frame["attention"] == "dense")]
    assert scaling.bfloat16_ratios(nothing_shared, "gb").empty


def test_a_spread_is_of_measurements_that_took_more_than_one_step():
    columns = ["steps", "step_seconds_min", "step_seconds", "step_seconds_max"]
    measured = [(1, [1, 2.0, 2.0, 2.0]), (2, [3, 2.0, 4.0, 5.0])]
    rows = [row("dense", length, **dict(zip(columns, of, strict=True))) for length, of in measured]
    frame = pd.DataFrame(rows)
    spread = scaling.spread_of_steps(frame)
    assert spread["sequence_length_bp"].tolist() == [2]
    assert spread["dense"].tolist() == [0.75]
    assert scaling.spread_of_steps(frame[:1]).empty
