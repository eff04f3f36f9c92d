import errno

import numpy as np
import pytest

from senformer.data import records
from senformer.data.records import Layout, Record

FILE = records.Path("train-0.tfr")
RNG = np.random.default_rng(0)


def test_base_indices_invert_one_hot_and_name_n():
    one_hot = np.concatenate([np.eye(4), np.zeros((1, 4))])
    assert records.base_indices(one_hot).tolist() == [0, 1, 2, 3, records.UNKNOWN_BASE]


@pytest.mark.parametrize("record_format", ["basenji2", "borzoi"])
def test_both_formats_decode_to_the_same_arrays(record_format):
    bases = RNG.integers(5, size=256).astype(np.uint8)
    target = RNG.random((2, 3)).astype(np.float16)
    sequence = np.eye(5, dtype=bool)[bases][:, :4] if record_format == "basenji2" else bases
    layout = Layout(record_format, 256, 2, 3)
    record = Record(records.serialize(sequence, target), FILE, 0)
    found_bases, found_target = records.decode(record, layout)
    np.testing.assert_array_equal(found_bases, bases)
    np.testing.assert_array_equal(found_target, target)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, -6e-8])
def test_values_that_no_count_has_are_named(value):
    target = np.zeros((2, 3), np.float16)
    target[1, 2] = value
    record = Record(records.serialize(np.zeros(256, np.uint8), target), FILE, 7)
    message = r"train-0\.tfr: row 7 of its split: bin 1 of track 2 is .*, expected a finite value"
    with pytest.raises(ValueError, match=message):
        records.decode(record, Layout("borzoi", 256, 2, 3))


def test_the_largest_and_the_least_values_are_counts():
    target = np.array([[65504, 0.0, -0.0]], np.float16)
    record = Record(records.serialize(np.zeros(128, np.uint8), target), FILE, 0)
    _, found = records.decode(record, Layout("borzoi", 128, 1, 3))
    np.testing.assert_array_equal(found, target)


@pytest.mark.parametrize("letters", [[1, 1, 0, 0], [0, 2, 0, 0], [255, 1, 0, 0], [128, 128, 0, 0]])
def test_a_base_of_two_letters_is_named(letters):
    one_hot = np.zeros((128, 4), np.uint8)
    one_hot[5] = letters
    record = Record(records.serialize(one_hot, np.zeros((1, 1), np.float16)), FILE, 7)
    with pytest.raises(ValueError, match=r"row 7 of its split: base 5 is \[.*, expected one-hot"):
        records.decode(record, Layout("basenji2", 128, 1, 1))


def test_an_unknown_base_index_is_named():
    bases = np.zeros(128, np.uint8)
    bases[9] = 5
    record = Record(records.serialize(bases, np.zeros((1, 1), np.float16)), FILE, 7)
    with pytest.raises(ValueError, match=r"row 7 of its split: base 9 is 5, expected 0 to 4"):
        records.decode(record, Layout("borzoi", 128, 1, 1))


def test_the_format_is_told_from_the_size_of_the_sequence(tmp_path):
    target = np.zeros((1, 1), np.float16)
    for name, sequence in (
        ("basenji2", np.zeros((128, 4), bool)),
        ("borzoi", np.zeros(128, np.uint8)),
    ):
        records.write(tmp_path / name, [records.serialize(sequence, target)])
        assert records.record_format(tmp_path / name, 128) == name
        with pytest.raises(ValueError, match=rf"{name}: .* has \d+ bytes, expected 256 .* or 1024"):
            records.record_format(tmp_path / name, 256)


def test_files_come_in_the_order_of_their_numbers(tmp_path):
    (tmp_path / "tfrecords").mkdir()
    names = ["train-0-9.tfr", "train-1-0.tfr", "train-0-10.tfr", "train-10-1.tfr", "train-0-0.tfr"]
    for name in [*names, "valid-0-0.tfr", "train-0-0.tfr.part"]:
        (tmp_path / "tfrecords" / name).touch()
    assert [file.name for file in records.find_files(tmp_path, "train")] == [
        "train-0-0.tfr",
        "train-0-9.tfr",
        "train-0-10.tfr",
        "train-1-0.tfr",
        "train-10-1.tfr",
    ]


def test_writing_and_reading_keeps_records_and_their_order(tmp_path):
    serialized = [bytes([n]) * 1000 for n in range(20)]
    records.write(tmp_path / "train-0.tfr", serialized)
    assert list(records.read(tmp_path / "train-0.tfr")) == serialized


def test_an_empty_file_holds_no_records(tmp_path):
    records.write(tmp_path / "train-7.tfr", [])
    assert list(records.read(tmp_path / "train-7.tfr")) == []
    with pytest.raises(ValueError, match=r"train-7\.tfr: holds no record"):
        records.record_format(tmp_path / "train-7.tfr", 128)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match=r"absent/train-0\.tfr: cannot be written"):
        records.write(tmp_path / "absent/train-0.tfr", [b"x"])


def test_a_full_disk_is_said_with_the_path(tmp_path):
    # A device of Linux that is always full.
    (tmp_path / "train-0.tfr").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: .*train-0\.tfr") as error:
        records.write(tmp_path / "train-0.tfr", [bytes(10**6)])
    assert error.value.errno == errno.ENOSPC
