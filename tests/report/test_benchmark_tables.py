"""Ratios are taken within a round, and stand beside those of other benchmarks."""

import pandas as pd
import pytest

from senformer.report import benchmark_tables, results

ATTENTION = ["round", "attention", "mode", "seconds", "tokens"]


@pytest.fixture
def of_no_run(monkeypatch):
    monkeypatch.setattr(benchmark_tables, "caption", lambda frames: "a test")


def pairs(table):
    return {
        (row["panel"], row["pair"]): (row["ratio"], row["ratio_low"], row["ratio_high"])
        for row in table.to_dict("records")
    }


def test_a_kind_is_compared_within_a_round_with_each_way_to_run_the_other(of_no_run):
    rows = []
    for number, slowdown in enumerate((1.0, 10.0)):  # the machine is busy in the second round
        for kind, mode, seconds in (
            ("baseline", "plain", 4.0),
            ("baseline", "xla", 3.0),
            ("bigbird", "plain", 1.0),
        ):
            rows.append((number, kind, mode, seconds * slowdown, 1536))
    alone = pd.DataFrame(rows, columns=ATTENTION)
    assert "source" not in benchmark_tables.attention_ratios({"alone": alone}).attrs
    alone.attrs["provenance"] = {}
    table = benchmark_tables.attention_ratios({"alone": alone})
    assert pairs(table) == {
        ("alone", "bigbird beside baseline, 1,536 tokens"): (4, 4, 4),
        ("alone", "bigbird beside baseline, XLA, 1,536 tokens"): (3, 3, 3),
    }
    assert table.attrs["source"] == "a test"


def test_lengths_and_parts_are_compared_apart(of_no_run):
    rows = [
        (0, kind, "plain", seconds, tokens)
        for kind, of_lengths in {"dense": (2.0, 12.0), "tiled": (1.0, 2.0)}.items()
        for tokens, seconds in zip((1536, 6144), of_lengths, strict=True)
    ]
    alone = pd.DataFrame(rows, columns=ATTENTION)
    layer = alone.query("tokens == 1536").assign(seconds=[2.0, 4.0])
    table = benchmark_tables.attention_ratios({"alone": alone, "layer": layer})
    assert pairs(table) == {
        ("alone", "tiled beside dense, 1,536 tokens"): (2, 2, 2),
        ("alone", "tiled beside dense, 6,144 tokens"): (6, 6, 6),
        ("layer", "tiled beside dense, 1,536 tokens"): (0.5, 0.5, 0.5),
    }


def test_contenders_are_compared_with_the_first_where_they_took_part(of_no_run):
    rows = [(0, "published", 6.0), (0, "ours", 2.0), (1, "published", 8.0), (1, "ours", 4.0)]
    step = pd.DataFrame(rows, columns=["round", "contender", "seconds"])
    other = pd.DataFrame([(0, "published", 1.0), (0, "other", 2.0)], columns=step.columns)
    table = benchmark_tables.contender_ratios({"step": step, "prediction": other})
    assert pairs(table) == {
        ("step", "ours beside published"): (2.5, 2.25, 2.75),
        ("prediction", "other beside published"): (0.5, 0.5, 0.5),
    }


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
