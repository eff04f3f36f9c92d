import shutil

import pytest
from typer.testing import CliRunner

from senformer import cli
from senformer.data import opening
from senformer.workflow import notebooks, readiness


def needs(profile, data=None):
    return list(readiness.check(profile, data))


def test_a_demo_on_simulated_records_needs_nothing():
    assert all(need.is_met for need in needs("demo"))


def test_records_are_counted_by_split(small_data):
    found = {need.what: need for need in needs("demo", small_data)}
    assert all(need.is_met for need in found.values())
    assert found["human records"].detail.startswith("train 4, valid 3, test 3; 16 tracks")


def test_a_gap_between_the_files_of_a_split_is_named(small_data, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "_FULL_CHECK_BYTES", 0)  # as in a data set of many gigabytes
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    file = data / "human" / "tfrecords" / "train-0.tfr"
    shutil.copy(file, file.with_name("train-3.tfr"))
    missing = [need for need in needs("demo", data) if not need.is_met]
    assert [need.detail for need in missing] == ["missing: train-1.tfr, train-2.tfr"]


def test_the_full_profile_names_each_file_of_the_weights_that_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(notebooks, "names", lambda: ["finetuning"])
    monkeypatch.setattr(
        notebooks,
        "parameters_for",
        lambda name, profile: {"enformer_checkpoint": "../weights", "enformer_preset": "enformer"},
    )
    [missing] = [need for need in needs("full") if not need.is_met]
    assert missing.detail == (
        f"missing: {tmp_path}/weights.index, {tmp_path}/weights.data-00000-of-00001"
    )


def test_weights_that_are_no_checkpoint_are_named(monkeypatch, tmp_path):
    for ending in (".index", ".data-00000-of-00001"):
        (tmp_path / f"weights{ending}").write_bytes(b"a page that says: not found")
    monkeypatch.setattr(notebooks, "names", lambda: ["finetuning"])
    values = {
        "enformer_checkpoint": str(tmp_path / "weights"),
        "enformer_preset": "enformer_tiny",
        "target_length": 64,
    }
    monkeypatch.setattr(notebooks, "parameters_for", lambda name, profile: values)
    [damaged] = [need for need in needs("full") if not need.is_met]
    assert damaged.what == "weights"
    assert damaged.detail.startswith(f"{tmp_path}/weights: ")
    assert "\n" not in damaged.detail


def test_a_data_folder_that_is_not_there_is_missing_and_the_command_fails(tmp_path):
    answer = CliRunner().invoke(cli.app, ["check", "--data", str(tmp_path / "nowhere")])
    assert answer.exit_code == 1
    assert f"MISSING records: {tmp_path}/nowhere: no such data folder" in answer.output


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="unknown profile 'huge'"):
        needs("huge")
