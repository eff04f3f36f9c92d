import pandas as pd
import pytest

from senformer.report import benchmark_tables, results

ATTENTION = ["kernels", "round", "attention", "mode", "seconds", "tokens"]


def test_ratios_are_taken_within_a_round():
    rows = []
    for number, slowdown in enumerate((1.0, 10.0)):  # the machine is busy in the second round
        for kind, mode, seconds in (
            ("baseline", "plain", 4.0),
            ("baseline", "xla", 3.0),
            ("bigbird", "plain", 1.0),
            ("bigbird", "xla", 2.0),
        ):
            rows.append(("onednn", number, kind, mode, seconds * slowdown, 1536))
    frame = pd.DataFrame(rows, columns=ATTENTION)
    (row,) = benchmark_tables.attention_ratios(frame).to_dict("records")
    assert (row["kind"], row["as_fast_as"], row["tokens"]) == ("bigbird", "baseline", 1536)
    assert row["plain"] == "4.00 (4.00–4.00)"
    assert row["each_at_its_best"] == "3.00 (3.00–3.00)"


def test_a_mode_that_was_not_run_has_no_column():
    rows = [("own", 0, "dense", "xla", 4.0, 1536), ("own", 0, "tiled", "xla", 2.0, 1536)]
    frame = pd.DataFrame(rows, columns=ATTENTION)
    (row,) = benchmark_tables.attention_ratios(frame).to_dict("records")
    assert "plain" not in row
    assert row["each_at_its_best"] == "2.00 (2.00–2.00)"


def test_kinds_are_compared_with_the_same_kernels_alone():
    rows = [
        (kernels, 0, kind, "plain", seconds, 1536)
        for kernels, of_kinds in {"onednn": (2.0, 1.0), "own": (12.0, 2.0)}.items()
        for kind, seconds in zip(("dense", "tiled"), of_kinds, strict=True)
    ]
    table = benchmark_tables.attention_ratios(pd.DataFrame(rows, columns=ATTENTION))
    assert dict(zip(table["kernels"], table["plain"], strict=True)) == {
        "onednn": "2.00 (2.00–2.00)",
        "own": "6.00 (6.00–6.00)",
    }


def test_the_figure_of_parts_gets_plain_runs_and_devices_without_kernels():
    rows = [
        ("own", 0, kind, mode, seconds, 1536)
        for mode, of_kinds in {"plain": (12.0, 2.0), "xla": (6.0, 3.0)}.items()
        for kind, seconds in zip(("dense", "tiled"), of_kinds, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=ATTENTION)
    frame["device"] = "two cores, TensorFlow's own kernels"
    (row,) = benchmark_tables.speedups_of_parts({"a layer": frame}).to_dict("records")
    assert row["part"] == "a layer"
    assert row["device"] == "two cores"
    assert row["low"] == row["median"] == row["high"] == 6.0


def test_kernels_stand_beside_each_other_in_their_order():
    rows = [
        (kernels, 0, kind, "plain", seconds, tokens)
        for kernels, of_kinds in {"onednn": (2.0, 1.0), "own": (12.0, 2.0)}.items()
        for kind, seconds in zip(("dense", "tiled"), of_kinds, strict=True)
        for tokens in (6144, 1536)
    ]
    ratios = benchmark_tables.attention_ratios(pd.DataFrame(rows, columns=ATTENTION))
    wide = benchmark_tables.by_kernels(ratios)
    assert list(wide["tokens"]) == [6144, 1536]
    assert list(wide["onednn, plain"]) == ["2.00 (2.00–2.00)"] * 2
    assert list(wide["own, plain"]) == ["6.00 (6.00–6.00)"] * 2
    assert list(wide) == [
        *("kind", "as_fast_as", "tokens"),
        *("onednn, plain", "onednn, each_at_its_best", "own, plain", "own, each_at_its_best"),
    ]


def test_a_single_value_is_called_by_its_kernels():
    rows = [("onednn", "ours", 2.0, 100.0, 100.0), ("own", "ours", 4.0, 100.0, 50.0)]
    columns = ["kernels", "contender", "seconds", "needed_gflop", "matrix_gflops"]
    shares = benchmark_tables.shares_of_matrix_rate(pd.DataFrame(rows, columns=columns))
    wide = benchmark_tables.by_kernels(shares)
    assert wide.to_dict("records") == [
        {"contender": "ours", "onednn": "0.50 (0.50–0.50)", "own": "0.50 (0.50–0.50)"}
    ]


def test_whole_models_are_compared_with_the_first_of_the_same_kernels():
    rows = [
        ("onednn", 0, "published", 6.0),
        ("onednn", 0, "ours", 2.0),
        ("onednn", 1, "published", 8.0),
        ("onednn", 1, "ours", 4.0),
        ("own", 0, "published", 9.0),
        ("own", 0, "ours", 3.0),
    ]
    frame = pd.DataFrame(rows, columns=["kernels", "round", "contender", "seconds"])
    table = benchmark_tables.contender_ratios(frame).set_index(["kernels", "contender"])
    assert table.loc[("onednn", "published"), "times_as_fast"] == "1.00 (1.00–1.00)"
    assert table.loc[("onednn", "ours"), "times_as_fast"] == "2.50 (2.25–2.75)"
    assert table.loc[("onednn", "ours"), "median_seconds"] == 3.0
    assert table.loc[("own", "ours"), "times_as_fast"] == "3.00 (3.00–3.00)"


def test_a_share_is_of_the_rate_of_the_same_round():
    rows = [("own", "ours", 2.0, 100.0, 100.0), ("own", "ours", 4.0, 100.0, 50.0)]
    columns = ["kernels", "contender", "seconds", "needed_gflop", "matrix_gflops"]
    (row,) = benchmark_tables.shares_of_matrix_rate(pd.DataFrame(rows, columns=columns)).to_dict(
        "records"
    )
    assert row == {
        "kernels": "own",
        "contender": "ours",
        "share_of_matrix_rate": "0.50 (0.50–0.50)",
    }


def test_a_benchmark_is_read_with_all_its_kernels(tmp_path):
    for kernels in ("own", "onednn"):
        frame = pd.DataFrame([(kernels, 1.0)], columns=["kernels", "seconds"])
        provenance = dict.fromkeys(results.PROVENANCE_KEYS, "x") | {"data": kernels}
        results.write(frame, tmp_path / f"step_{kernels}.csv", provenance)
    read = benchmark_tables.read(tmp_path, "step")
    assert list(read["kernels"]) == ["onednn", "own"]
    assert read.attrs["provenance"]["data"] == "onednn"


def test_a_benchmark_that_was_never_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing_onednn\.csv"):
        benchmark_tables.read(tmp_path, "nothing")


def test_the_line_under_several_benchmarks_names_every_commit_and_day(tmp_path):
    days = {"pool": "2026-01-05", "step": "2026-01-02"}
    devices = ("two cores, oneDNN", "two cores, TensorFlow's own kernels")
    for number, (name, day) in enumerate(days.items(), start=1):
        provenance = dict.fromkeys(results.PROVENANCE_KEYS, "x") | {"data": "random arrays"}
        provenance |= {"commit": f"{number}" * 40, "time_utc": f"{day}T08:00:00+00:00"}
        frame = pd.DataFrame({"kernels": ["own"], "device": [devices[number - 1]]})
        results.write(frame, tmp_path / f"{name}_own.csv", provenance)
    line = benchmark_tables.caption([benchmark_tables.read(tmp_path, name) for name in days])
    assert line == "two cores · random arrays · commits 2222222, 1111111 · 2026-01-02 to 2026-01-05"
