import re
import shutil

import pytest
from typer.testing import CliRunner

from senformer import cli
from senformer import config as config_module
from senformer.config import preset
from senformer.data import record_folders, records
from senformer.model.enformer import Enformer
from senformer.model.weights import foreign_weights
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
    return {need.what: need.detail for need in needs(profile, data) if not need.is_met}


@pytest.fixture
def with_weights(tmp_path, monkeypatch):
    """A profile that names a checkpoint of a model of the small records' tracks, all in order."""
    config = preset(
        "enformer_tiny",
        num_transformer_layers=1,
        target_length=64,
        tracks={"human": 16, "mouse": 10},
    )
    prefix = tmp_path / "weights"
    foreign_weights.save_sonnet(Enformer(config), prefix)
    values = {
        "enformer_checkpoint": str(prefix),
        "enformer_preset": "small",
        "target_length": 64,
        "sequence_length_bp": 16_384,
    }
    monkeypatch.setattr(config_module, "PRESETS", {**config_module.PRESETS, "small": config})
    monkeypatch.setattr(notebooks, "names", lambda: ["finetuning"])
    monkeypatch.setattr(notebooks, "parameters_for", lambda name, **_: values)
    return prefix


@pytest.fixture
def data(small_data, tmp_path):
    return shutil.copytree(small_data, tmp_path / "data")


def test_what_is_there_and_fits_is_found(with_weights, data):
    assert unmet("full", data) == {}


def test_without_records_weights_have_nothing_to_predict(with_weights):
    assert unmet("full", None) == {
        "records": "none given; the weights are of real tracks: --data FOLDER"
    }


def test_one_problem_does_not_hide_the_next(with_weights, data):
    (data / "human" / "genome.fa").unlink()
    (data / "mouse" / "targets.txt").unlink()
    values = with_weights.with_name("weights.data-00000-of-00001")
    values.write_bytes(values.read_bytes()[:100_000])
    found = unmet("full", data)
    assert list(found) == ["mouse records", "human genome", "weights"]
    assert "targets.txt" in found["mouse records"]
    assert re.fullmatch(
        r".*/human/genome.fa: missing: the bases around records of [\d,]+ bp, for inputs of 16,384",
        found["human genome"],
    )
    assert re.fullmatch(
        rf"{values}: truncated \(100,000 of [\d,]+ bytes\), download it again", found["weights"]
    )


def test_an_empty_genome_and_one_of_another_organism_are_named(with_weights, data):
    genome = data / "human" / "genome.fa"
    genome.with_name("genome.fa.fai").unlink(missing_ok=True)
    genome.write_text("")
    assert unmet("full", data)["human genome"].startswith(str(genome))
    genome.with_name("genome.fa.fai").unlink(missing_ok=True)
    genome.write_text(">chr1\nACGT\n")
    assert str(genome) in unmet("full", data)["human genome"]


def test_the_genome_of_the_organism_that_is_not_evaluated_is_not_asked_for(data):
    for organism in ("human", "mouse"):
        (data / organism / "genome.fa").unlink()
    assert list(unmet("demo", data)) == ["human genome"]


def test_one_organism_alone_is_not_what_the_weights_were_trained_on(with_weights, data):
    shutil.rmtree(data / "mouse")
    assert list(unmet("full", data)) == ["mouse records"]


def test_records_of_other_tracks_than_the_weights_are_said_once(with_weights, data, monkeypatch):
    other = config_module.PRESETS["small"].replace(tracks={"human": 5, "mouse": 7})
    monkeypatch.setitem(config_module.PRESETS, "small", other)
    found = unmet("full", data)
    assert found["records"] == (
        "other tracks than the weights': 16 human tracks, expected 5; 10 mouse tracks, expected 7"
    )


def test_a_file_that_holds_too_few_records_is_named_in_a_large_set_too(data, monkeypatch):
    monkeypatch.setattr(record_folders, "_FULL_CHECK_BYTES", 0)
    file = data / "human" / "tfrecords" / "train-0.tfr"
    kept = list(records.read(file))
    records.write(file, kept[:-1])
    assert unmet("demo", data)["human records"].startswith(f"{file}: holds")


def test_the_full_profile_names_each_file_of_the_weights_that_is_missing(with_weights, data):
    for ending in (".index", ".data-00000-of-00001"):
        with_weights.with_name(f"weights{ending}").unlink()
    assert unmet("full", data)["weights"] == (
        f"missing: {with_weights}.index, {with_weights}.data-00000-of-00001"
    )


def test_weights_that_are_no_checkpoint_are_named(with_weights, data):
    with_weights.with_name("weights.index").write_bytes(b"a page that says: not found")
    damaged = unmet("full", data)["weights"]
    assert damaged.startswith(f"{with_weights}: ")
    assert "\n" not in damaged


def test_a_data_folder_that_is_not_there_is_missing_and_the_command_fails(tmp_path):
    answer = CliRunner().invoke(cli.app, ["check", "--data", str(tmp_path / "nowhere")])
    assert answer.exit_code == 1
    assert f"MISSING records: {tmp_path}/nowhere: no such data folder" in answer.output


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="unknown profile 'huge'"):
        needs("huge")
