import os
import shutil

import numpy as np
import pytest
from small_records import write_basenji2

from senformer.data import record_folders
from senformer.training import identity


@pytest.fixture
def folder(tmp_path):
    return record_folders.open_folders(write_basenji2(tmp_path / "data"))["human"]


def test_digest_ignores_folder_and_times(folder, tmp_path):
    before = identity.digest_records(folder)
    copy = tmp_path / "copy/human"
    shutil.copytree(folder.path, copy, copy_function=shutil.copyfile)  # with new times
    copied = record_folders.open_folder("human", copy)
    assert identity.digest_records(copied) == before
    (folder.path / "targets.txt").touch()
    assert identity.digest_records(folder) == before


def test_digest_changes_with_swapped_records(folder):
    before = identity.digest_records(folder)
    first, second, *_ = sorted(folder.path.glob("tfrecords/train-*.tfr"))
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    assert identity.digest_records(folder) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("targets.txt", "DNASE:x", "DNASE:y"),
        ("statistics.json", '"num_targets"', '"crop_bp": 256, "num_targets"'),
        ("sequences.bed", "chr1", "chr2"),
        ("genome.fa", "A", "C"),
    ],
)
def test_digest_includes_tables_and_genome(folder, name, old, new):
    before = identity.digest_records(folder)
    path = folder.path / name
    path.write_text(path.read_text().replace(old, new, 1))
    assert identity.digest_records(folder) != before


@pytest.mark.parametrize(
    ("place", "modified_s", "is_detected"),
    [(0, 1, True), (-1, 1, True), (700, 2, True), (700, 1, False)],
)
def test_digest_samples_large_files(folder, monkeypatch, place, modified_s, is_detected):
    monkeypatch.setattr(identity, "_READ_WHOLE_BYTES", 10_000)
    monkeypatch.setattr(identity, "_SAMPLE_BYTES", 16)
    path = folder.genome
    os.utime(path, (1, 1))
    before = identity.digest_records(folder)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, (modified_s, modified_s))
    identity._digest_file_state.cache_clear()  # as in another process
    assert (identity.digest_records(folder) != before) == is_detected


def test_digest_arrays():
    array = np.arange(6, dtype=np.float32)
    changed = array.copy()
    changed[3] += 1e-6
    variants = [("a", array), ("b", array), ("a", array.reshape(2, 3)), ("a", changed)]
    variants.append(("a", array.view(np.int32)))
    assert len({identity.digest_arrays([variant]) for variant in variants}) == len(variants)
    assert identity.digest_arrays([("a", array.copy())]) == identity.digest_arrays([("a", array)])
