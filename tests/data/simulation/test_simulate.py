import filecmp
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from full_disk import largest_file

from senformer.data import datasets, record_folders, tracks
from senformer.data.simulation import contact, regulation, simulate
from senformer.data.windows import InputWindow
from senformer.storage.checksums import checksum_values

TINY = {
    "sequence_length_bp": 4096,
    "target_length": 24,
    "flank_bp": 4096,
    "num_sequences": {
        "human": {"train": 40, "valid": 2, "test": 3},
        "mouse": {"train": 3, "valid": 2, "test": 2},
    },
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return simulate.write_dataset(tmp_path_factory.mktemp("simulated") / "tiny", **TINY)


@pytest.fixture(scope="module")
def folders(tiny):
    return record_folders.open_folders(tiny)


@pytest.fixture(scope="module")
def human(tmp_path_factory):
    """Write enough human sequences of the default size for statistics."""
    folder = simulate.write_dataset(
        tmp_path_factory.mktemp("simulated") / "human",
        num_sequences={"human": {"train": 40, "valid": 1, "test": 1}},
    )
    return record_folders.open_folders(folder)["human"]


def list_files(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


# ------------------------------------------------------------------------------------ the data set


def test_dataset_has_basenji2s_format(folders):
    assert list(folders) == ["human", "mouse"]
    for organism, folder in folders.items():
        assert folder.record_format == "basenji2"
        assert (folder.sequence_length_bp, folder.target_length) == (4096, 24)
        expected = TINY["num_sequences"][organism]
        assert {split: len(folder.intervals_of(split)) for split in folder.splits} == expected
    assert len(list((folders["human"].path / "tfrecords").glob("train-*.tfr"))) == 2
    statistics = json.loads((folders["human"].path / "statistics.json").read_text())
    assert statistics["crop_bp"] == 512


def test_targets_have_basenji2s_columns(folders, shared):
    real = tracks.read_targets(shared / "data/basenji2/targets_human.txt")
    simulated = folders["human"].targets
    assert simulated.columns.tolist() == real.columns.tolist()
    assert simulated.index.name == real.index.name


@pytest.mark.parametrize(
    ("grouping", "num_tf", "num_histone"), [("published", 7, 4), ("curated", 5, 6)]
)
def test_targets_have_all_track_types(folders, grouping, num_tf, num_histone):
    found = tracks.track_types(folders["human"].targets, grouping).value_counts().to_dict()
    assert found == {
        "DNase/ATAC": 3,
        "TF ChIP": num_tf,
        "Histone ChIP": num_histone,
        "CAGE": 2,
    }


def test_bytes_depend_on_the_arguments_alone(tiny, tmp_path):
    again = simulate.write_dataset(tmp_path / "again", **TINY)
    names = list_files(tiny)
    assert list_files(again) == names
    assert len(names) == 20
    _, differing, errors = filecmp.cmpfiles(tiny, again, names, shallow=False)
    assert (differing, errors) == ([], [])
    other = simulate.write_dataset(tmp_path / "other", seed=1, **TINY)
    for name in ("genome.fa", "elements.csv", "tfrecords/train-0.tfr", "sequences.bed"):
        assert (tiny / "human" / name).read_bytes() != (other / "human" / name).read_bytes()


# --------------------------------------------------------------------------------------- the truth


def test_values_are_poisson_counts(human):
    stored = datasets.examples(human, "train", InputWindow(human.sequence_length_bp))
    counts = np.stack([example["target"].numpy() for example in stored])
    rates = simulate.compute_expected_targets(human, "train")
    assert counts.shape == rates.shape
    is_unclipped = rates < 20
    deviation = ((counts - rates) / np.sqrt(rates))[is_unclipped]
    assert deviation.mean() == pytest.approx(0, abs=0.01)
    assert deviation.var() == pytest.approx(1, abs=0.03)
    per_track = counts.mean(axis=(0, 1)) / rates.mean(axis=(0, 1))
    np.testing.assert_allclose(per_track, 1, atol=0.05)
    assert (counts == np.round(counts)).all()


def test_ceilings_of_cage_grow_with_the_input(human):
    lengths_bp = [0, 32_768, 131_072, 524_288, None]
    ceilings = simulate.compute_ceilings(human, "train", lengths_bp)
    ceilings["track_type"] = [*tracks.track_types(human.targets)] * len(lengths_bp)
    by_type = ceilings.pivot_table(
        index="track_type", columns=ceilings["seen_bp"].fillna(np.inf), values="pearson_r"
    )
    cage = by_type.loc["CAGE"].to_numpy()
    assert (np.diff(cage)[:3] > 0.005).all() and cage[-1] >= cage[-2]
    assert cage[0] < 0.92 and cage[-1] > 0.98
    assert np.ptp(by_type.loc["DNase/ATAC"]) < 1e-9


def test_inputs_limit_the_distal_effects(human):
    """Compare with the sum over the enhancers within one record's input."""
    elements = simulate.read_elements(human).query("chrom == 'chr1'").reset_index(drop=True)
    interval = human.intervals_of("train").iloc[0]
    seen = simulate._limit_to_input(elements, human, 65_536)
    left, right = interval["start"] + 16_384 - 32_768, interval["start"] + 16_384 + 32_768
    inside = elements[elements["position_bp"].between(left + 1, right - 1)]
    renumbered = inside.reset_index(drop=True)
    alone = regulation.add_distal_effects(renumbered, contact.find_pairs(renumbered))
    alone = alone.set_index(inside.index)
    promoters = inside.index[
        (inside["kind"] == "promoter")
        & inside["position_bp"].between(interval["start"], interval["end"] - 1)
    ]
    cores = elements.loc[promoters, "activator"]
    added = seen.loc[promoters, "distal_blood"] - alone.loc[promoters, "distal_blood"]
    assert (added.groupby(cores).std() < 1e-9).all()
    assert (added > 0).all()


def test_read_elements_inverts_writing(folders):
    path = folders["human"].path / simulate.ELEMENTS_FILE
    elements = simulate.read_elements(folders["human"])
    assert elements.to_csv(index=False) == path.read_text()
    assert set(elements["kind"]) <= set(regulation.KINDS["kind"])


def edit(path, change):
    path.write_bytes(change(path.read_bytes()))


def describe(path, **values):
    """Change a description and make its digest right."""
    described = json.loads(path.read_text()) | values
    del described["sha256"]
    digest = checksum_values(described)
    path.write_text(json.dumps(described | {"sha256": digest}))


@pytest.fixture(scope="module")
def damageable(tiny, tmp_path_factory):
    """Open a copy of the data set, whose files each test restores."""
    data = shutil.copytree(tiny, tmp_path_factory.mktemp("damageable") / "data")
    return record_folders.open_folder("human", data / "human")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("elements.csv", lambda path: path.unlink()),
        ("elements.csv", lambda path: edit(path, lambda text: text[:-40])),
        ("elements.csv", lambda path: edit(path, lambda text: text[: text.rindex(b"\nchr3")])),
        ("elements.csv", lambda path: edit(path, lambda text: b"")),
        ("elements.csv", lambda path: edit(path, lambda text: text.replace(b"+", b"-", 1))),
        ("elements.csv", lambda path: shutil.copy(path.parents[1] / "mouse/elements.csv", path)),
        ("../simulation.json", lambda path: path.unlink()),
        ("../simulation.json", lambda path: edit(path, lambda text: text[:-9])),
        ("../simulation.json", lambda path: edit(path, lambda text: b"{}")),
        ("../simulation.json", lambda path: edit(path, lambda text: text.replace(b"256", b"1"))),
        ("../simulation.json", lambda path: edit(path, lambda text: text.replace(b": 0", b": 1"))),
        ("../simulation.json", lambda path: describe(path, files={})),
        ("../simulation.json", lambda path: describe(path, files=None)),
        ("../simulation.json", lambda path: describe(path, more=1)),
    ],
)
def test_damaged_truth_is_refused(damageable, name, damage):
    path = damageable.path / name
    content = path.read_bytes()
    try:
        damage(path)
        assert simulate.is_simulated(damageable)
        with pytest.raises((ValueError, OSError), match=r"(elements\.csv|n\.json): ") as error:
            simulate.read_elements(damageable)
        assert "\n" not in str(error.value)
    finally:
        path.write_bytes(content)


# ------------------------------------------------------------------------------------- the writing


@pytest.mark.parametrize("name", ["elements.csv", "genome.fa", "tfrecords/test-0.tfr"])
def test_a_damaged_dataset_is_not_reused(damageable, name):
    data, path = damageable.path.parent, damageable.path / name
    content = path.read_bytes()
    edit(path, lambda content: content[:-1])
    with pytest.raises(ValueError, match=f"{path}: changed, or of another data set"):
        simulate.write_dataset(data, **TINY)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{path}: no such file"):
        simulate.write_dataset(data, **TINY)
    path.write_bytes(content)
    assert simulate.write_dataset(data, **TINY) == data
    assert list(data.parent.iterdir()) == [data]


def test_an_existing_dataset_is_reused(tiny, monkeypatch):
    monkeypatch.setattr(simulate, "_write_organism", None)  # a call would fail
    assert simulate.write_dataset(tiny, **TINY) == tiny
    message = r"holds a data set of other arguments \(seed=0, not 3"
    with pytest.raises(FileExistsError, match=message):
        simulate.write_dataset(tiny, seed=3, **TINY)


def test_other_files_are_not_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds other files"):
        simulate.write_dataset(tmp_path, **TINY)
    (tmp_path / "simulation.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match=r"simulation\.json: not UTF-8"):
        simulate.write_dataset(tmp_path, **TINY)
    assert [str(name) for name in list_files(tmp_path)] == ["notes.txt", "simulation.json"]


@pytest.mark.parametrize("num_calls", [0, 1])
def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch, num_calls):
    write_elements, calls = simulate._write_elements, []

    def interrupt(path, chromosomes):
        assert not any((tmp_path / "data").iterdir())
        if len(calls) == num_calls:
            raise KeyboardInterrupt
        calls.append(1)
        write_elements(path, chromosomes)

    (tmp_path / "data").mkdir()  # an empty folder is filled
    with monkeypatch.context() as patch:
        patch.setattr(simulate, "_write_elements", interrupt)
        with pytest.raises(KeyboardInterrupt):
            simulate.write_dataset(tmp_path / "data", **TINY)
    assert list(tmp_path.iterdir()) == [tmp_path / "data"]
    record_folders.open_folders(simulate.write_dataset(tmp_path / "data", **TINY))


def test_links_and_nameless_folders_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("link", "loop"):
        (tmp_path / name).symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    for name in ("link", "loop", "file"):
        with pytest.raises(FileExistsError, match=f"{name}: a link or a file, expected a new or"):
            simulate.write_dataset(tmp_path / name, **TINY)
    for name in (".", "", "/"):
        with pytest.raises(ValueError, match="expected the name of a file or folder to write"):
            simulate.write_dataset(name, **TINY)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_write_leaves_nothing(tmp_path, number):
    program = """
import os, sys
from senformer import cli
from senformer.data.simulation import simulate
number = int(sys.argv.pop())
simulate._simulate_chromosome = lambda *_: os.kill(os.getpid(), number)
cli.app()
"""
    command = [sys.executable, "-c", program, "simulate", tmp_path / "data", str(number.value)]
    status = subprocess.run(command, capture_output=True).returncode
    if number == signal.SIGKILL:  # the next call removes what it left
        assert status == -number and not (tmp_path / "data").exists()
        with pytest.raises(FileNotFoundError):
            record_folders.open_folders(tmp_path)
    else:
        assert status == 128 + number and list(tmp_path.iterdir()) == []
    record_folders.open_folders(simulate.write_dataset(tmp_path / "data", **TINY))
    assert list(tmp_path.iterdir()) == [tmp_path / "data"]


@pytest.mark.parametrize("num_bytes", [20_000, 130_000], ids=["records", "genome"])
def test_a_full_disk_leaves_nothing(tmp_path, num_bytes):
    with largest_file(num_bytes), pytest.raises(OSError, match="File too large") as error:
        simulate.write_dataset(tmp_path / "data", **TINY)
    assert str(tmp_path) in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed=-1, expected at least 0"),
        ({"sequence_length_bp": 1000}, "sequence_length_bp=1000, expected a multiple of 128"),
        ({"flank_bp": 100}, "flank_bp=100, expected a multiple of 128"),
        ({"target_length": 33}, "target_length=33, expected 1 to 32 bins"),
        ({"target_length": 23}, "target_length=23, expected 1 to 32 bins, with equally many"),
        ({"num_sequences": {}}, "num_sequences={}, expected some of human, mouse"),
        ({"num_sequences": {"fly": {}}}, "'fly', expected one of human, mouse"),
        ({"num_sequences": {"human": {"train": 5, "test": 1}}}, "human=.*, valid is missing"),
        ({"num_sequences": {"human": {"train": 5, "valid": 0, "test": 1}}}, "valid=0, expected at"),
    ],
)
def test_arguments_are_checked_before_writing(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate.write_dataset(tmp_path / "data", **{**TINY, **arguments})
    assert list(tmp_path.iterdir()) == []
