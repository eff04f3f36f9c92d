import os
import shutil

import numpy as np
import pytest
from small_records import write_basenji2

from senformer.data import record_folders
from senformer.training import identity


@pytest.fixture
def data(tmp_path):
    return write_basenji2(tmp_path / "data")


def digest(data):
    return identity.digest_records(record_folders.open_folders(data)["human"])


def test_records_are_the_same_wherever_they_lie(data, tmp_path):
    before = digest(data)
    shutil.copytree(data, tmp_path / "copy", copy_function=shutil.copyfile)  # times are new
    assert digest(tmp_path / "copy") == before
    (data / "human/targets.txt").touch()
    assert digest(data) == before


def test_records_that_were_replaced_in_place_are_others(data):
    before = digest(data)
    files = sorted(data.glob("human/tfrecords/train-*.tfr"))
    first, second = (file.read_bytes() for file in files[:2])
    files[0].write_bytes(second)
    files[1].write_bytes(first)
    assert digest(data) != before
    files[0].write_bytes(first)
    files[1].write_bytes(second)
    assert digest(data) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("targets.txt", "DNASE:x", "DNASE:y"),
        ("statistics.json", '"num_targets"', '"crop_bp": 256, "num_targets"'),
        ("sequences.bed", "chr1", "chr2"),
        ("genome.fa", "A", "C"),
    ],
)
def test_each_table_and_the_genome_count(data, name, old, new):
    before = digest(data)
    path = data / "human" / name
    path.write_text(path.read_text().replace(old, new, 1))
    assert digest(data) != before


@pytest.fixture
def large_file(data, monkeypatch):
    """A genome that is too large to be read whole, and what its samples do not reach."""
    monkeypatch.setattr(identity, "_READ_WHOLE_BYTES", 10_000)
    monkeypatch.setattr(identity, "_SAMPLE_BYTES", 16)
    path = data / "human/genome.fa"
    os.utime(path, (1, 1))
    return path


def change(path, place, modified_s):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, (modified_s, modified_s))


@pytest.mark.parametrize(
    ("place", "modified_s", "is_seen"),
    [(0, 1, True), (-1, 1, True), (700, 2, True), (700, 1, False)],
)
def test_a_large_file_counts_by_its_time_and_samples_to_both_ends(
    large_file, data, place, modified_s, is_seen
):
    before = digest(data)
    change(large_file, place, modified_s)
    identity._digest_of_file.cache_clear()  # as another process, where the time is the same
    assert (digest(data) != before) == is_seen


def test_arrays_count_by_name_type_shape_and_numbers():
    array = np.arange(6, dtype=np.float32)
    changed = array.copy()
    changed[3] += 1e-6
    variants = [
        ("a", array),
        ("b", array),
        ("a", array.reshape(2, 3)),
        ("a", array.view(np.int32)),
        ("a", changed),
    ]
    assert len({identity.digest_arrays([variant]) for variant in variants}) == len(variants)
    assert identity.digest_arrays([("a", array.copy())]) == identity.digest_arrays([("a", array)])
