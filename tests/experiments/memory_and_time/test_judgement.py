import pandas as pd
import pytest

from senformer.experiments.memory_and_time import judgement
from senformer.report import published

GRID = published.SEQUENCE_LENGTHS_BP


def dense_gb(length, layers):
    return 2 + layers * 6e-12 * length**2 + 2e-6 * length


def bigbird_gb(length, layers):
    return 2 + layers * 1.8e-6 * length + 2e-6 * length


def row(attention, layers, length, peak_gb, budget_gb=24.0, **other):
    fits = budget_gb is None or peak_gb <= budget_gb
    return {
        "attention": attention,
        "num_transformer_layers": layers,
        "channels": 1536,
        "trainable": "attention",
        "batch_size": 1,
        "sequence_length_bp": length,
        "peak_memory_gb": peak_gb if fits else None,
        "resident_memory_gb": 2.0,
        "step_seconds": peak_gb if fits else None,
        "status": "ok" if fits else "out_of_memory",
        "budget_gb": budget_gb,
        "device": "a test, 2 CPU cores",
        **other,
    }


def run(lengths=GRID, layers=(1, 11), **other):
    """Peaks and times (the same numbers) that cross at 300,000 bp."""
    return pd.DataFrame(
        [
            row(attention, count, length, cost(length, count), **other)
            for attention, cost in (("dense", dense_gb), ("bigbird", bigbird_gb))
            for count in layers
            for length in lengths
        ]
    )


def judged(frame, judge=judgement.judge_memory_claims):
    return judge(frame).set_index("key").to_dict("index")


def test_a_run_of_all_lengths_judges_every_claim():
    claims = judged(run())
    assert claims["memory.dense_out_of_memory_bp"] == {"measured": 589_824, "agrees": "yes"}
    assert claims["memory.bigbird_trains_bp"] == {"measured": 786_432, "agrees": "yes"}
    assert 262_144 < claims["memory.crossover_bp"]["measured"] < 327_680
    assert claims["memory.crossover_bp"]["agrees"] == "yes"
    assert claims["memory.per_layer"] == {"measured": "1.42 GB against 0.928 GB", "agrees": "no"}
    assert claims["memory.growth"]["agrees"] == "yes"


def test_memory_of_a_step_grows_with_the_power_that_it_grows_with():
    frame = run()
    frame["peak_memory_gb"] = 2 + (frame["sequence_length_bp"] / 1e6) ** 2
    said = judged(frame)["memory.growth"]
    assert "self-attention: to the power 2.0" in said["measured"]
    assert said["agrees"] == "no"


def test_exact_attention_that_fits_everywhere_contradicts_the_study():
    frame = run()
    dense = frame["attention"] == "dense"
    frame.loc[dense, "peak_memory_gb"] = 5.0
    frame.loc[dense, "status"] = "ok"
    claims = judged(frame)
    expected = {"measured": "still fits at 786,432 bp", "agrees": "no"}
    assert claims["memory.dense_out_of_memory_bp"] == expected
    assert claims["memory.crossover_bp"] == {
        "measured": "not reached at 786,432 bp",
        "agrees": "no",
    }


def test_running_out_of_less_memory_than_the_card_has_decides_nothing():
    claims = judged(run(budget_gb=22.0))
    assert claims["memory.dense_out_of_memory_bp"]["agrees"] == (
        "not comparable: self-attention was measured up to 524,288 bp, which fits"
    )


def test_a_run_of_short_lengths_judges_nothing_that_it_cannot():
    claims = judged(run(lengths=GRID[:2]))
    why = {key: row["agrees"] for key, row in claims.items()}
    assert why["memory.crossover_bp"].startswith("not comparable: not reached at 196,608 bp")
    assert why["memory.per_layer"].startswith("not comparable: no peak of sparse attention at 786")
    assert why["memory.growth"].startswith("not comparable: self-attention: no two lengths")


def test_another_width_is_named():
    claims = judged(run(channels=256))
    assert {row["agrees"] for row in claims.values()} == {
        "not comparable: here 256 channels instead of 1,536."
    }


def test_peaks_of_the_published_code_are_compared_at_their_lengths():
    published_gb = published.value("memory.code_dense_131072bp_gb")
    frame = run(lengths=(131_072,))
    frame["peak_memory_gb"] = published_gb / 2
    claims = judged(frame)
    assert claims["memory.code_dense_131072bp_gb"]["measured"] == published_gb / 2
    assert "0.50 times" in claims["memory.code_dense_131072bp_gb"]["agrees"]


def test_times_are_counted_length_by_length():
    claims = judged(run(), judgement.judge_runtime_claims)
    said = claims["runtime.slower"]
    # With 11 layers 131,072 and later lengths up to 262,144 bp are below the crossing.
    assert said["measured"].endswith("slower at 3 of 7 lengths with 11 layers")
    assert said["agrees"] == "no"


def test_what_the_study_says_of_the_arena_is_judged_whatever_was_measured():
    for frame in (run(), run(channels=256)):
        claims = judged(frame, judgement.judge_runtime_claims)
        assert claims["runtime.long_range_arena_tokens"]["agrees"].startswith("no: by the Arena")


def test_a_crossing_lies_where_the_straight_lines_between_lengths_cross():
    peaks = {"dense": (1.0, 4.0), "bigbird": (2.0, 2.0)}
    rows = [
        row(attention, 11, length, peak)
        for attention, of_length in peaks.items()
        for length, peak in zip((262_144, 393_216), of_length, strict=True)
    ]
    crossing = judged(pd.DataFrame(rows))["memory.crossover_bp"]
    assert crossing["measured"] == pytest.approx(262_144 + 131_072 / 3, rel=5e-3)
    assert crossing["agrees"] == "yes"
