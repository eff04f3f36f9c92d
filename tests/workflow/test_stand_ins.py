import pytest

from senformer.config import preset
from senformer.data import genome, record_folders
from senformer.data.tracks import track_types
from senformer.model.weights import sonnet
from senformer.study import claims
from senformer.workflow import stand_ins


@pytest.fixture(scope="module")
def config():
    """Return a model of few channels with the records' tracks and bins."""
    return preset(
        "enformer_tiny",
        num_transformer_layers=1,
        tracks=preset("enformer").tracks,
        target_length=preset("enformer").target_length,
    )


@pytest.fixture(scope="module")
def folder(config, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stand_ins, "preset", lambda name: config)
        return stand_ins.write(tmp_path_factory.mktemp("stand-ins"))


def test_records_match_study_and_genome(folder):
    folders = record_folders.open_folders(folder)
    assert {name: one.num_tracks for name, one in folders.items()} == {
        "human": 5313,
        "mouse": 1643,
    }
    types = track_types(folders["human"].targets).value_counts()
    for key, name in claims.TRACK_TYPE_NAMES.items():
        assert types[name] == claims.get_value(f"data.human_{key}")
    longest_bp = 786_432
    with genome.open_fasta(folder / "human" / "genome.fa") as fasta:
        length_bp = len(fasta["chr1"])
    middle = folders["human"].intervals[["start", "end"]].mean(axis=1)
    assert (middle >= longest_bp / 2).all()
    assert (middle <= length_bp - longest_bp / 2).all()


def test_weights_load_as_sonnet_checkpoint(folder, config):
    model = sonnet.load_sonnet(folder / stand_ins.WEIGHTS, config)
    assert model.config == config


def test_write_keeps_existing_files(folder, config, monkeypatch):
    monkeypatch.setattr(stand_ins, "preset", lambda name: config)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert len(before) > 10
    stand_ins.write(folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before
