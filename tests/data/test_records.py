import numpy as np
import pytest

from senformer.data import records
from senformer.data.records import Layout

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
    found_bases, found_target = records.decode(records.serialize(sequence, target), FILE, layout)
    np.testing.assert_array_equal(found_bases, bases)
    np.testing.assert_array_equal(found_target, target)


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
