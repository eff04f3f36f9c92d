import pandas as pd
import pytest

from senformer import benchmark_tables, results


def written(tmp_path, frame):
    provenance = results.provenance(parameters={}, seed=0, data="none")
    return results.write(frame, tmp_path / "times.csv", provenance)


def test_ratios_are_taken_within_a_round(tmp_path):
    rows = []
    for number, slowdown in enumerate((1.0, 10.0)):  # the machine is busy in the second round
        for kind, mode, seconds in (
            ("baseline", "plain", 4.0),
            ("baseline", "xla", 3.0),
            ("bigbird", "plain", 1.0),
            ("bigbird", "xla", 2.0),
        ):
            rows.append((number, kind, mode, seconds * slowdown, 1536))
    frame = pd.DataFrame(rows, columns=["round", "attention", "mode", "seconds", "tokens"])
    (row,) = benchmark_tables.attention_ratios(written(tmp_path, frame)).to_dict("records")
    assert (row["kind"], row["as_fast_as"], row["tokens"]) == ("bigbird", "baseline", 1536)
    assert row["plain"] == "4.00 (4.00 to 4.00)"
    assert row["each_at_its_best"] == "3.00 (3.00 to 3.00)"


def test_a_mode_that_was_not_run_has_no_column(tmp_path):
    rows = [(0, "dense", "xla", 4.0, 1536), (0, "tiled", "xla", 2.0, 1536)]
    frame = pd.DataFrame(rows, columns=["round", "attention", "mode", "seconds", "tokens"])
    (row,) = benchmark_tables.attention_ratios(written(tmp_path, frame)).to_dict("records")
    assert "plain" not in row
    assert row["each_at_its_best"] == "2.00 (2.00 to 2.00)"


def test_whole_models_are_compared_with_the_first(tmp_path):
    rows = [(0, "published", 6.0), (0, "ours", 2.0), (1, "published", 8.0), (1, "ours", 4.0)]
    frame = pd.DataFrame(rows, columns=["round", "contender", "seconds"])
    table = benchmark_tables.whole_model_ratios(written(tmp_path, frame)).set_index("contender")
    assert table.loc["published", "times_as_fast"] == "1.00 (1.00 to 1.00)"
    assert table.loc["ours", "times_as_fast"] == "2.50 (2.25 to 2.75)"
    assert table.loc["ours", "median_seconds"] == 3.0


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        benchmark_tables.attention_ratios(tmp_path / "nothing.csv")
