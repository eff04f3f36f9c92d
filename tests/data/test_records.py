import errno

import numpy as np
import pytest

from senformer.data import records
from senformer.data.records import Layout, Record

FILE = records.Path("train-0.tfr")


def decode(sequence, target, record_format, row=0):
    layout = Layout(record_format, len(sequence), *target.shape)
    return records.decode(Record(records.serialize(sequence, target), FILE, row), layout)


def test_base_indices_invert_one_hot():
    one_hot = np.concatenate([np.eye(4), np.zeros((1, 4))])
    assert records.base_indices(one_hot).tolist() == [0, 1, 2, 3, records.UNKNOWN_BASE]


@pytest.mark.parametrize("record_format", ["basenji2", "borzoi"])
def test_decode_inverts_serialize(record_format):
    generator = np.random.default_rng(0)
    bases = generator.integers(5, size=256).astype(np.uint8)
    target = generator.random((2, 3)).astype(np.float16)
    target[0] = [65504, 0.0, -0.0]  # the limits
    sequence = np.eye(5, dtype=bool)[bases][:, :4] if record_format == "basenji2" else bases
    found_bases, found_target = decode(sequence, target, record_format)
    np.testing.assert_array_equal(found_bases, bases)
    np.testing.assert_array_equal(found_target, target)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, -6e-8])
def test_decode_refuses_impossible_values(value):
    target = np.zeros((2, 3), np.float16)
    target[1, 2] = value
    message = r"train-0\.tfr: row 7 of its split: bin 1 of track 2 is .*, expected a finite value"
    with pytest.raises(ValueError, match=message):
        decode(np.zeros(256, np.uint8), target, "borzoi", row=7)


@pytest.mark.parametrize(
    ("record_format", "base"),
    [
        *(("basenji2", base) for base in ([1, 1, 0, 0], [0, 2, 0, 0], [255, 1, 0, 0])),
        ("basenji2", [128, 128, 0, 0]),
        ("borzoi", 5),
    ],
)
def test_decode_refuses_unknown_bases(record_format, base):
    sequence = np.zeros((128, 4) if record_format == "basenji2" else 128, np.uint8)
    sequence[5] = base
    with pytest.raises(ValueError, match=r"row 7 of its split: base 5 is .*, expected (one-hot|0)"):
        decode(sequence, np.zeros((1, 1), np.float16), record_format, row=7)


def test_detect_format_uses_the_sequences_size(tmp_path):
    target = np.zeros((1, 1), np.float16)
    for name, sequence in (
        ("basenji2", np.zeros((128, 4), bool)),
        ("borzoi", np.zeros(128, np.uint8)),
    ):
        records.write(tmp_path / name, [records.serialize(sequence, target)])
        assert records.detect_format(tmp_path / name, 128) == name
        with pytest.raises(ValueError, match=rf"{name}: .* has \d+ bytes, expected 256 .* or 1024"):
            records.detect_format(tmp_path / name, 256)
    records.write(tmp_path / "empty", [])
    with pytest.raises(ValueError, match="empty: no record"):
        records.detect_format(tmp_path / "empty", 128)


def test_find_files_sorts_by_number(tmp_path):
    (tmp_path / "tfrecords").mkdir()
    numbers = [*(f"0-{n}" for n in range(11)), *(f"{n}-0" for n in range(1, 11)), "10-1"]
    names = [f"train-{number}.tfr" for number in numbers]
    for name in [*reversed(names), "valid-0-0.tfr", "train-0-0.tfr.part"]:
        (tmp_path / "tfrecords" / name).touch()
    assert [file.name for file in records.find_files(tmp_path, "train")] == names


@pytest.mark.parametrize("num_records", [0, 20])
def test_read_inverts_write(tmp_path, num_records):
    serialized = [bytes([n]) * 1000 for n in range(num_records)]
    records.write(tmp_path / "train-0.tfr", serialized)
    assert list(records.read(tmp_path / "train-0.tfr")) == serialized


def test_write_names_the_file_on_errors(tmp_path):
    with pytest.raises(OSError, match=r"absent/train-0\.tfr: cannot be written"):
        records.write(tmp_path / "absent/train-0.tfr", [b"x"])
    (tmp_path / "train-0.tfr").symlink_to("/dev/full")  # a device of Linux that is always full
    with pytest.raises(OSError, match=r"No space left on device: .*train-0\.tfr") as error:
        records.write(tmp_path / "train-0.tfr", [bytes(10**6)])
    assert error.value.errno == errno.ENOSPC
