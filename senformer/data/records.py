"""TFRecord files as Basenji2 and Borzoi write them: read, check and write records.

Both are ZLIB-compressed and hold a `tf.train.Example` per sequence with two bytes features, of
which `target` is float16 `[bins, tracks]` in both. `sequence` is one-hot in Basenji2's (a byte per
base and letter) and base indices in Borzoi's (A, C, G, T = 0 to 3, N = 4).

Source: https://github.com/calico/basenji, `bin/basenji_data_write.py`;
https://github.com/calico/baskerville, `scripts/hound_data_write.py`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import tensorflow as tf

UNKNOWN_BASE = 4
"""Index of an N."""

BYTES_PER_BASE = {"basenji2": 4, "borzoi": 1}
"""Size of a base in a record's sequence, by record format."""

_COMPRESSION = "ZLIB"

_LOWEST_BITS = np.uint32(0x01010101)
_INFINITY_BITS, _NEGATIVE_ZERO_BITS = 0x7C00, 0x8000
"""Of float16: what is finite and not negative lies below the first, but for the second."""

_DAMAGE = (tf.errors.DataLossError, tf.errors.OutOfRangeError)


@dataclass(frozen=True)
class Layout:
    """What the bytes of a data set's records mean."""

    record_format: str
    sequence_length_bp: int
    num_bins: int
    num_tracks: int

    @property
    def sequence_bytes(self) -> int:
        """Size of a record's sequence."""
        return self.sequence_length_bp * BYTES_PER_BASE[self.record_format]

    @property
    def target_bytes(self) -> int:
        """Size of a record's target."""
        return self.num_bins * self.num_tracks * np.dtype(np.float16).itemsize


@dataclass(frozen=True)
class Record:
    """A serialized record, and where it was found."""

    data: bytes
    file: Path
    row: int  # its row among its split's intervals


@dataclass(frozen=True)
class Shards:
    """A split's files. The writers fill each with as many records as the first, while they last."""

    files: tuple[Path, ...]
    num_records: int
    records_per_file: int

    @classmethod
    def find(cls, folder: Path, split: str, num_records: int) -> Shards:
        """Find a split's files, of which the first is counted.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If the first is damaged.
        """
        files = find_files(folder, split)
        return cls(files, num_records, max(_count(files[0], files[0].stat().st_mtime_ns), 1))

    def read(self, number: int) -> Iterator[Record]:
        """A file's records.

        Raises:
            ValueError: If the file is damaged, or has more or fewer than are due.
        """
        file, first_row = self.files[number], self._first_row(number)
        num_due = self._first_row(number + 1) - first_row
        if number == len(self.files) - 1:
            num_due = self.num_records - first_row
        num_found = 0
        for data in read(file):
            num_found += 1
            if num_found <= num_due:
                yield Record(data, file, first_row + num_found - 1)
        if num_found != num_due:
            raise ValueError(
                f"{file}: holds {num_found} records, expected {num_due} ({self.num_records} in "
                f"sequences.bed, {self.records_per_file} to a file)"
            )

    def read_all(self) -> Iterator[Record]:
        """The split's records, in the order of sequences.bed.

        Raises:
            ValueError: As for `read`.
        """
        for number in range(len(self.files)):
            yield from self.read(number)

    def first_of_each_file(self) -> Iterator[Record]:
        """The first record of every file that has one, which is soon read however large the split.

        Raises:
            ValueError: If a file is damaged where it begins.
        """
        for number, file in enumerate(self.files):
            for data in islice(read(file), 1):
                yield Record(data, file, self._first_row(number))

    def _first_row(self, number: int) -> int:
        return min(number * self.records_per_file, self.num_records)


def find_files(folder: Path, split: str) -> tuple[Path, ...]:
    """A split's files by the numbers in their names, which is the order of sequences.bed.

    Raises:
        FileNotFoundError: If there is none.
    """
    files = list(folder.glob(f"tfrecords/{split}-*.tfr"))
    if not files:
        raise FileNotFoundError(f"{folder / 'tfrecords'}: no {split}-*.tfr, expected the records")
    return tuple(sorted(files, key=lambda file: [int(n) for n in re.findall(r"\d+", file.stem)]))


def read(file: Path) -> Iterator[bytes]:
    """A file's serialized records.

    Raises:
        ValueError: If the file is truncated, damaged, not a ZLIB TFRecord file or cannot be read.
    """
    try:
        yield from tf.data.TFRecordDataset(str(file), _COMPRESSION).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise ValueError(_unreadable(file, error)) from None


def parse(data: bytes, file: Path) -> tuple[bytes, bytes]:
    """A record's sequence and target, both as bytes.

    Raises:
        ValueError: If it is not a record of this kind.
    """
    example = tf.train.Example()
    try:
        example.ParseFromString(data)
    except Exception:  # protobuf's DecodeError, which TensorFlow does not export
        raise ValueError(f"{file}: a record is not a tf.train.Example") from None
    features = example.features.feature
    values = []
    for name in ("sequence", "target"):
        stored = features[name].bytes_list.value if name in features else []
        if len(stored) != 1:
            raise ValueError(
                f"{file}: a record has no bytes feature {name!r} (it has "
                f"{', '.join(sorted(features)) or 'none'}), expected a Basenji2 or Borzoi record"
            )
        values.append(stored[0])
    return values[0], values[1]


def record_format(file: Path, sequence_length_bp: int) -> str:
    """Tell Basenji2's records from Borzoi's by the size of the first one's sequence.

    Raises:
        ValueError: If it is neither.
    """
    for data in read(file):
        num_bytes = len(parse(data, file)[0])
        for name, bytes_per_base in BYTES_PER_BASE.items():
            if num_bytes == sequence_length_bp * bytes_per_base:
                return name
        raise ValueError(
            f"{file}: a record's sequence has {num_bytes} bytes, expected {sequence_length_bp} "
            f"(base indices) or {4 * sequence_length_bp} (one-hot) for seq_length="
            f"{sequence_length_bp} in statistics.json"
        )
    raise ValueError(f"{file}: holds no record")


def decode(record: Record, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """A record's arrays, in small types.

    Returns:
        Base indices `[sequence_length_bp]` uint8 and values `[bins, tracks]` float16.

    Raises:
        ValueError: If the record does not have the layout, a base is more than one letter or none
            that is known, or a value is negative or not finite; file and row are named.
    """
    sequence, target = parse(record.data, record.file)
    for name, value, expected in (
        ("sequence", sequence, layout.sequence_bytes),
        ("target", target, layout.target_bytes),
    ):
        if len(value) != expected:
            raise ValueError(
                f"{record.file}: a record's {name} has {len(value)} bytes, expected {expected} "
                f"({layout.record_format}: {layout.sequence_length_bp} bp, {layout.num_bins} bins "
                f"of {layout.num_tracks} tracks, as statistics.json and targets.txt say)"
            )
    bases = np.frombuffer(sequence, np.uint8)
    if layout.record_format == "basenji2":
        one_hot = bases.reshape(-1, 4)
        _expect_letters(one_hot, record)
        bases = base_indices(one_hot)
    elif bases.max(initial=0) > UNKNOWN_BASE:
        place = int((bases > UNKNOWN_BASE).argmax())
        raise ValueError(
            f"{_where(record)}: base {place} is {bases[place]}, expected 0 to {UNKNOWN_BASE}"
        )
    values = np.frombuffer(target, np.float16).reshape(layout.num_bins, layout.num_tracks)
    _expect_counts(values, record)
    return bases, values


def _expect_letters(one_hot: np.ndarray, record: Record) -> None:
    # Of the four bytes of a base, as one number: no bit but their lowest, and one of them at most.
    letters = one_hot.reshape(-1).view(np.uint32)
    wrong = ((letters & ~_LOWEST_BITS) | (letters & (letters - np.uint32(1)))) != 0
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(
            f"{_where(record)}: base {place} is {one_hot[place].tolist()}, expected one-hot, or "
            "zeros for an N"
        )


def _expect_counts(values: np.ndarray, record: Record) -> None:
    bits = values.view(np.uint16)  # comparing float16 takes ten times as long
    if bits.max(initial=0) < _INFINITY_BITS:
        return
    wrong = (bits >= _INFINITY_BITS) & (bits != _NEGATIVE_ZERO_BITS)
    if wrong.any():
        place, track = (int(i) for i in np.unravel_index(wrong.argmax(), wrong.shape))
        raise ValueError(
            f"{_where(record)}: bin {place} of track {track} is {values[place, track]}, expected a "
            "finite value of at least 0"
        )


def _where(record: Record) -> str:
    return f"{record.file}: row {record.row} of its split"


def base_indices(one_hot: np.ndarray) -> np.ndarray:
    """One-hot `[length, 4]` to base indices `[length]` uint8; a row of zeros is an N."""
    return np.where(one_hot.any(-1), one_hot.argmax(-1), UNKNOWN_BASE).astype(np.uint8)


def serialize(sequence: np.ndarray, target: np.ndarray) -> bytes:
    """A record with the arrays' bytes.

    Args:
        sequence: `[length, 4]` bool (Basenji2) or `[length]` uint8 (Borzoi).
        target: `[bins, tracks]` float16.
    """
    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[array.tobytes()]))
        for name, array in (("sequence", sequence), ("target", target))
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def write(file: Path, serialized: Iterable[bytes]) -> None:
    """Write serialized records to a file.

    Raises:
        OSError: If it cannot be written, as on a full disk.
    """
    # zlib's fastest level: a twelfth of the default's time, for files 1.6 times as large
    options = tf.io.TFRecordOptions(compression_type=_COMPRESSION, compression_level=1)
    try:
        with tf.io.TFRecordWriter(str(file), options) as writer:
            for record in serialized:
                writer.write(record)
    except tf.errors.ResourceExhaustedError:  # what TensorFlow makes of ENOSPC
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file)) from None
    except tf.errors.OpError as error:
        raise OSError(f"{file}: cannot be written ({error.message})") from None


@cache
def _count(file: Path, modified_ns: int) -> int:
    del modified_ns  # part of the cache's key: a file that changed is counted anew
    dataset = tf.data.TFRecordDataset(str(file), _COMPRESSION)
    try:
        return int(dataset.reduce(np.int64(0), lambda count, _: count + 1))
    except tf.errors.OpError as error:
        raise ValueError(_unreadable(file, error)) from None


def _unreadable(file: Path, error: tf.errors.OpError) -> str:
    reason = " ".join(re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", error.message).split())
    if isinstance(error, _DAMAGE):
        return f"{file}: truncated, damaged or not a ZLIB TFRecord file ({reason})"
    return f"{file}: cannot be read ({reason}), expected a ZLIB TFRecord file"
