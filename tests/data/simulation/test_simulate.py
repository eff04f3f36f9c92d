import filecmp
import itertools
import json
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from full_disk import largest_file

from senformer.data import datasets, record_folders, tracks
from senformer.data.simulation import contact, regulation, simulate
from senformer.data.windows import InputWindow

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
def human(tmp_path_factory):
    """Enough human sequences of the default size for statistics."""
    folder = simulate.write_dataset(
        tmp_path_factory.mktemp("simulated") / "human",
        num_sequences={"human": {"train": 40, "valid": 1, "test": 1}},
    )
    return record_folders.open_folders(folder)["human"]


def targets_of(folder, split):
    stored = datasets.examples(folder, split, InputWindow(folder.sequence_length_bp))
    return np.stack([example["target"].numpy() for example in stored])


def files_below(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def test_it_is_a_basenji2_data_set(tiny):
    folders = record_folders.open_folders(tiny)
    assert list(folders) == ["human", "mouse"]
    for organism, folder in folders.items():
        assert folder.record_format == "basenji2"
        assert (folder.sequence_length_bp, folder.target_length) == (4096, 24)
        expected = TINY["num_sequences"][organism]
        assert {split: len(folder.intervals_of(split)) for split in folder.splits} == expected
    assert len(list((tiny / "human/tfrecords").glob("train-*.tfr"))) == 2


def test_its_tables_have_the_columns_of_basenji2s(tiny, shared):
    real = tracks.read_targets(shared / "data/basenji2/targets_human.txt")
    simulated = tracks.read_targets(tiny / "human/targets.txt")
    assert simulated.columns.tolist() == real.columns.tolist()
    assert simulated.index.name == real.index.name


def test_it_has_tracks_of_every_type_and_the_groupings_differ(tiny):
    targets = record_folders.open_folders(tiny)["human"].targets
    counts = {
        grouping: tracks.track_types(targets, grouping).value_counts().to_dict()
        for grouping in tracks.GROUPINGS
    }
    assert counts["published"] == {
        "DNase/ATAC": 3,
        "TF ChIP": 7,
        "Histone ChIP": 4,
        "CAGE": 2,
    }
    assert counts["curated"] == {"DNase/ATAC": 3, "TF ChIP": 5, "Histone ChIP": 6, "CAGE": 2}


def test_the_same_arguments_give_the_same_bytes(tiny, tmp_path):
    again = simulate.write_dataset(tmp_path / "again", **TINY)
    names = files_below(tiny)
    assert files_below(again) == names
    assert len(names) == 20
    _, differing, errors = filecmp.cmpfiles(tiny, again, names, shallow=False)
    assert (differing, errors) == ([], [])


def test_another_seed_gives_another_genome_and_other_values(tiny, tmp_path):
    other = simulate.write_dataset(tmp_path / "other", seed=1, **TINY)
    for name in ("genome.fa", "elements.csv", "tfrecords/train-0.tfr", "sequences.bed"):
        assert (tiny / "human" / name).read_bytes() != (other / "human" / name).read_bytes()


def test_organisms_and_splits_have_sequences_of_their_own(tiny):
    seen = set()
    for folder in record_folders.open_folders(tiny).values():
        for split in folder.splits:
            for example in datasets.examples(folder, split, InputWindow(4096)):
                seen.add(example["sequence"].numpy().tobytes())
    assert len(seen) == 40 + 2 + 3 + 3 + 2 + 2


def test_records_are_cut_from_the_genome_with_real_flanks_all_around(tiny):
    for folder in record_folders.open_folders(tiny).values():
        for split in folder.splits:
            longer = datasets.examples(folder, split, InputWindow(8192, flanks="genome"))
            for example in longer:  # which compares every record with the genome
                assert (example["sequence"].numpy().sum(axis=1) == 1).all()


def test_values_are_poisson_counts_of_the_expected_rates(human):
    counts, rates = targets_of(human, "train"), simulate.compute_expected_targets(human, "train")
    assert counts.shape == rates.shape
    unclipped = rates < 20
    deviation = ((counts - rates) / np.sqrt(rates))[unclipped]
    assert deviation.mean() == pytest.approx(0, abs=0.01)
    assert deviation.var() == pytest.approx(1, abs=0.03)
    per_track = counts.mean(axis=(0, 1)) / rates.mean(axis=(0, 1))
    np.testing.assert_allclose(per_track, 1, atol=0.05)
    assert (counts == np.round(counts)).all()


def test_the_more_is_seen_the_better_cage_is_known_and_openness_is_known_at_once(human):
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


def test_what_an_input_holds_is_what_enhancers_within_it_do(human):
    """Against a sum over pairs of one record's promoters, written out."""
    elements = simulate.read_elements(human).query("chrom == 'chr1'").reset_index(drop=True)
    interval = human.intervals_of("train").iloc[0]
    seen = simulate._limit_to_input(elements, human, 65_536)
    left, right = interval["start"] + 16_384 - 32_768, interval["start"] + 16_384 + 32_768
    inside = elements[elements["position_bp"].between(left + 1, right - 1)]
    alone = regulation.add_distal_effects(
        inside.reset_index(drop=True), contact.find_pairs(inside.reset_index(drop=True))
    ).set_index(inside.index)
    promoters = inside.index[
        (inside["kind"] == "promoter")
        & inside["position_bp"].between(interval["start"], interval["end"] - 1)
    ]
    of_core = elements.loc[promoters, "activator"]
    added = seen.loc[promoters, "distal_blood"] - alone.loc[promoters, "distal_blood"]
    assert (added.groupby(of_core).std() < 1e-9).all()
    assert (added > 0).all()


def test_what_enhancers_do_varies_among_promoters_of_a_core(human):
    elements = simulate.read_elements(human)
    promoters = elements[elements["kind"] == "promoter"]
    for biosample in ("blood", "liver"):
        distal = promoters.groupby("activator")[f"distal_{biosample}"]
        assert (distal.std() > 0.3 * distal.mean()).all()


def test_ground_truth_is_read_back_exactly(tiny):
    elements = simulate.read_elements(record_folders.open_folders(tiny)["human"])
    text = (tiny / "human/elements.csv").read_text()
    assert elements.to_csv(index=False) == text
    assert set(elements["kind"]) <= set(regulation.KINDS["kind"])


def test_a_second_call_reuses_what_is_there(tiny, monkeypatch):
    monkeypatch.setattr(simulate, "_write_organism", None)  # would fail if it were called
    assert simulate.write_dataset(tiny, **TINY) == tiny


def test_other_arguments_are_refused_with_the_difference(tiny):
    before = {path: (tiny / path).stat().st_mtime_ns for path in files_below(tiny)}
    with pytest.raises(
        FileExistsError, match=r"holds a data set of other arguments \(seed=0, not 3"
    ):
        simulate.write_dataset(tiny, seed=3, **TINY)
    assert {path: (tiny / path).stat().st_mtime_ns for path in files_below(tiny)} == before


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something else"):
        simulate.write_dataset(tmp_path, **TINY)
    assert files_below(tmp_path) == [simulate.Path("notes.txt")]


def test_arguments_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "simulation.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match=r"simulation\.json: not UTF-8"):
        simulate.write_dataset(tmp_path, **TINY)


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "data").mkdir()
    record_folders.open_folders(simulate.write_dataset(tmp_path / "data", **TINY))


@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch, organism):
    write_elements, calls = simulate._write_elements, itertools.count()

    def interrupted(path, chromosomes):
        assert not (tmp_path / "data").exists()
        if next(calls) == ["human", "mouse"].index(organism):
            raise KeyboardInterrupt
        write_elements(path, chromosomes)

    monkeypatch.setattr(simulate, "_write_elements", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate.write_dataset(tmp_path / "data", **TINY)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    record_folders.open_folders(simulate.write_dataset(tmp_path / "data", **TINY))


@pytest.mark.slow
def test_a_killed_write_leaves_nothing_that_is_taken_for_a_data_set(tmp_path):
    killed = """
import os, signal, sys
from senformer.data.simulation import simulate
simulate._write_elements = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
simulate.write_dataset(sys.argv[1])
"""
    process = subprocess.run([sys.executable, "-c", killed, tmp_path / "data"], capture_output=True)
    assert process.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1  # the unfinished folder, under another name
    for folder in (tmp_path, tmp_path / "data"):
        with pytest.raises(FileNotFoundError):
            record_folders.open_folders(folder)
    record_folders.open_folders(simulate.write_dataset(tmp_path / "data", **TINY))


@pytest.mark.parametrize("num_bytes", [20_000, 130_000], ids=["records", "genome"])
def test_a_full_disk_is_said_with_the_path_and_leaves_nothing(tmp_path, num_bytes):
    with largest_file(num_bytes), pytest.raises(OSError, match="File too large") as error:
        simulate.write_dataset(tmp_path / "data", **TINY)
    assert str(tmp_path) in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_that_write_the_same_agree(tmp_path, monkeypatch):
    folder = simulate.write_dataset(tmp_path / "data", **TINY)
    is_written, calls = simulate._is_written, []
    monkeypatch.setattr(
        simulate, "_is_written", lambda *a: calls.append(a) or (len(calls) > 1 and is_written(*a))
    )
    assert simulate.write_dataset(folder, **TINY) == folder
    assert len(calls) == 2
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed=-1, expected an integer of at least 0"),
        ({"sequence_length_bp": 1000}, "sequence_length_bp=1000, expected a positive multiple"),
        ({"flank_bp": 100}, "flank_bp=100, expected a multiple of 128"),
        ({"target_length": 33}, "target_length=33, expected 1 to 32 bins"),
        ({"target_length": 23}, "target_length=23, expected 1 to 32 bins, as many left over"),
        ({"num_sequences": {}}, "num_sequences is for no organism, expected some of human, mouse"),
        ({"num_sequences": {"fly": {}}}, "num_sequences is for fly, expected some of human, mouse"),
        (
            {"num_sequences": {"human": {"train": 5, "test": 1}}},
            "expected at least one sequence for each of train, valid, test",
        ),
    ],
)
def test_an_argument_out_of_range_is_named_before_any_work(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate.write_dataset(tmp_path / "data", **{**TINY, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_real_records_have_no_ground_truth(tiny, tmp_path):
    folder = record_folders.open_folders(tiny)["human"]
    path = folder.path / simulate.ELEMENTS_FILE
    moved = path.rename(tmp_path / "elements.csv")
    try:
        with pytest.raises(FileNotFoundError, match=r"elements\.csv: no such file, expected"):
            simulate.read_elements(folder)
    finally:
        moved.rename(path)


def test_arguments_are_kept_with_the_data(tiny):
    kept = json.loads((tiny / "simulation.json").read_text())
    assert {name: kept[name] for name in TINY} == TINY
    assert kept["seed"] == 0
    assert pd.read_json(tiny / "human/statistics.json", typ="series")["crop_bp"] == 512
