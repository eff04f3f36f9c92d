"""Read, check and write TFRecord files in the formats of Basenji2 and Borzoi.

Both formats are ZLIB-compressed files with one `tf.train.Example` per sequence. An example has two
bytes features. `target` is float16 `[bins, tracks]` in both. `sequence` is one-hot in Basenji2's (a
byte per base and letter) and base indices in Borzoi's (A, C, G, T = 0 to 3, N = 4).

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

from senformer.data.genome import UNKNOWN_BASE

BYTES_PER_BASE = {"basenji2": 4, "borzoi": 1}
"""Size of a base in a record's sequence, by record format."""

_COMPRESSION = "ZLIB"
_FILE_NAME = re.compile(r"\w+(-[0-9]+)+\.tfr", re.ASCII)

_BELOW_UNKNOWN = UNKNOWN_BASE - np.arange(4, dtype=np.uint8)
_LOWEST_BITS = np.uint32(0x01010101)
_INFINITY_BITS, _NEGATIVE_ZERO_BITS = 0x7C00, 0x8000
"""Bits of float16: finite values of at least 0 are less than the first, or equal to the second."""

_DAMAGE = (tf.errors.DataLossError, tf.errors.OutOfRangeError)


@dataclass(frozen=True)
class Layout:
    """The layout of the bytes of a data set's records.

    Attributes:
        record_format: `basenji2` or `borzoi`.
        sequence_length_bp: Length of the sequence.
        num_bins: Number of stored bins.
        num_tracks: Number of tracks per bin.
    """

    record_format: str
    sequence_length_bp: int
    num_bins: int
    num_tracks: int


@dataclass(frozen=True)
class Record:
    """A serialized record and its place.

    Attributes:
        data: The serialized `tf.train.Example`.
        file: The record's file.
        row: The record's row among its split's intervals.
    """

    data: bytes
    file: Path
    row: int

    @property
    def split(self) -> str:
        """The record's split, by the name of its file."""
        return self.file.name.partition("-")[0]

    @property
    def place(self) -> str:
        """The record's place, for messages."""
        return f"{self.file}: row {self.row} of its split"


@dataclass(frozen=True)
class Shards:
    """The files of a split. Each file has as many records as the first; the last may have fewer.

    Attributes:
        files: The files, in the order of sequences.bed.
        num_records: Number of records in all files.
        records_per_file: Number of records in each file but the last.
    """

    files: tuple[Path, ...]
    num_records: int
    records_per_file: int

    @classmethod
    def find(cls, folder: Path, split: str, num_records: int) -> Shards:
        """Find the files of a split, and count the records of the first one.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If the first file is damaged, or there are too few files.
        """
        files = find_files(folder, split)
        num_first = _count_records(files[0], files[0].stat().st_mtime_ns)
        num_files = -(-num_records // max(num_first, 1))
        if len(files) < num_files:
            raise ValueError(
                f"{files[0]}: {num_first} records, expected {num_files} files {split}-*.tfr of "
                f"this size for the {num_records} records in sequences.bed, found {len(files)}"
            )
        return cls(files, num_records, max(num_first, 1))

    def read_all(self) -> Iterator[Record]:
        """Read the split's records, in the order of sequences.bed.

        Raises:
            ValueError: If a file is damaged, or has more or fewer records than expected.
        """
        for number in range(len(self.files)):
            yield from self.read(number)

    def read(self, number: int) -> Iterator[Record]:
        """Read the records of a file.

        Raises:
            ValueError: If the file is damaged, or has more or fewer records than expected.
        """
        file, first_row = self.files[number], self._first_row(number)
        is_last = number == len(self.files) - 1
        num_expected = (self.num_records if is_last else self._first_row(number + 1)) - first_row
        num_found = 0
        for data in read(file):
            num_found += 1
            if num_found <= num_expected:
                yield Record(data, file, first_row + num_found - 1)
        if num_found != num_expected:
            raise ValueError(
                f"{file}: {num_found} records, expected {num_expected} ({self.num_records} in "
                f"sequences.bed, {self.records_per_file} per file)"
            )

    def first_of_each_file(self) -> Iterator[Record]:
        """Read the first record of every file that has one, which is fast for a large split.

        Raises:
            ValueError: If the beginning of a file is damaged, or there are too many files.
        """
        for number, file in enumerate(self.files):
            row = self._first_row(number)
            for data in islice(read(file), 1):
                if row == self.num_records:
                    raise ValueError(f"{file}: records after the {row} in sequences.bed")
                yield Record(data, file, row)

    def _first_row(self, number: int) -> int:
        return min(number * self.records_per_file, self.num_records)


def find_files(folder: Path, split: str) -> tuple[Path, ...]:
    """Find the files of a split, sorted by their numbers: the order of sequences.bed.

    Raises:
        FileNotFoundError: If there is no file, or the numbers have a gap.
        ValueError: If a file's name has no number, or two files have one number, such as
            `train-1.tfr` and `train-01.tfr`.
    """
    files: dict[tuple[int, ...], Path] = {}
    for file in sorted(folder.glob(f"tfrecords/{split}-*.tfr")):
        if not _FILE_NAME.fullmatch(file.name):
            raise ValueError(f"{file}: expected a name such as {split}-0.tfr")
        number = tuple(map(int, file.stem.split("-")[1:]))
        twin = files.setdefault(number, file)
        if twin != file:
            raise ValueError(f"{file}: has the number of {twin.name}, expected one of them")
    if not files:
        raise FileNotFoundError(f"{folder / 'tfrecords'}: no {split}-*.tfr, expected the records")
    for *prefix, last in files:
        if last and (*prefix, last - 1) not in files:
            missing = "-".join(map(str, (split, *prefix, last - 1)))
            raise FileNotFoundError(
                f"{folder / 'tfrecords'}: no {missing}.tfr, expected it before "
                f"{files[*prefix, last].name}"
            )
    return tuple(files[number] for number in sorted(files))


def detect_format(file: Path, sequence_length_bp: int) -> str:
    """Detect a file's record format from the size of the first record's sequence.

    Raises:
        ValueError: If the file has no record, or a record of neither format.
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
    raise ValueError(f"{file}: no record")


def read(file: Path) -> Iterator[bytes]:
    """Read a file's serialized records.

    Raises:
        ValueError: If the file is truncated, damaged, not a ZLIB TFRecord file or cannot be read.
    """
    try:
        yield from tf.data.TFRecordDataset(str(file), _COMPRESSION).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise ValueError(_describe(error, file)) from None


def decode(record: Record, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Decode a record to arrays of small types.

    Returns:
        Base indices `[sequence_length_bp]` uint8 and values `[bins, tracks]` float16.

    Raises:
        ValueError: If the record has another layout, a base has several letters or an unknown
            index, or a value is negative, infinite or NaN; the message names file and row.
    """
    sequence, target = parse(record.data, record.file)
    sequence_bytes = layout.sequence_length_bp * BYTES_PER_BASE[layout.record_format]
    target_bytes = layout.num_bins * layout.num_tracks * np.dtype(np.float16).itemsize
    for name, value, expected in (
        ("sequence", sequence, sequence_bytes),
        ("target", target, target_bytes),
    ):
        if len(value) != expected:
            raise ValueError(
                f"{record.file}: a record's {name} has {len(value)} bytes, expected {expected} "
                f"({layout.record_format}: {layout.sequence_length_bp} bp, {layout.num_bins} bins "
                f"of {layout.num_tracks} tracks, see statistics.json and targets.txt)"
            )
    bases = np.frombuffer(sequence, np.uint8)
    if layout.record_format == "basenji2":
        one_hot = bases.reshape(-1, 4)
        _check_one_hot(one_hot, record)
        bases = base_indices(one_hot)
    elif bases.max(initial=0) > UNKNOWN_BASE:
        place = int((bases > UNKNOWN_BASE).argmax())
        raise ValueError(
            f"{record.place}: base {place} is {bases[place]}, expected 0 to {UNKNOWN_BASE}"
        )
    values = np.frombuffer(target, np.float16).reshape(layout.num_bins, layout.num_tracks)
    _check_values(values, record)
    return bases, values


def parse(data: bytes, file: Path) -> tuple[bytes, bytes]:
    """Parse a serialized record into the bytes of its sequence and its target.

    Raises:
        ValueError: If the bytes are no record of Basenji2 or Borzoi.
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


def base_indices(one_hot: np.ndarray) -> np.ndarray:
    """Convert one-hot `[length, 4]` to base indices `[length]` uint8; a row of zeros is an N."""
    return (UNKNOWN_BASE - one_hot @ _BELOW_UNKNOWN).astype(np.uint8)


def serialize(sequence: np.ndarray, target: np.ndarray) -> bytes:
    """Serialize the arrays of a record.

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
        OSError: If the file cannot be written, for instance because the disk is full.
    """
    # zlib's fastest level takes a twelfth of the default's time, for files 1.6 times as large
    options = tf.io.TFRecordOptions(compression_type=_COMPRESSION, compression_level=1)
    try:
        with tf.io.TFRecordWriter(str(file), options) as writer:
            for record in serialized:
                writer.write(record)
    except tf.errors.ResourceExhaustedError:  # TensorFlow's error for ENOSPC
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file)) from None
    except tf.errors.OpError as error:
        raise OSError(f"{file}: cannot be written ({error.message})") from None


def _check_one_hot(one_hot: np.ndarray, record: Record) -> None:
    # Read the four bytes of a base as one number: only the bytes' lowest bits may be set, and at
    # most one of them.
    letters = one_hot.reshape(-1).view(np.uint32)
    is_wrong = ((letters & ~_LOWEST_BITS) | (letters & (letters - np.uint32(1)))) != 0
    if is_wrong.any():
        place = int(is_wrong.argmax())
        raise ValueError(
            f"{record.place}: base {place} is {one_hot[place].tolist()}, expected one-hot, or "
            "zeros for an N"
        )


def _check_values(values: np.ndarray, record: Record) -> None:
    bits = values.view(np.uint16)  # comparing float16 takes ten times as long
    if bits.max(initial=0) < _INFINITY_BITS:
        return
    is_wrong = (bits >= _INFINITY_BITS) & (bits != _NEGATIVE_ZERO_BITS)
    if is_wrong.any():
        place, track = (int(i) for i in np.unravel_index(is_wrong.argmax(), is_wrong.shape))
        raise ValueError(
            f"{record.place}: bin {place} of track {track} is {values[place, track]}, expected a "
            "finite value of at least 0"
        )


@cache
def _count_records(file: Path, modified_ns: int) -> int:
    del modified_ns  # part of the cache's key: a modified file is counted again
    dataset = tf.data.TFRecordDataset(str(file), _COMPRESSION)
    try:
        return int(dataset.reduce(np.int64(0), lambda count, _: count + 1))
    except tf.errors.OpError as error:
        raise ValueError(_describe(error, file)) from None


def _describe(error: tf.errors.OpError, file: Path) -> str:
    """Describe TensorFlow's error in one line, without the names of its operations."""
    reason = " ".join(re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", error.message).split())
    if isinstance(error, _DAMAGE):
        return f"{file}: truncated, damaged or not a ZLIB TFRecord file ({reason})"
    return f"{file}: cannot be read ({reason}), expected a ZLIB TFRecord file"
