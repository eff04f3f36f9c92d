import pandas as pd
import pytest

from senformer.study import claims, cost_judges, published_tables
from senformer.study.judges import judge_claims
from senformer.study.verdicts import (
    AGREES,
    CONTRADICTS,
    DIFFERS,
    STORED,
    STUDYS_CODE,
    THIS_CODE,
    UNDECIDED,
)

GRID = claims.SEQUENCE_LENGTHS_BP


def dense_gb(length, layers):
    return 2 + layers * 6e-12 * length**2 + 2e-6 * length


def bigbird_gb(length, layers):
    return 2 + layers * 1.8e-6 * length + 2e-6 * length


def row(attention, layers, length, peak_gb, **other):
    return {
        "code": "published",
        "attention": attention,
        "num_transformer_layers": layers,
        "channels": 1536,
        "trainable": "attention",
        "batch_size": 1,
        "sequence_length_bp": length,
        "steps": 3,
        "peak_memory_gb": peak_gb,
        "argument_gb": 2.0,
        "step_seconds_min": 0.99 * peak_gb,
        "step_seconds_max": 1.01 * peak_gb,
        "status": "compiled",
        "compute_dtype": "float32",
        "device": "rtx6000",
        "ran_on": "H200",
        **other,
    }


def run(lengths=GRID, layers=(1, 11), **other):
    """Peaks and times (the same numbers) that cross at 300,000 bp, compiled for its card."""
    return pd.DataFrame(
        [
            row(attention, count, length, cost(length, count), **other)
            for attention, cost in (("dense", dense_gb), ("bigbird", bigbird_gb))
            for count in layers
            for length in lengths
        ]
    )


NOTHING = run(lengths=())
ON_A_CPU = run(device="a CPU", status="ok", resident_memory_gb=2.0, budget_gb=None)


def memory(published_code, measured=ON_A_CPU, compiled=None):
    compiled = measured.iloc[:0] if compiled is None else compiled
    tables = cost_judges.memory_tables(measured, compiled, published_code)
    rows = judge_claims("memory", tables)
    return rows.set_index(["evidence", "key"])


def of_study(published_code):
    found = memory(published_code).loc[STUDYS_CODE]
    return {
        key.removeprefix("memory."): (row["measured"], row["verdict"])
        for key, row in found.iterrows()
    }


@pytest.fixture
def crosses_where_it_is_compiled(monkeypatch):
    """The study's code as it ran on a CPU: sparse attention takes less at every length."""
    peaks = {"dense": 2.0, "bigbird": 1.0}
    monkeypatch.setattr(
        cost_judges,
        "studys_cpu_peaks_gb",
        lambda name: dict.fromkeys((131_072, 393_216), peaks[name]),
    )


def test_all_lengths_judge_every_memory_claim(crosses_where_it_is_compiled):
    claims = of_study(run())
    assert claims["dense_out_of_memory_bp"] == (589_824, AGREES)
    assert claims["bigbird_trains_bp"] == (786_432, AGREES)
    crossing, verdict = claims["crossover_bp"]
    assert 262_144 < crossing < 327_680 and verdict == AGREES
    a_layer = "a sparse layer 1.42 GB, a dense layer 0.928 GB"
    assert claims["per_layer"] == (a_layer, CONTRADICTS)
    assert claims["growth"][1] == AGREES


def test_growth_computes_the_exponent():
    frame = run()
    frame["peak_memory_gb"] = 2 + (frame["sequence_length_bp"] / 1e6) ** 2
    said, verdict = of_study(frame)["growth"]
    assert "dense attention to the power 2.0 to 2.0" in said and verdict == CONTRADICTS
    frame["peak_memory_gb"] = 2 + (frame["sequence_length_bp"] / 1e6) ** 1.5
    assert of_study(frame)["growth"][1] == UNDECIDED


def test_fitting_step_leaves_out_of_memory_open():
    frame = run()
    frame.loc[frame["attention"] == "dense", "peak_memory_gb"] = 5.0
    claims = of_study(frame)
    assert claims["dense_out_of_memory_bp"] == ("still fits at 786,432 bp", UNDECIDED)
    assert claims["bigbird_trains_bp"] == (786_432, AGREES)


def test_crossings_on_both_sides_leave_it_open():
    """The study's code on a CPU, as it was measured, has sparse attention dearer throughout."""
    frame = run()
    frame["peak_memory_gb"] -= (frame["attention"] == "bigbird") * 1.0
    said, verdict = of_study(frame)["crossover_bp"]
    assert said.endswith("compiled for its card; beyond 393,216 bp on a CPU")
    assert verdict == UNDECIDED


def test_crossing_is_interpolated(
    crosses_where_it_is_compiled,
):
    peaks = {"dense": (1.0, 4.0), "bigbird": (2.0, 2.0)}
    rows = [
        row(attention, 11, length, peak)
        for attention, of_length in peaks.items()
        for length, peak in zip((262_144, 393_216), of_length, strict=True)
    ]
    crossing, verdict = of_study(pd.DataFrame(rows))["crossover_bp"]
    assert crossing == pytest.approx(262_144 + 131_072 / 3, rel=5e-3)
    assert verdict == AGREES


def test_short_lengths_leave_claims_open():
    rows = memory(run(lengths=GRID[:2])).loc[STUDYS_CODE]
    assert rows.loc["memory.crossover_bp", "reason"].startswith("not reached at 196,608 bp")
    assert rows.loc["memory.per_layer", "reason"].startswith("no peak of sparse attention at 786")
    assert rows.loc["memory.growth", "reason"].startswith("dense attention: no two lengths")
    assert set(rows["verdict"].drop("memory.bigbird_trains_bp")) == {UNDECIDED}


def test_this_code_gives_no_verdict():
    rows = memory(run()).loc[THIS_CODE]
    assert set(rows["verdict"]) == {DIFFERS}
    assert rows.loc["memory.dense_out_of_memory_bp", "measured"] == 589_824
    assert set(rows["reason"]) == {cost_judges.OTHER_CODE}


def test_compiled_steps_replace_measured_ones():
    compiled = run()
    compiled.loc[compiled["attention"] == "dense", "peak_memory_gb"] = 5.0
    rows = memory(run(), compiled=compiled).loc[THIS_CODE]
    assert rows.loc["memory.dense_out_of_memory_bp", "measured"] == "still fits at 786,432 bp"


def test_another_width_is_not_compared():
    narrow = ON_A_CPU.assign(channels=256)
    rows = memory(run(), measured=narrow)
    assert set(rows.index.get_level_values("evidence")) == {THIS_CODE}
    assert set(rows["reason"]) == {"here 256 channels instead of 1,536."}


def test_compare_code_peaks_gives_ratios():
    published_gb = claims.get_value("memory.code_dense_131072bp_gb")
    frame = ON_A_CPU.query("sequence_length_bp == 131_072").assign(peak_memory_gb=published_gb / 2)
    peaks = cost_judges.compare_code_peaks(frame).set_index("attention")
    assert peaks.loc["dense", "ratio"] == pytest.approx(0.5)
    assert cost_judges.compare_code_peaks(frame.assign(channels=256)).empty


def times(measured):
    arena = published_tables.read_long_range_arena()
    rows = judge_claims("runtime", cost_judges.runtime_tables(measured, run(), arena))
    return rows.set_index(["evidence", "key"])


def test_slower_counts_lengths_with_separate_ranges():
    # With 11 layers 131,072 and later lengths up to 262,144 bp are below the crossing.
    assert (
        times(ON_A_CPU)
        .loc[(THIS_CODE, "runtime.slower"), "measured"]
        .endswith("slower at 3 of 11 lengths with 11 layers")
    )
    wide = ON_A_CPU.assign(step_seconds_max=100.0)
    assert "about equal at 11" in times(wide).loc[(THIS_CODE, "runtime.slower"), "measured"]
    once = times(ON_A_CPU.assign(steps=1)).loc[(THIS_CODE, "runtime.slower"), "measured"]
    assert once.endswith("by one timed step each")


def test_times_on_another_card_give_no_verdict():
    row = times(ON_A_CPU).loc[(STUDYS_CODE, "runtime.slower")]
    assert row["verdict"] == DIFFERS and row["reason"].startswith("run on an H200")


def test_arena_is_judged_at_any_width():
    for frame in (ON_A_CPU, ON_A_CPU.assign(channels=256)):
        rows = times(frame)
        assert rows.loc[(STORED, "runtime.long_range_arena_tokens"), "verdict"] == CONTRADICTS
