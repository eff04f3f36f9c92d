"""Ratios are computed within a round."""

import pandas as pd
import pytest
from provenance_example import PROVENANCE

from senformer.report import benchmark_tables, results

ATTENTION = ["round", "attention", "mode", "seconds", "tokens"]


def ratios(table):
    by_pair = table.set_index(["panel", "pair"])[["ratio", "ratio_low", "ratio_high"]]
    return {pair: tuple(row) for pair, row in by_pair.iterrows()}


def test_attention_ratios_compare_within_a_round():
    kinds = [("baseline", "plain", 4.0), ("baseline", "xla", 3.0), ("bigbird", "plain", 1.0)]
    rows = [
        (number, kind, mode, seconds * slowdown, 1536)
        for number, slowdown in enumerate((1.0, 10.0))  # the machine is busy in the second round
        for kind, mode, seconds in kinds
    ]
    alone = pd.DataFrame(rows, columns=ATTENTION)
    table = benchmark_tables.attention_ratios({"alone": alone})
    assert "source" not in table.attrs
    assert ratios(table) == {
        ("alone", "bigbird compared with baseline, 1,536 tokens"): (4, 4, 4),
        ("alone", "bigbird compared with baseline, XLA, 1,536 tokens"): (3, 3, 3),
    }


def test_attention_ratios_separate_lengths_and_parts():
    rows = [
        (0, kind, "plain", seconds, tokens)
        for kind, times in {"dense": (2.0, 12.0), "tiled": (1.0, 2.0)}.items()
        for tokens, seconds in zip((1536, 6144), times, strict=True)
    ]
    alone = pd.DataFrame(rows, columns=ATTENTION)
    layer = alone.query("tokens == 1536").assign(seconds=[2.0, 4.0])
    assert ratios(benchmark_tables.attention_ratios({"alone": alone, "layer": layer})) == {
        ("alone", "tiled compared with dense, 1,536 tokens"): (2, 2, 2),
        ("alone", "tiled compared with dense, 6,144 tokens"): (6, 6, 6),
        ("layer", "tiled compared with dense, 1,536 tokens"): (0.5, 0.5, 0.5),
    }


def test_contender_ratios_compare_with_the_first():
    rows = [(0, "published", 6.0), (0, "ours", 2.0), (1, "published", 8.0), (1, "ours", 4.0)]
    step = pd.DataFrame(rows, columns=["round", "contender", "seconds"])
    other = pd.DataFrame([(0, "published", 1.0), (0, "other", 2.0)], columns=step.columns)
    assert ratios(benchmark_tables.contender_ratios({"step": step, "prediction": other})) == {
        ("step", "ours compared with published"): (2.5, 2.25, 2.75),
        ("prediction", "other compared with published"): (0.5, 0.5, 0.5),
    }


def test_read_names_a_missing_benchmark(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv"):
        benchmark_tables.read(tmp_path / "nothing.csv")


def test_caption_names_every_commit_and_day(tmp_path):
    frames = []
    for number, day in enumerate(("2026-01-05", "2026-01-02"), start=1):
        provenance = PROVENANCE | {"data": "random arrays"}
        provenance |= {"commit": f"{number}" * 40, "time_utc": f"{day}T08:00:00+00:00"}
        rows = pd.DataFrame(
            {"device": "two cores", "round": 0, "contender": ["a", "b"], "seconds": 1.0}
        )
        path = results.write(rows, tmp_path / f"{number}.csv", provenance)
        frames.append(benchmark_tables.read(path))
    line = "two cores · random arrays · commits 2222222, 1111111 · 2026-01-02 to 2026-01-05"
    assert benchmark_tables.caption(frames) == line
    table = benchmark_tables.contender_ratios({"step": frames[0], "prediction": frames[1]})
    assert table.attrs["source"] == line
