"""Result files keep every number, and their first line says what produced them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from senformer.report import results


@pytest.fixture
def provenance() -> dict[str, object]:
    described = {"parameters": {"steps": 3, "kinds": ["dense", "bigbird"], "budget_gb": None}}
    return dict.fromkeys(results.PROVENANCE_KEYS, "x") | described


def test_a_table_comes_back_bit_for_bit_with_its_provenance(tmp_path, provenance):
    frame = pd.DataFrame(
        {
            "sequence_length_bp": [131_072, 2**40],
            "pearson_r": [0.1 + 0.2, np.nan],
            "tiny": [5e-324, -1 / 3],
            "status": ["ok", "NA"],
        }
    )
    frame = pd.concat([frame, _many_floats()], ignore_index=True)
    path = results.write(frame, tmp_path / "new" / "table.csv", provenance)
    back = results.read(path)
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert back.attrs["provenance"] == provenance


def _many_floats() -> pd.DataFrame:
    random = np.random.default_rng(0)
    values = random.normal(size=10_000) * 10.0 ** random.integers(-300, 300, 10_000)
    return pd.DataFrame({"sequence_length_bp": 1, "pearson_r": values, "tiny": 0.5, "status": "ok"})


def test_the_first_line_is_the_provenance_and_the_rest_an_ordinary_csv(tmp_path, provenance):
    path = results.write(pd.DataFrame({"a": [1]}), tmp_path / "table.csv", provenance)
    first, *rest = path.read_text().splitlines()
    described = json.loads(first.removeprefix("# "))
    assert len(described.pop("sha256")) == 64
    assert described == provenance
    assert rest == ["a", "1"]
    assert pd.read_csv(path, comment="#").equals(pd.DataFrame({"a": [1]}))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, provenance, monkeypatch):
    path = results.write(pd.DataFrame({"a": [1]}), tmp_path / "table.csv", provenance)
    old = path.read_text()

    def disk_full(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", disk_full)
    with pytest.raises(OSError, match="disk full"):
        results.write(pd.DataFrame({"a": [2]}), path, provenance)
    assert path.read_text() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_named_index_is_refused_because_it_would_be_lost(tmp_path, provenance):
    frame = pd.DataFrame({"r": [1.0]}, index=pd.Index(["CAGE"], name="track_type"))
    with pytest.raises(ValueError, match=r"table\.csv: the index .*track_type.* would be lost"):
        results.write(frame, tmp_path / "table.csv", provenance)
    assert not list(tmp_path.iterdir())


def test_an_incomplete_provenance_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"table\.csv: provenance lacks parameters, seed"):
        results.write(pd.DataFrame({"a": [1]}), tmp_path / "table.csv", {"data": "simulated"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2.5", "2.6", "changed after it was written"),
        ("2,2.5\n", "", "changed after it was written"),
        ('"seed": "x"', '"seed": "y"', "changed after it was written"),
        ('"sha256"', '"sha255"', "its provenance has an unknown 'sha255'"),
        ('"seed"', '"sead"', "its provenance lacks 'seed'"),
    ],
)
def test_a_table_that_changed_after_it_was_written_is_refused(
    old, new, message, tmp_path, provenance
):
    path = results.write(
        pd.DataFrame({"a": [1, 2], "r": [1.5, 2.5]}), tmp_path / "t.csv", provenance
    )
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=rf"^{path}: {message}"):
        results.read(path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a,b\n1\n", "row 0 has 1 values, expected the head's 2"),
        ("a,b\n1,2\n1,2,3\n", "row 1 has 3 values, expected the head's 2"),
        ("a,a\n1,2\n", "expected a head of distinct names"),
        ("", "expected a head of distinct names"),
        ('a,b\n"1,2\n', "not a CSV table"),
    ],
)
def test_a_table_without_a_digest_has_rows_as_wide_as_its_head(
    table, message, tmp_path, provenance
):
    path = tmp_path / "t.csv"
    path.write_text(f"# {json.dumps(provenance)}\n{table}")
    with pytest.raises(ValueError, match=rf"^{path}: .*{message}"):
        results.read(path)


def test_a_full_disk_is_said_with_the_path(tmp_path, provenance, monkeypatch):
    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(
        OSError, match=r"t\.csv: not written, an earlier file is unchanged \(No space left on"
    ):
        results.write(pd.DataFrame({"a": [1]}), tmp_path / "t.csv", provenance)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "# a comment\na\n1\n", '# "text"\na\n1\n', ""])
def test_a_csv_from_elsewhere_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "foreign.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"foreign\.csv: no provenance in its first line") as error:
        results.read(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"memory\.csv: no such file, expected a result file"
    ):
        results.read(tmp_path / "memory.csv")


def test_the_caption_says_device_data_commit_and_date():
    provenance = {
        "device": "AMD EPYC, 2 CPU cores",
        "data": "simulated",
        "commit": "0123456789abcdef-dirty",
        "time_utc": "2026-01-02T03:04:05+00:00",
    }
    assert (
        results.caption(provenance)
        == "AMD EPYC, 2 CPU cores · simulated · commit 0123456-dirty · 2026-01-02"
    )
    assert "commit unknown" in results.caption({**provenance, "commit": "unknown"})


def test_a_figure_of_measured_rows_names_where_and_when_they_were_measured():
    frame = pd.DataFrame(
        {
            "commit": ["b" * 40, "a" * 40, None],
            "device": ["second machine", "first machine", None],
            "time_utc": ["2026-03-02T10:00:00", "2026-03-01T10:00:00", None],
        }
    )
    together = {"device": "third machine", "data": "random", "commit": "c" * 40}
    frame.attrs["provenance"] = {**together, "time_utc": "2026-03-09T10:00:00"}
    assert results.caption_of(frame) == (
        "first machine and second machine · random · commits aaaaaaa, bbbbbbb · "
        "2026-03-01 to 2026-03-02"
    )
    assert results.caption_of(frame[:1]) == (
        "second machine · random · commit bbbbbbb · 2026-03-02"
    )
    labelled = frame.assign(device_label=["Card B (24 GB)", "Card A (40 GB)", None])
    assert results.caption_of(labelled).startswith("Card A (40 GB) and Card B (24 GB) · ")
    for without_commits in (frame[["device"]], frame[2:]):
        assert results.caption_of(without_commits) == (
            "third machine · random · commit ccccccc · 2026-03-09"
        )


def test_of_many_commits_a_caption_names_the_first_and_the_last():
    days = [f"2026-03-0{day}T10:00:00" for day in (3, 1, 2)]
    frame = pd.DataFrame({"commit": [c * 40 for c in "cab"], "device": "a card", "time_utc": days})
    frame.attrs["provenance"] = {"data": "none"}
    assert results.caption_of(frame) == (
        "a card · none · 3 commits, aaaaaaa to ccccccc · 2026-03-01 to 2026-03-03"
    )
