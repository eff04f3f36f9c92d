"""Basenji2 and Borzoi records as `tf.data`.

A data set is a folder with `human` (or `hg38`) and `mouse` (or `mm10`) below it, each with

    targets.txt      one row per track
    sequences.bed    one row per record: chromosome, start, end, split
    statistics.json  seq_length, target_length, pool_width, num_targets
    tfrecords/       {split}-{number}.tfr, ZLIB, in the order of sequences.bed within each split

as `basenji_data.py` (Basenji2) and `hound_data.py` (Borzoi) write them. A Basenji2 record holds
its sequence as one-hot bytes and 128-bp bins; a Borzoi record holds base indices (A, C, G, T = 0 to
3, N = 4) and 32-bp bins.

`open_folders` looks at everything that is quick to look at; `examples` reads a split once, in
order; `batches` reads it endlessly, shuffled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyfaidx
import tensorflow as tf

from senformer import genome, tracks
from senformer.config import BIN_SIZE_BP

FOLDER_NAMES = {"human": ("human", "hg38"), "mouse": ("mouse", "mm10")}
"""Names that an organism's folder may have."""

FLANKS = ("zeros", "genome")
"""What surrounds a stored sequence when a longer one is asked for."""

_FULL_CHECK_BYTES = 256 * 2**20  # up to this size, `open_folders` reads every record once
_SHUFFLE_WINDOW = 32  # records in memory at a time; one of Basenji2's human records takes 10 MB
_BASES = 4
_HALF_BYTES = 2  # targets are float16
_SEQUENCE_LAYOUTS = {_BASES: "basenji2", 1: "borzoi"}  # bytes per base -> record format


@dataclass(frozen=True, eq=False)
class RecordFolder:
    """One organism's records, as `open_folders` found them.

    Attributes:
        organism: `human` or `mouse`.
        path: The organism's folder.
        record_format: `basenji2` or `borzoi`, told from the records.
        targets: The targets table, one row per track.
        intervals: Columns `chrom`, `start`, `end`, `split`, one row per record, in the records'
            order within each split. `start` and `end` bound the **stored sequence**, also where
            sequences.bed (as Borzoi's does) gives the predicted region in its middle.
        sequence_length_bp: Length of a stored sequence.
        target_length: 128-bp bins that a record has values for, the sequence's central ones.
        pool_width_bp: Width of a stored bin, 128 for Basenji2 and 32 for Borzoi.
        num_tracks: Tracks per bin.
    """

    organism: str
    path: Path
    record_format: str
    targets: pd.DataFrame
    intervals: pd.DataFrame
    sequence_length_bp: int
    target_length: int
    pool_width_bp: int
    num_tracks: int

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have records, such as `train`, `valid` and `test`."""
        return tuple(self.intervals["split"].unique())

    def num_records(self, split: str) -> int:
        """Records of a split.

        Raises:
            ValueError: If there is no such split.
        """
        if split not in self.splits:
            raise ValueError(
                f"{self.path}: no split {split!r}, expected one of {', '.join(self.splits)}"
            )
        return int((self.intervals["split"] == split).sum())


def open_folders(data: str | Path) -> dict[str, RecordFolder]:
    """Find and check the records below a folder; the first call of anything that reads data.

    Checked at once: every file that must be there, the tables against each other, and the first
    record of every TFRecord file against them. A small data set (up to 256 MiB) is read in full; in
    a larger one a damaged or missing record is reported when it is reached.

    Args:
        data: A folder with `human` (or `hg38`) or `mouse` (or `mm10`) below it, or both.

    Returns:
        `{'human': ..., 'mouse': ...}`, of which one may be absent.

    Raises:
        FileNotFoundError: If the folder, both organisms or a file is missing.
        ValueError: If a file is damaged or foreign, or two do not agree; the message names the
            file, what it holds and what was expected.

    Source: https://github.com/calico/basenji, `bin/basenji_data.py`.
    """
    data = Path(data)
    if not data.is_dir():
        raise FileNotFoundError(f"{data}: no such data folder")
    folders = {}
    for organism, names in FOLDER_NAMES.items():
        found = [data / name for name in names if (data / name).is_dir()]
        if len(found) > 1:
            raise ValueError(f"{data}: both {names[0]}/ and {names[1]}/ are there, expected one")
        if found:
            folders[organism] = _open_folder(organism, found[0])
    if not folders:
        expected = ", ".join(f"{name}/" for names in FOLDER_NAMES.values() for name in names)
        raise FileNotFoundError(f"{data}: holds no records, expected one of {expected} below it")
    return folders


def examples(
    folder: RecordFolder,
    split: str,
    *,
    sequence_length_bp: int,
    target_length: int | None = None,
    flanks: str = "zeros",
    fasta: str | Path | None = None,
) -> tf.data.Dataset:
    """Every record of a split once, in the order of sequences.bed; for evaluation.

    The targets stay in the middle: bin `j` of the target is token
    `(sequence_length_bp / 128 - target_length) // 2 + j` of the sequence, which is where a model
    that crops its tokens to the central `target_length` predicts it. A sequence shorter than the
    stored one is cut from its middle; a longer one gets `flanks`.

    Borzoi's 32-bp bins become 128-bp bins: the sum of four for tracks whose `sum_stat` is a sum,
    the mean otherwise. Values are pooled as stored: a `sum_sqrt` track was squashed (to the power
    of 3/4, then a soft clip) bin by bin before it was written, so its sums are not the coverage of
    128 bp, squashed.

    Args:
        folder: From `open_folders`.
        split: `train`, `valid` or `test`.
        sequence_length_bp: Length of the sequences, a multiple of 128.
        target_length: Central 128-bp bins to give. By default all that are stored, or all that the
            sequence covers where that is less.
        flanks: What a sequence longer than the stored one gets on both sides: `zeros`, as in the
            study, or the real `genome`, with zeros beyond a chromosome's ends.
        fasta: The genome, for `flanks='genome'`. Every stored sequence is compared with it.

    Returns:
        A data set of `{'sequence': [sequence_length_bp, 4], 'target': [target_length, num_tracks]}`,
        both float32.

    Raises:
        FileNotFoundError: If there is no such FASTA.
        ValueError: If an argument is out of range, or the FASTA lacks a chromosome. While reading,
            if a record is damaged, missing or differs from the FASTA. Every message names the file
            or the value.
    """
    window = _Window.of(folder, split, sequence_length_bp, target_length, flanks, fasta)
    files = _Files.of(folder, split)
    return _dataset(folder, window, lambda: _in_order(files))


def batches(
    folder: RecordFolder,
    split: str,
    *,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    sequence_length_bp: int,
    target_length: int | None = None,
    flanks: str = "zeros",
    fasta: str | Path | None = None,
) -> tf.data.Dataset:
    """Shuffled batches of a split without end; for training.

    The order is a function of `seed` alone: batch `n` is the same whether it is reached from step 0
    or asked for with `first_step=n`, so a run that was stopped goes on with the batches that it
    would have seen. Each epoch takes the files in a new order and shuffles the records within
    windows of 32, which is all that is held in memory.

    Args:
        folder: From `open_folders`.
        split: `train`, `valid` or `test`.
        batch_size: Examples per batch. A batch may span two epochs; none is smaller.
        seed: Decides the order.
        first_step: Batches to leave out at the start.
        sequence_length_bp: As for `examples`.
        target_length: As for `examples`.
        flanks: As for `examples`.
        fasta: As for `examples`.

    Returns:
        An endless data set of `{'sequence': [batch_size, sequence_length_bp, 4], 'target':
        [batch_size, target_length, num_tracks]}`, both float32.

    Raises:
        FileNotFoundError: As for `examples`.
        ValueError: As for `examples`, and if `batch_size`, `seed` or `first_step` is out of range.
    """
    _require_at_least("batch_size", batch_size, 1)
    _require_at_least("seed", seed, 0)
    _require_at_least("first_step", first_step, 0)
    window = _Window.of(folder, split, sequence_length_bp, target_length, flanks, fasta)
    files = _Files.of(folder, split)
    dataset = _dataset(folder, window, lambda: _shuffled(files, seed, first_step * batch_size))
    return _NamedErrors(dataset.batch(batch_size, drop_remainder=True), dataset.failures)


# ---------------------------------------------------------------------------- from records to tf


@dataclass(frozen=True)
class _Window:
    """Which part of a record, and what around it, makes one example. Offsets count stored bases."""

    start_bp: int  # first base of the example's sequence; negative where it needs a flank
    sequence_length_bp: int
    first_bin: int
    target_length: int
    fasta: Path | None

    @classmethod
    def of(
        cls,
        folder: RecordFolder,
        split: str,
        sequence_length_bp: int,
        target_length: int | None,
        flanks: str,
        fasta: str | Path | None,
    ) -> _Window:
        if sequence_length_bp < BIN_SIZE_BP or sequence_length_bp % BIN_SIZE_BP:
            raise ValueError(
                f"sequence_length_bp={sequence_length_bp} must be a positive multiple of "
                f"{BIN_SIZE_BP}"
            )
        tokens = sequence_length_bp // BIN_SIZE_BP
        if target_length is None:
            target_length = min(folder.target_length, tokens)
        if not 1 <= target_length <= folder.target_length:
            raise ValueError(
                f"target_length={target_length}, expected 1 to {folder.target_length}, the bins "
                f"that the records in {folder.path} have"
            )
        if target_length > tokens:
            raise ValueError(
                f"target_length={target_length} is more than the {tokens} bins of "
                f"sequence_length_bp={sequence_length_bp}"
            )
        first_bin = (folder.target_length - target_length) // 2
        start_bp = (
            _crop_bp(folder) + first_bin * BIN_SIZE_BP - (tokens - target_length) // 2 * BIN_SIZE_BP
        )
        genome_file = _flank_source(folder, split, flanks, fasta)
        return cls(start_bp, sequence_length_bp, first_bin, target_length, genome_file)


def _flank_source(
    folder: RecordFolder, split: str, flanks: str, fasta: str | Path | None
) -> Path | None:
    """The FASTA that flanks come from, known to have the split's chromosomes; None for zeros."""
    if flanks not in FLANKS:
        raise ValueError(f"flanks={flanks!r}, expected one of {', '.join(FLANKS)}")
    if (fasta is not None) != (flanks == "genome"):
        raise ValueError(f"flanks={flanks!r} with fasta={fasta}: 'genome' and a FASTA go together")
    if fasta is None:
        return None
    of_split = folder.intervals["split"] == split
    with genome.open_fasta(fasta) as opened:
        genome.require_chromosomes(opened, folder.intervals.loc[of_split, "chrom"].unique())
    return Path(fasta)


class _NamedErrors(tf.data.Dataset):
    """A data set that raises its reader's error as it is.

    TensorFlow wraps an error of a Python reader in its own, with a traceback as its text.
    """

    def __init__(self, dataset: tf.data.Dataset, failures: list[Exception]) -> None:
        self._dataset = dataset
        self.failures = failures
        super().__init__(dataset._variant_tensor)

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._dataset]

    @property
    def element_spec(self) -> Any:
        return self._dataset.element_spec

    def __iter__(self) -> Iterator[Any]:
        elements = super().__iter__()
        while True:
            try:
                element = next(elements)
            except StopIteration:
                return
            except tf.errors.OpError:
                if self.failures:
                    raise self.failures.pop() from None
                raise
            yield element


def _dataset(
    folder: RecordFolder, window: _Window, records: Callable[[], Iterator[_Record]]
) -> _NamedErrors:
    failures: list[Exception] = []

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        try:
            yield from _arrays(folder, window, records())
        except (OSError, ValueError) as error:
            failures.append(error)
            raise

    stored = tf.data.Dataset.from_generator(
        read,
        output_signature=(
            tf.TensorSpec([window.sequence_length_bp], tf.uint8),
            tf.TensorSpec(
                [window.target_length, BIN_SIZE_BP // folder.pool_width_bp, folder.num_tracks],
                tf.float16,
            ),
        ),
    )
    sums = np.array([stat.startswith("sum") for stat in folder.targets["sum_stat"]])
    scale = np.where(sums, 1.0, folder.pool_width_bp / BIN_SIZE_BP).astype(np.float32)

    def decode(bases: tf.Tensor, values: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "sequence": tf.one_hot(bases, _BASES),  # [length] -> [length, 4]; N (4) is off the end
            "target": tf.reduce_sum(tf.cast(values, tf.float32), axis=1) * scale,
        }

    decoded = stored.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return _NamedErrors(decoded.prefetch(tf.data.AUTOTUNE), failures)


# ------------------------------------------------------------------------------- reading records


@dataclass(frozen=True)
class _Record:
    """A serialized record and where it came from."""

    data: bytes
    file: Path
    row: int  # its row among the split's intervals


@dataclass(frozen=True)
class _Files:
    """The TFRecord files of a split. The writers fill each with as many records as the first."""

    paths: tuple[Path, ...]
    num_records: int
    records_per_file: int

    @classmethod
    def of(cls, folder: RecordFolder, split: str) -> _Files:
        num_records = folder.num_records(split)
        paths = _record_files(folder.path, split)
        return cls(paths, num_records, max(_count_records(paths[0]), 1))

    def first_row(self, file: int) -> int:
        return min(file * self.records_per_file, self.num_records)

    def size(self, file: int) -> int:
        last = file == len(self.paths) - 1
        end = self.num_records if last else self.first_row(file + 1)
        return end - self.first_row(file)

    def read(self, file: int) -> Iterator[_Record]:
        """The file's records; an error unless there are as many as sequences.bed says."""
        expected, row = self.size(file), self.first_row(file)
        count = 0
        for count, data in enumerate(_read_records(self.paths[file]), start=1):  # noqa: B007
            if count > expected:
                break
            yield _Record(data, self.paths[file], row + count - 1)
        if count != expected:
            found = f"more than {expected}" if count > expected else str(count)
            raise ValueError(
                f"{self.paths[file]}: holds {found} records, expected {expected} "
                f"(sequences.bed has {self.num_records}, {self.records_per_file} to a file)"
            )


def _in_order(files: _Files) -> Iterator[_Record]:
    for file in range(len(files.paths)):
        yield from files.read(file)


def _shuffled(files: _Files, seed: int, first_record: int) -> Iterator[_Record]:
    epoch, skipped = divmod(first_record, files.num_records)
    while True:
        yield from islice(_epoch(files, np.random.default_rng([seed, epoch])), skipped, None)
        epoch, skipped = epoch + 1, 0


def _epoch(files: _Files, rng: np.random.Generator) -> Iterator[_Record]:
    order = rng.permutation(len(files.paths))
    in_file_order = (record for file in order for record in files.read(file))
    while window := list(islice(in_file_order, _SHUFFLE_WINDOW)):
        yield from (window[i] for i in rng.permutation(len(window)))


def _arrays(
    folder: RecordFolder, window: _Window, records: Iterator[_Record]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Base indices [sequence_length_bp] and stored bins [target_length, bins per 128 bp, tracks]."""
    fasta = genome.open_fasta(window.fasta) if window.fasta else None
    split_intervals: dict[str, pd.DataFrame] = dict(list(folder.intervals.groupby("split")))
    bins = slice(window.first_bin, window.first_bin + window.target_length)
    for record in records:
        bases, values = _decode(folder, record)
        if fasta is None:
            bases = _cut(bases, window.start_bp, window.sequence_length_bp)
        else:
            interval = split_intervals[_split_of(record.file)].iloc[record.row]
            bases = _with_flanks(bases, window, interval, fasta, record.file)
        yield bases, values[bins]


def _with_flanks(
    bases: np.ndarray, window: _Window, interval: pd.Series, fasta: pyfaidx.Fasta, file: Path
) -> np.ndarray:
    """The window's bases from the genome, which must agree with the record where both have them."""
    start = interval.start + window.start_bp
    end = start + window.sequence_length_bp
    encoded = genome.fetch_one_hot(fasta, interval.chrom, start, end)
    surrounding = _base_indices(encoded)
    stored = _cut(bases, window.start_bp, window.sequence_length_bp)
    overlap = slice(max(-window.start_bp, 0), max(-window.start_bp, 0) + len(bases))
    differing = np.count_nonzero(surrounding[overlap] != stored[overlap])
    if differing:
        raise ValueError(
            f"{fasta.filename}: {interval.chrom}:{interval.start}-{interval.end} differs in "
            f"{differing} bases from the record's sequence in {file}, expected the same assembly"
        )
    return surrounding


def _cut(bases: np.ndarray, start: int, length: int) -> np.ndarray:
    """`length` bases from `start`, with N outside the stored ones."""
    cut = np.full(length, _BASES, np.uint8)
    first, last = max(start, 0), min(start + length, len(bases))
    cut[first - start : last - start] = bases[first:last]
    return cut


def _base_indices(encoded: np.ndarray) -> np.ndarray:
    """One-hot [length, 4] -> indices [length]; a row of zeros, an N, becomes 4."""
    return np.where(encoded.any(-1), encoded.argmax(-1), _BASES).astype(np.uint8)


def _decode(folder: RecordFolder, record: _Record) -> tuple[np.ndarray, np.ndarray]:
    """Base indices [stored length] and values [128-bp bins, stored bins per 128 bp, tracks]."""
    sequence, target = _parse(record.data, record.file)
    per_bin = BIN_SIZE_BP // folder.pool_width_bp
    shape = (folder.target_length, per_bin, folder.num_tracks)
    _require_sizes(folder, sequence, target, record.file)
    bases = np.frombuffer(sequence, np.uint8)
    if folder.record_format == "basenji2":
        bases = _base_indices(bases.reshape(-1, _BASES))
    return bases, np.frombuffer(target, np.float16).reshape(shape)


def _parse(data: bytes, file: Path) -> tuple[bytes, bytes]:
    try:
        features = tf.train.Example.FromString(data).features.feature
    except Exception:  # protobuf's DecodeError, which has no public name that mypy knows
        raise ValueError(f"{file}: a record is not a tf.train.Example") from None
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


def _require_sizes(folder: RecordFolder, sequence: bytes, target: bytes, file: Path) -> None:
    bytes_per_base = next(
        n for n, name in _SEQUENCE_LAYOUTS.items() if name == folder.record_format
    )
    expected_sequence = folder.sequence_length_bp * bytes_per_base
    if len(sequence) != expected_sequence:
        raise ValueError(
            f"{file}: a record's sequence has {len(sequence)} bytes, expected {expected_sequence}"
        )
    num_bins = folder.target_length * (BIN_SIZE_BP // folder.pool_width_bp)
    expected_target = num_bins * folder.num_tracks * _HALF_BYTES
    if len(target) != expected_target:
        raise ValueError(
            f"{file}: a record's target has {len(target)} bytes, expected {expected_target} "
            f"({num_bins} bins of {folder.num_tracks} tracks, as {folder.path / 'targets.txt'} has)"
        )


def _read_records(file: Path) -> Iterator[bytes]:
    dataset = tf.data.TFRecordDataset(str(file), compression_type="ZLIB")
    try:
        yield from dataset.as_numpy_iterator()
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
        raise ValueError(_damaged(file, error)) from None


@cache
def _count_records(file: Path) -> int:
    dataset = tf.data.TFRecordDataset(str(file), compression_type="ZLIB")
    try:
        return int(dataset.reduce(np.int64(0), lambda count, _: count + 1))
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
        raise ValueError(_damaged(file, error)) from None


def _damaged(file: Path, error: tf.errors.OpError) -> str:
    reason = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", error.message)
    return f"{file}: truncated, damaged or not a ZLIB TFRecord file ({' '.join(reason.split())})"


# -------------------------------------------------------------------------------- opening a folder


def _open_folder(organism: str, path: Path) -> RecordFolder:
    targets = tracks.read_targets(path / "targets.txt")
    statistics = _read_statistics(path / "statistics.json")
    if statistics["num_targets"] != len(targets):
        raise ValueError(
            f"{path / 'targets.txt'}: {len(targets)} tracks do not match the records, expected "
            f"{statistics['num_targets']} (num_targets in statistics.json)"
        )
    sequence_length_bp, pool_width_bp = statistics["seq_length"], statistics["pool_width"]
    target_length = statistics["target_length"] * pool_width_bp // BIN_SIZE_BP
    intervals = _read_intervals(
        path / "sequences.bed", sequence_length_bp, target_length * BIN_SIZE_BP
    )
    folder = RecordFolder(
        organism=organism,
        path=path,
        record_format=_record_format(path, intervals["split"].iloc[0], sequence_length_bp),
        targets=targets,
        intervals=intervals,
        sequence_length_bp=sequence_length_bp,
        target_length=target_length,
        pool_width_bp=pool_width_bp,
        num_tracks=len(targets),
    )
    _check_records(folder)
    return folder


def _check_records(folder: RecordFolder) -> None:
    files = [file for split in folder.splits for file in _record_files(folder.path, split)]
    for file in files:
        for data in islice(_read_records(file), 1):
            _require_sizes(folder, *_parse(data, file), file)
    if sum(file.stat().st_size for file in files) > _FULL_CHECK_BYTES:
        return
    for split in folder.splits:
        of_split = _Files.of(folder, split)
        for record in _in_order(of_split):
            _require_sizes(folder, *_parse(record.data, record.file), record.file)


def _record_format(path: Path, split: str, sequence_length_bp: int) -> str:
    file = _record_files(path, split)[0]
    first = next(_read_records(file), None)
    if first is None:
        raise ValueError(f"{file}: holds no record")
    sequence, _ = _parse(first, file)
    bytes_per_base = len(sequence) / sequence_length_bp
    if bytes_per_base not in _SEQUENCE_LAYOUTS:
        raise ValueError(
            f"{file}: a record's sequence has {len(sequence)} bytes, expected "
            f"{sequence_length_bp} (base indices) or {_BASES * sequence_length_bp} (one-hot), as "
            f"seq_length={sequence_length_bp} in {path / 'statistics.json'}"
        )
    return _SEQUENCE_LAYOUTS[int(bytes_per_base)]


def _read_statistics(path: Path) -> dict[str, int]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected the records' statistics")
    try:
        statistics = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    keys = ("num_targets", "seq_length", "pool_width", "target_length")
    for key in keys:
        value = statistics.get(key) if isinstance(statistics, dict) else None
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{path}: {key}={value}, expected a positive whole number")
    if BIN_SIZE_BP % statistics["pool_width"]:
        raise ValueError(
            f"{path}: pool_width={statistics['pool_width']}, expected a divisor of {BIN_SIZE_BP}"
        )
    cropped_bp = statistics["seq_length"] - statistics["target_length"] * statistics["pool_width"]
    if cropped_bp < 0 or cropped_bp % (2 * BIN_SIZE_BP) or statistics["seq_length"] % BIN_SIZE_BP:
        raise ValueError(
            f"{path}: target_length={statistics['target_length']} bins of "
            f"{statistics['pool_width']} bp do not lie in the middle of "
            f"seq_length={statistics['seq_length']} with whole {BIN_SIZE_BP}-bp bins on both sides"
        )
    return {key: statistics[key] for key in keys}


def _read_intervals(path: Path, sequence_length_bp: int, target_bp: int) -> pd.DataFrame:
    """Intervals of the stored sequences, widened where the file gives the predicted regions."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected the records' intervals")
    columns = {"chrom": str, "start": int, "end": int, "split": str}
    try:
        intervals = pd.read_csv(
            path, sep="\t", header=None, names=list(columns), dtype=columns, usecols=range(4)
        )
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: not a BED file of chromosome, start, end, split ({reason})"
        ) from None
    width = intervals["end"] - intervals["start"]
    if width.nunique() != 1 or width.iloc[0] not in (sequence_length_bp, target_bp):
        raise ValueError(
            f"{path}: intervals of {', '.join(map(str, sorted(width.unique())[:3]))} bp, expected "
            f"all of {sequence_length_bp} (sequence) or all of {target_bp} (predicted region)"
        )
    missing_bp = (sequence_length_bp - int(width.iloc[0])) // 2
    return intervals.assign(
        start=intervals["start"] - missing_bp, end=intervals["end"] + missing_bp
    )


def _record_files(path: Path, split: str) -> tuple[Path, ...]:
    """A split's files by the numbers in their names, which is the order of sequences.bed."""
    files = [file for file in path.glob(f"tfrecords/{split}-*.tfr")]
    if not files:
        raise FileNotFoundError(f"{path / 'tfrecords'}: no {split}-*.tfr, expected the records")
    return tuple(sorted(files, key=lambda file: [int(n) for n in re.findall(r"\d+", file.stem)]))


def _split_of(file: Path) -> str:
    return file.stem.split("-")[0]


def _crop_bp(folder: RecordFolder) -> int:
    """Bases on each side of a stored sequence that no bin is stored for."""
    return (folder.sequence_length_bp - folder.target_length * BIN_SIZE_BP) // 2


def _require_at_least(name: str, value: int, minimum: int) -> None:
    if value < minimum:
        raise ValueError(f"{name}={value}, expected at least {minimum}")
