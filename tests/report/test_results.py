"""Result files keep every number, and their first line says what produced them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from provenance_example import PROVENANCE

from senformer.report import results


@pytest.fixture
def provenance():
    described = {"parameters": {"steps": 3, "kinds": ["dense", "bigbird"], "budget_gb": None}}
    return PROVENANCE | described


def test_read_returns_what_write_wrote(tmp_path, provenance):
    random = np.random.default_rng(0)
    many = random.normal(size=10_000) * 10.0 ** random.integers(-300, 300, 10_000)
    frame = pd.DataFrame(
        {
            "sequence_length_bp": [131_072, 2**40, *[1] * len(many)],
            "pearson_r": [0.1 + 0.2, np.nan, *many],
            "tiny": [5e-324, -1 / 3, *[0.5] * len(many)],
            "status": ["ok", "NA", *["ok"] * len(many)],
        }
    )
    back = results.read(results.write(frame, tmp_path / "new" / "table.csv", provenance))
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert back.attrs == {"provenance": provenance, "file": "table.csv"}


def test_file_is_a_csv_below_its_provenance(tmp_path, provenance):
    path = results.write(pd.DataFrame({"a": [1]}), tmp_path / "table.csv", provenance)
    first, *rest = path.read_text().splitlines()
    described = json.loads(first.removeprefix("# "))
    assert len(described.pop("sha256")) == 64
    assert described == provenance
    assert rest == ["a", "1"]
    assert pd.read_csv(path, comment="#").equals(pd.DataFrame({"a": [1]}))


@pytest.mark.parametrize("method", ["write_text", "replace"])
def test_failed_write_keeps_the_old_file(tmp_path, provenance, monkeypatch, method):
    path = results.write(pd.DataFrame({"a": [1]}), tmp_path / "table.csv", provenance)
    old = path.read_text()

    def fail(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, method, fail)
    with pytest.raises(OSError, match=r"table\.csv: not written, .*No space left on"):
        results.write(pd.DataFrame({"a": [2]}), path, provenance)
    assert path.read_text() == old
    assert list(tmp_path.iterdir()) == [path]


def test_write_rejects_a_named_index(tmp_path, provenance):
    frame = pd.DataFrame({"r": [1.0]}, index=pd.Index(["CAGE"], name="track_type"))
    with pytest.raises(ValueError, match=r"table\.csv: the index .*track_type.* would be lost"):
        results.write(frame, tmp_path / "table.csv", provenance)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"commit": 1e9}, "commit=1000000000.0, expected a valid string"),
        ({"seed": "0"}, "seed='0', expected a valid integer"),
        ({"seed": True}, "seed=True, expected a valid integer"),
        ({"data": None}, "data=None, expected a valid string"),
        ({"parameters": []}, r"parameters=\[\], expected a valid dictionary"),
        ({"libraries": {"python": 3}}, "libraries.python=3, expected a valid string"),
        ({"time_utc": "yesterday"}, "time_utc='yesterday', expected a date and time"),
        ({"sead": 0}, "unknown option 'sead'"),
        (None, "parameters is missing, .*, seed is missing"),
    ],
)
def test_write_rejects_a_wrong_provenance(change, message, tmp_path):
    wrong = {} if change is None else PROVENANCE | change
    with pytest.raises(ValueError, match=rf"t\.csv: its provenance is wrong \(.*{message}"):
        results.write(pd.DataFrame({"a": [1]}), tmp_path / "t.csv", wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2.5", "2.6", "changed after it was written"),
        ("2,2.5\n", "", "changed after it was written"),
        ('"seed": 0', '"seed": 1', "changed after it was written"),
        ('"sha256": "', '"sha256": "0', "changed after it was written"),
        ('"sha256"', '"sha255"', "no sha256 in its first line"),
        (re.compile('"sha256": ".*"'), '"sha256": null', "no sha256 in its first line"),
        (re.compile(', "sha256": ".*"'), "", "no sha256 in its first line"),
        (re.compile("# .*\n"), "", "no provenance in its first line"),
        (re.compile("(?s).*"), "\x89PNG", "not UTF-8|no provenance"),
        (re.compile("(?s).*"), "root:x:0:0:root\n", "no provenance in its first line"),
        (re.compile("(?s).*"), '# "text"\na\n1\n', "no provenance in its first line"),
        (re.compile("(?s).*"), "", "no provenance in its first line"),
    ],
)
def test_read_rejects_a_changed_file(old, new, message, tmp_path, provenance):
    frame = pd.DataFrame({"a": [1, 2], "r": [1.5, 2.5]})
    path = results.write(frame, tmp_path / "t.csv", provenance)
    text = path.read_text()
    changed = text.replace(old, new) if isinstance(old, str) else old.sub(new, text, count=1)
    assert changed != text
    path.write_text(changed)
    with pytest.raises(ValueError, match=rf"^{path}: {message}") as error:
        results.read(path)
    assert "\n" not in str(error.value)


def test_read_names_a_missing_file(tmp_path):
    message = r"memory\.csv: no such file, expected a result file"
    with pytest.raises(FileNotFoundError, match=message):
        results.read(tmp_path / "memory.csv")


def test_caption_gives_device_data_commit_and_date():
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


def test_caption_of_rows_gives_their_measurements():
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


def test_caption_names_first_and_last_of_many_commits():
    days = [f"2026-03-0{day}T10:00:00" for day in (3, 1, 2)]
    frame = pd.DataFrame({"commit": [c * 40 for c in "cab"], "device": "a card", "time_utc": days})
    frame.attrs["provenance"] = {"data": "none"}
    assert results.caption_of(frame) == (
        "a card · none · 3 commits, aaaaaaa to ccccccc · 2026-03-01 to 2026-03-03"
    )
