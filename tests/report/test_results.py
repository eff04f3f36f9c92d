"""Result files keep every number and say what produced them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from senformer.report import results

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def provenance() -> dict[str, object]:
    return results.provenance(
        parameters={"steps": 3, "kinds": ["dense", "bigbird"], "budget_gb": None},
        seed=7,
        data="simulated",
    )


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
    assert json.loads(first.removeprefix("# ")) == provenance
    assert rest == ["a", "1"]
    assert pd.read_csv(path, comment="#").equals(pd.DataFrame({"a": [1]}))


def test_provenance_holds_what_a_rerun_needs(provenance):
    assert tuple(provenance) == results.PROVENANCE_KEYS
    assert provenance["parameters"] == {
        "steps": 3,
        "kinds": ["dense", "bigbird"],
        "budget_gb": None,
    }
    assert provenance["seed"] == 7
    assert set(provenance["libraries"]) >= {"python", "tensorflow", "dm-sonnet", "numpy"}
    assert str(provenance["time_utc"]).endswith("+00:00")
    assert "core" in str(provenance["device"]) or "GPU" in str(provenance["device"])


def test_numpy_values_and_paths_become_plain_parameters():
    found = results.provenance(
        parameters={"n": np.int64(3), "lengths": np.arange(2), "folder": Path("a/b")},
        seed=np.int64(1),
        data="simulated",
    )
    assert found["parameters"] == {"n": 3, "lengths": [0, 1], "folder": "a/b"}


def test_a_parameter_that_json_cannot_hold_is_named():
    with pytest.raises(ValueError, match=r"parameter model=.*cannot be written as JSON"):
        results.provenance(parameters={"model": object()}, seed=0, data="simulated")


def test_the_commit_is_found_from_any_folder(tmp_path):
    code = "from senformer.report import results; print(results.commit())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True
    )
    expected = head.stdout.strip() if head.returncode == 0 else results.UNKNOWN
    assert run.stdout.strip().removesuffix("-dirty") == expected


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A repository with one commit that holds a copy of the package's file."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    package = tmp_path / "repository" / "senformer"
    package.mkdir(parents=True)
    (package / "results.py").write_text("")
    monkeypatch.setattr(results, "_PACKAGE_FOLDER", package)
    _git(package.parent, "init", "-q")
    _git(package.parent, "add", ".")
    _git(package.parent, "commit", "-q", "-m", "first")
    return package.parent


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


@pytest.mark.parametrize("folder", ["book/results", "benchmarks/results"])
def test_a_change_makes_the_commit_dirty_but_a_result_does_not(repository, folder):
    published = repository / folder / "memory.csv"
    published.parent.mkdir(parents=True)
    published.write_text("old")
    _git(repository, "add", ".")
    _git(repository, "commit", "-q", "-m", "publish")
    clean = results.commit()
    assert len(clean) == 40
    published.write_text("new")
    assert results.commit() == clean
    (repository / "senformer" / "results.py").write_text("changed")
    assert results.commit() == f"{clean}-dirty"


def test_a_package_that_the_repository_does_not_hold_has_no_commit(repository, monkeypatch):
    installed = repository / "venv" / "senformer"
    installed.mkdir(parents=True)
    (installed / "results.py").write_text("")
    monkeypatch.setattr(results, "_PACKAGE_FOLDER", installed)
    assert results.commit() == results.UNKNOWN


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


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "# a comment\na\n1\n", '# "text"\na\n1\n', ""])
def test_a_csv_from_elsewhere_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "foreign.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"foreign\.csv: no provenance in its first line") as error:
        results.read(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"memory\.csv: no such result file"):
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


def test_processors_of_one_name_are_told_apart():
    described = """processor\t: {number}
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
"""
    cpuinfo = "\n".join(described.format(number=number) for number in range(2))
    assert results.cpu_name(cpuinfo) == "AMD EPYC (family 25, model 17)"
    assert results.cpu_name("model name\t: A processor\n") == "A processor"
    assert results.cpu_name("Hardware\t: something else\n") == ""


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
    for without_commits in (frame[["device"]], frame[2:]):
        assert results.caption_of(without_commits) == (
            "third machine · random · commit ccccccc · 2026-03-09"
        )


@pytest.mark.parametrize(
    ("onednn", "kernels"), [("0", "TensorFlow's own kernels"), ("1", "oneDNN")]
)
def test_a_cpu_is_named_with_the_kernels_that_compute(onednn, kernels):
    run = subprocess.run(
        [sys.executable, "-c", "from senformer.report import results; print(results.device())"],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn, "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert run.stdout.strip().endswith(f", {kernels}")
