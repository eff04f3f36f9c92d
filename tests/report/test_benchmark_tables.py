"""Ratios are taken within a round, and stand beside those of other benchmarks."""

import pandas as pd
import pytest

from senformer.report import benchmark_tables, results

ATTENTION = ["round", "attention", "mode", "seconds", "tokens"]


def test_a_kind_is_compared_within_a_round_with_each_way_to_run_the_other():
    rows = []
    for number, slowdown in enumerate((1.0, 10.0)):  # the machine is busy in the second round
        for kind, mode, seconds in (
            ("baseline", "plain", 4.0),
            ("baseline", "xla", 3.0),
            ("bigbird", "plain", 1.0),
        ):
            rows.append((number, kind, mode, seconds * slowdown, 1536))
    table = benchmark_tables.attention_ratios(pd.DataFrame(rows, columns=ATTENTION))
    assert table.to_numpy().tolist() == [
        ["bigbird", "baseline", 1536, "4.00 (4.00–4.00)"],
        ["bigbird", "baseline, XLA", 1536, "3.00 (3.00–3.00)"],
    ]


def test_lengths_are_compared_apart():
    rows = [
        (0, kind, "plain", seconds, tokens)
        for kind, of_lengths in {"dense": (2.0, 12.0), "tiled": (1.0, 2.0)}.items()
        for tokens, seconds in zip((1536, 6144), of_lengths, strict=True)
    ]
    table = benchmark_tables.attention_ratios(pd.DataFrame(rows, columns=ATTENTION))
    assert dict(zip(table["tokens"], table["times_as_fast"], strict=True)) == {
        1536: "2.00 (2.00–2.00)",
        6144: "6.00 (6.00–6.00)",
    }


def test_whole_models_are_compared_with_the_first():
    rows = [(0, "published", 6.0), (0, "ours", 2.0), (1, "published", 8.0), (1, "ours", 4.0)]
    frame = pd.DataFrame(rows, columns=["round", "contender", "seconds"])
    assert benchmark_tables.contender_ratios(frame).to_dict("records") == [
        {"contender": "published", "median_seconds": 7.0, "times_as_fast": "1.00 (1.00–1.00)"},
        {"contender": "ours", "median_seconds": 3.0, "times_as_fast": "2.50 (2.25–2.75)"},
    ]


def test_a_single_value_is_called_by_its_benchmark():
    pair = {"kind": ["tiled"], "as_fast_as": ["dense"], "tokens": [1536]}
    tables = {
        "alone": pd.DataFrame(pair | {"times_as_fast": ["1.00"]}),
        "layer": pd.DataFrame(pair | {"times_as_fast": ["0.90"]}),
    }
    (row,) = benchmark_tables.beside_each_other(tables).to_dict("records")
    assert row == {
        "kind": "tiled",
        "as_fast_as": "dense",
        "tokens": 1536,
        "alone": "1.00",
        "layer": "0.90",
    }


def test_what_one_benchmark_lacks_is_missing_and_the_order_stays():
    step = pd.DataFrame({"contender": ["b", "a"], "median_seconds": 1.0, "times_as_fast": "1.00"})
    more = pd.DataFrame({"contender": ["b", "a", "c"], "median_seconds": 2.0, "times_as_fast": "x"})
    wide = benchmark_tables.beside_each_other({"step": step, "prediction": more})
    assert list(wide["contender"]) == ["b", "a", "c"]
    assert wide["step, median_seconds"].isna().tolist() == [False, False, True]
    assert wide["prediction, times_as_fast"].tolist() == ["x", "x", "x"]


def test_a_benchmark_that_was_never_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv"):
        benchmark_tables.read(tmp_path / "nothing.csv")


def test_the_line_under_several_benchmarks_names_every_commit_and_day(tmp_path):
    days = {"layer": "2026-01-05", "step": "2026-01-02"}
    for number, (name, day) in enumerate(days.items(), start=1):
        provenance = dict.fromkeys(results.PROVENANCE_KEYS, "x") | {"data": "random arrays"}
        provenance |= {"commit": f"{number}" * 40, "time_utc": f"{day}T08:00:00+00:00"}
        results.write(pd.DataFrame({"device": ["two cores"]}), tmp_path / f"{name}.csv", provenance)
    line = benchmark_tables.caption(
        [benchmark_tables.read(tmp_path / f"{name}.csv") for name in days]
    )
    assert line == "two cores · random arrays · commits 2222222, 1111111 · 2026-01-02 to 2026-01-05"
