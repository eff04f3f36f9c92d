import re
import shutil

import pytest
from typer.testing import CliRunner

from senformer import cli
from senformer import config as config_module
from senformer.config import preset
from senformer.data import record_folders, records
from senformer.experiments.parameters import EnformerParameters
from senformer.model.enformer import Enformer
from senformer.model.weights import foreign_weights
from senformer.workflow import notebooks, readiness


def needs(profile, data=None):
    return list(readiness.check(profile, data))


def test_check_of_demo_finds_all():
    assert all(need.is_met for need in needs("demo"))


def test_check_counts_records(small_data):
    found = {need.name: need for need in needs("demo", small_data)}
    assert all(need.is_met for need in found.values())
    assert found["human records"].detail.startswith("train 4, valid 3, test 3; 16 tracks")


def test_check_names_missing_files(small_data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        record_folders, "_FULL_CHECK_BYTES", 0
    )  # as in a data set of many gigabytes
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    file = data / "human" / "tfrecords" / "train-0.tfr"
    shutil.copy(file, file.with_name("train-3.tfr"))
    missing = [need for need in needs("demo", data) if not need.is_met]
    assert [need.detail for need in missing] == ["missing: train-1.tfr, train-2.tfr"]


def unmet(profile, data):
    return {need.name: need.detail for need in needs(profile, data) if not need.is_met}


@pytest.fixture
def with_weights(tmp_path, monkeypatch):
    """Return the checkpoint of a profile whose model has the small records' tracks."""
    config = preset(
        "enformer_tiny",
        num_transformer_layers=1,
        target_length=64,
        tracks={"human": 16, "mouse": 10},
    )
    prefix = tmp_path / "weights"
    foreign_weights.save_sonnet(Enformer(config), prefix)
    parameters = EnformerParameters.model_construct(
        enformer_checkpoint=str(prefix),
        enformer_preset="small",
        target_length=64,
        sequence_length_bp=16_384,
    )
    monkeypatch.setattr(config_module, "PRESETS", {**config_module.PRESETS, "small": config})
    monkeypatch.setattr(notebooks, "ORDER", ["finetuning"])
    monkeypatch.setattr(notebooks, "parameters_for", lambda name, **_: parameters)
    return prefix


@pytest.fixture
def data(small_data, tmp_path):
    return shutil.copytree(small_data, tmp_path / "data")


def test_check_accepts_matching_files(with_weights, data):
    assert unmet("full", data) == {}


def test_check_needs_records_for_weights(with_weights):
    assert unmet("full", None) == {
        "records": "none; the weights need records of real tracks: --data FOLDER"
    }


def test_check_reports_every_problem(with_weights, data):
    (data / "human" / "genome.fa").unlink()
    (data / "mouse" / "targets.txt").unlink()
    values = with_weights.with_name("weights.data-00000-of-00001")
    values.write_bytes(values.read_bytes()[:100_000])
    found = unmet("full", data)
    assert list(found) == ["mouse records", "human genome", "weights"]
    assert "targets.txt" in found["mouse records"]
    assert re.fullmatch(
        r".*/human/genome.fa: missing; records have [\d,]+ bp, inputs up to 16,384",
        found["human genome"],
    )
    assert re.fullmatch(
        rf"{values}: truncated \(100,000 of [\d,]+ bytes\), download it again", found["weights"]
    )


def test_check_names_wrong_genome(with_weights, data):
    genome = data / "human" / "genome.fa"
    genome.with_name("genome.fa.fai").unlink(missing_ok=True)
    genome.write_text("")
    assert unmet("full", data)["human genome"].startswith(str(genome))
    genome.with_name("genome.fa.fai").unlink(missing_ok=True)
    genome.write_text(">chr1\nACGT\n")
    assert str(genome) in unmet("full", data)["human genome"]


def test_check_ignores_mouse_genome(data):
    for organism in ("human", "mouse"):
        (data / organism / "genome.fa").unlink()
    assert list(unmet("demo", data)) == ["human genome"]


def test_check_needs_mouse_for_weights(with_weights, data):
    shutil.rmtree(data / "mouse")
    assert list(unmet("full", data)) == ["mouse records"]


def test_check_compares_tracks(with_weights, data, monkeypatch):
    other = config_module.PRESETS["small"].replace(tracks={"human": 5, "mouse": 7})
    monkeypatch.setitem(config_module.PRESETS, "small", other)
    found = unmet("full", data)
    assert found["records"] == (
        "tracks differ from the weights': 16 human tracks, expected 5; 10 mouse tracks, expected 7"
    )


def test_check_names_short_file(data, monkeypatch):
    monkeypatch.setattr(record_folders, "_FULL_CHECK_BYTES", 0)
    file = data / "human" / "tfrecords" / "train-0.tfr"
    kept = list(records.read(file))
    records.write(file, kept[:-1])
    assert unmet("demo", data)["human records"].startswith(f"{file}: holds")


def test_check_names_missing_weights(with_weights, data):
    for ending in (".index", ".data-00000-of-00001"):
        with_weights.with_name(f"weights{ending}").unlink()
    assert unmet("full", data)["weights"] == (
        f"missing: {with_weights}.index, {with_weights}.data-00000-of-00001"
    )


def test_check_names_damaged_weights(with_weights, data):
    with_weights.with_name("weights.index").write_bytes(b"a page that says: not found")
    damaged = unmet("full", data)["weights"]
    assert damaged.startswith(f"{with_weights}: ")
    assert "\n" not in damaged


def test_check_command_fails_without_data(tmp_path):
    answer = CliRunner().invoke(cli.app, ["check", "--data", str(tmp_path / "nowhere")])
    assert answer.exit_code == 1
    assert f"MISSING records: {tmp_path}/nowhere: no such data folder" in answer.output


def test_check_names_unknown_profile():
    with pytest.raises(ValueError, match="unknown profile 'huge'"):
        needs("huge")
