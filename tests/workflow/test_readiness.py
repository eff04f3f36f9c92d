import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from senformer import cli
from senformer import config as config_module
from senformer.config import preset
from senformer.data import record_folders, records
from senformer.experiments.parameters import EnformerParameters
from senformer.model.enformer import Enformer
from senformer.model.weights import sonnet
from senformer.workflow import notebooks, readiness


def find_unmet(profile, data):
    return {need.name: need.detail for need in readiness.check(profile, data) if not need.is_met}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return a model with the small records' tracks, and its Sonnet checkpoint."""
    config = preset(
        "enformer_tiny",
        num_transformer_layers=1,
        target_length=64,
        tracks={"human": 16, "mouse": 10},
    )
    prefix = tmp_path_factory.mktemp("weights") / "weights"
    sonnet.save_sonnet(Enformer(config), prefix)
    return config, prefix


@pytest.fixture
def weights(checkpoint, tmp_path, monkeypatch):
    """Return the path of a checkpoint that the profile names."""
    config, prefix = checkpoint
    for file in prefix.parent.iterdir():
        shutil.copy(file, tmp_path)
    parameters = EnformerParameters.model_construct(
        enformer_checkpoint=str(tmp_path / "weights"),
        enformer_preset="small",
        target_length=64,
        sequence_length_bp=16_384,
    )
    monkeypatch.setattr(config_module, "PRESETS", {**config_module.PRESETS, "small": config})
    monkeypatch.setattr(notebooks, "ORDER", ["finetuning"])
    monkeypatch.setattr(notebooks, "parameters_for", lambda name, **_: parameters)
    return tmp_path / "weights"


@pytest.fixture
def data(small_data, tmp_path):
    return shutil.copytree(small_data, tmp_path / "data")


def test_check_counts_records(small_data):
    found = {need.name: need for need in readiness.check("demo", small_data)}
    assert all(need.is_met for need in found.values())
    assert found["human records"].detail.startswith("train 4, valid 3, test 3; 16 tracks")


def test_check_of_demo_finds_all():
    assert find_unmet("demo", None) == {}


def test_check_accepts_matching_files(weights, data):
    assert find_unmet("full", data) == {}


def test_check_names_files_missing_in_large_data(data, monkeypatch):
    monkeypatch.setattr(record_folders, "_FULL_CHECK_BYTES", 0)  # as with many gigabytes
    file = data / "human" / "tfrecords" / "train-0.tfr"
    shutil.copy(file, file.with_name("train-3.tfr"))
    found = find_unmet("demo", data)["human records"]
    assert found.endswith("tfrecords: no train-2.tfr, expected it before train-3.tfr")


def test_check_names_file_with_too_few_records(data, monkeypatch):
    monkeypatch.setattr(record_folders, "_FULL_CHECK_BYTES", 0)
    file = data / "human" / "tfrecords" / "train-0.tfr"
    records.write(file, list(records.read(file))[:-1])
    assert find_unmet("demo", data)["human records"].startswith(
        f"{file}: 3 records, expected 2 files"
    )


def test_check_needs_the_truth_of_simulated_records(data):
    (data / "human" / "elements.csv").unlink()
    assert "elements.csv: no such file" in find_unmet("demo", data)["human records"]


def test_check_compares_all_records_of_large_data(data, monkeypatch):
    monkeypatch.setattr(record_folders, "_FULL_CHECK_BYTES", 0)
    folder = data / "human" / "tfrecords"
    train, test = (list(records.read(folder / f"{split}-0.tfr")) for split in ("train", "test"))
    records.write(folder / "test-0.tfr", [*test[:2], train[1]])
    assert "bases from" in find_unmet("demo", data)["human records"]
    (data / "human" / "genome.fa").unlink()
    record_folders.open_folders(data)
    assert "the same sequence as" in find_unmet("demo", data)["human records"]


def test_check_reports_every_problem(weights, data):
    (data / "human" / "genome.fa").unlink()
    (data / "mouse" / "targets.txt").unlink()
    values = weights.with_name("weights.data-00000-of-00001")
    values.write_bytes(values.read_bytes()[:100_000])
    found = find_unmet("full", data)
    assert list(found) == ["mouse records", "human genome", "weights"]
    assert "targets.txt" in found["mouse records"]
    assert re.fullmatch(
        r".*/human/genome.fa: missing; records have [\d,]+ bp, inputs up to 16,384",
        found["human genome"],
    )
    assert re.fullmatch(
        rf"{values}: truncated \(100,000 of [\d,]+ bytes\), download it again", found["weights"]
    )


@pytest.mark.parametrize("text", ["", ">chr1\nACGT\n"])
def test_check_names_wrong_genome(text, weights, data):
    genome = data / "human" / "genome.fa"
    genome.with_name("genome.fa.fai").unlink(missing_ok=True)
    genome.write_text(text)
    assert str(genome) in find_unmet("full", data)["human records"]


def test_check_ignores_mouse_genome(data):
    for organism in ("human", "mouse"):
        (data / organism / "genome.fa").unlink()
    assert list(find_unmet("demo", data)) == ["human genome"]


def test_check_needs_records_for_weights(weights, data):
    assert find_unmet("full", None) == {
        "records": "none; the weights need records of real tracks: --data FOLDER"
    }
    shutil.rmtree(data / "mouse")
    assert list(find_unmet("full", data)) == ["mouse records"]


def test_check_compares_tracks(weights, data, monkeypatch):
    other = config_module.PRESETS["small"].replace(tracks={"human": 5, "mouse": 7})
    monkeypatch.setitem(config_module.PRESETS, "small", other)
    assert find_unmet("full", data)["records"] == (
        "tracks differ from the weights': 16 human tracks, expected 5; 10 mouse tracks, expected 7"
    )


def test_check_names_missing_weights(weights, data):
    files = [f"{weights}.index", f"{weights}.data-00000-of-00001"]
    for file in files:
        Path(file).unlink()
    assert find_unmet("full", data)["weights"] == f"missing: {', '.join(files)}"


def test_check_names_damaged_weights(weights, data):
    weights.with_name("weights.index").write_bytes(b"a page that says: not found")
    damaged = find_unmet("full", data)["weights"]
    assert damaged.startswith(f"{weights}: ")
    assert "\n" not in damaged


def test_check_command_fails_without_data(tmp_path):
    answer = CliRunner().invoke(cli.app, ["check", "--data", str(tmp_path / "nowhere")])
    assert answer.exit_code == 1
    assert f"MISSING records: {tmp_path}/nowhere: no such data folder" in answer.output
