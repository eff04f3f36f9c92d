"""Data sets of Basenji2 or Borzoi records, as `tf.data`.

A data set is a folder with `human` (or `hg38`) and `mouse` (or `mm10`) below it, each with

    targets.txt      one row per track
    sequences.bed    one row per record: chromosome, start, end, split
    statistics.json  seq_length, target_length, pool_width, num_targets
    tfrecords/       {split}-{number}.tfr, in the order of sequences.bed within each split
    genome.fa        if real flanks are wanted: the reference genome (a link to it will do)

`open_folders` checks what is quick to check; `examples` gives a split once, in order; `batches`
gives it endlessly, shuffled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyfaidx
import tensorflow as tf

from senformer.config import BIN_SIZE_BP, expect_one_of
from senformer.data import genome, records, tracks
from senformer.data.records import Layout, Record, Shards

FOLDER_NAMES = {"human": ("human", "hg38"), "mouse": ("mouse", "mm10")}
"""Names that an organism's folder may have."""

FLANKS = ("zeros", "genome")
"""What surrounds a stored sequence when a longer one is asked for."""

GENOME_FILE = "genome.fa"
"""Where an organism's genome is looked for, in its folder, unless a FASTA is named."""

_FULL_CHECK_BYTES = 256 * 2**20  # up to this size, `open_folders` reads every record once
_SHUFFLE_WINDOW = 32  # records in memory at a time; one of Basenji2's human records takes 10 MB


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
    targets: pd.DataFrame = field(repr=False)
    intervals: pd.DataFrame = field(repr=False)
    sequence_length_bp: int
    target_length: int
    pool_width_bp: int
    num_tracks: int

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have records, such as `train`, `valid` and `test`."""
        return tuple(self.intervals["split"].unique())

    def intervals_of(self, split: str) -> pd.DataFrame:
        """A split's rows of `intervals`, one per record, in the records' order.

        Raises:
            ValueError: If there is no such split.
        """
        if split not in self.splits:
            raise ValueError(
                f"{self.path}: no split {split!r}, expected one of {', '.join(self.splits)}"
            )
        return self.intervals[self.intervals["split"] == split].reset_index(drop=True)

    @property
    def layout(self) -> Layout:
        """What a record's bytes mean."""
        num_bins = self.target_length * (BIN_SIZE_BP // self.pool_width_bp)
        return Layout(self.record_format, self.sequence_length_bp, num_bins, self.num_tracks)


def open_folders(data: str | Path) -> dict[str, RecordFolder]:
    """Find and check the records below a folder; the first call of anything that reads data.

    Checked at once: every file that must be there, the tables against each other, and the first
    record of every TFRecord file against them. A small data set (up to 256 MiB per organism) is
    read in full; in a larger one a damaged or missing record is reported when it is reached.

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
            raise ValueError(f"{data}: has both {names[0]}/ and {names[1]}/, expected one of them")
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
        fasta: The genome, read for `flanks='genome'` alone; by default `genome.fa` in the
            organism's folder. Every stored sequence is compared with it.

    Returns:
        A data set of `{'sequence': [sequence_length_bp, 4], 'target': [target_length,
        num_tracks], 'row': []}`, the first two float32; the row among the split's intervals int32.

    Raises:
        FileNotFoundError: If there is no such FASTA.
        ValueError: If an argument is out of range, or the FASTA lacks a chromosome. While reading,
            if a record is damaged, missing or differs from the FASTA. Every message names the file
            or the value.
    """
    intervals = folder.intervals_of(split)
    window = _Window.of(folder, sequence_length_bp, target_length)
    surroundings = _Surroundings.of(folder, intervals, flanks, fasta)
    shards = Shards.of(folder.path, split, len(intervals))
    return _dataset(folder, window, surroundings, lambda: _in_order(shards))


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
        [batch_size, target_length, num_tracks], 'row': [batch_size]}`, as for `examples`.

    Raises:
        FileNotFoundError: As for `examples`.
        ValueError: As for `examples`, and if `batch_size`, `seed` or `first_step` is out of range.
    """
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
        ("first_step", first_step, 0),
    ):
        if value < least:
            raise ValueError(f"{name}={value}, expected at least {least}")
    intervals = folder.intervals_of(split)
    window = _Window.of(folder, sequence_length_bp, target_length)
    surroundings = _Surroundings.of(folder, intervals, flanks, fasta)
    shards = Shards.of(folder.path, split, len(intervals))
    shuffled = _dataset(
        folder, window, surroundings, lambda: _shuffled(shards, seed, first_step * batch_size)
    )
    return shuffled.batch(batch_size, drop_remainder=True).prefetch(1)


# -------------------------------------------------------------------------- which record comes next


def _in_order(shards: Shards) -> Iterator[Record]:
    for number in range(len(shards.files)):
        yield from shards.read(number)


def _shuffled(shards: Shards, seed: int, first_record: int) -> Iterator[Record]:
    epoch, num_skipped = divmod(first_record, shards.num_records)
    while True:
        yield from islice(_epoch(shards, seed, epoch), num_skipped, None)
        epoch, num_skipped = epoch + 1, 0


def _epoch(shards: Shards, seed: int, epoch: int) -> Iterator[Record]:
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(shards.files))
    in_file_order = (record for number in order for record in shards.read(number))
    while window := list(islice(in_file_order, _SHUFFLE_WINDOW)):
        yield from (window[i] for i in rng.permutation(len(window)))


# -------------------------------------------------------------------------- from record to example


@dataclass(frozen=True)
class _Window:
    """The part of a record that makes one example."""

    start_bp: int  # first base, from the stored sequence's; negative where it needs a flank
    sequence_length_bp: int
    first_bin: int  # in 128-bp bins, from the stored target's first
    target_length: int

    @classmethod
    def of(
        cls, folder: RecordFolder, sequence_length_bp: int, target_length: int | None
    ) -> _Window:
        if sequence_length_bp < BIN_SIZE_BP or sequence_length_bp % BIN_SIZE_BP:
            raise ValueError(
                f"sequence_length_bp={sequence_length_bp}, expected a positive multiple of "
                f"{BIN_SIZE_BP}"
            )
        num_tokens = sequence_length_bp // BIN_SIZE_BP
        if target_length is None:
            target_length = min(folder.target_length, num_tokens)
        if not 1 <= target_length <= folder.target_length:
            raise ValueError(
                f"target_length={target_length}, expected 1 to {folder.target_length}, the bins "
                f"that the records in {folder.path} have"
            )
        if target_length > num_tokens:
            raise ValueError(
                f"target_length={target_length}, expected at most the {num_tokens} bins of "
                f"sequence_length_bp={sequence_length_bp}"
            )
        cropped_bins = folder.sequence_length_bp // BIN_SIZE_BP - folder.target_length
        first_bin = (folder.target_length - target_length) // 2
        start_bin = cropped_bins // 2 + first_bin - (num_tokens - target_length) // 2
        return cls(start_bin * BIN_SIZE_BP, sequence_length_bp, first_bin, target_length)


@dataclass(frozen=True, eq=False)
class _Surroundings:
    """The genome around a split's records."""

    fasta: Path
    intervals: pd.DataFrame

    @classmethod
    def of(
        cls,
        folder: RecordFolder,
        intervals: pd.DataFrame,
        flanks: str,
        fasta: str | Path | None,
    ) -> _Surroundings | None:
        """A genome that is known to have the split's chromosomes; None for zeros."""
        expect_one_of("flanks", flanks, FLANKS)
        if flanks == "zeros":
            return None
        path = Path(fasta) if fasta is not None else folder.path / GENOME_FILE
        with genome.open_fasta(path) as opened:
            genome.require_chromosomes(opened, intervals["chrom"].unique())
        return cls(path, intervals)

    def bases(
        self, fasta: pyfaidx.Fasta, record: Record, stored: np.ndarray, window: _Window
    ) -> np.ndarray:
        """The window's bases `[sequence_length_bp]`; they must agree with the stored ones."""
        interval = self.intervals.iloc[record.row]
        start = interval.start + window.start_bp
        end = start + window.sequence_length_bp
        bases = records.base_indices(genome.fetch_one_hot(fasta, interval.chrom, start, end))
        from_record = _cut(stored, window)
        overlap = slice(max(-window.start_bp, 0), max(-window.start_bp, 0) + len(stored))
        num_different = np.count_nonzero(bases[overlap] != from_record[overlap])
        if num_different:
            raise ValueError(
                f"{self.fasta}: {interval.chrom}:{interval.start}-{interval.end} differs in "
                f"{num_different} bases from record {record.row} of its split, in {record.file}, "
                f"expected the assembly that the records were made from"
            )
        return bases


def _cut(bases: np.ndarray, window: _Window) -> np.ndarray:
    """The window's bases from the stored ones, N where it reaches beyond them."""
    cut = np.full(window.sequence_length_bp, records.UNKNOWN_BASE, np.uint8)
    first = max(window.start_bp, 0)
    last = min(window.start_bp + window.sequence_length_bp, len(bases))
    cut[first - window.start_bp : last - window.start_bp] = bases[first:last]
    return cut


def _arrays(
    folder: RecordFolder,
    window: _Window,
    surroundings: _Surroundings | None,
    records_in_turn: Iterator[Record],
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Base indices [length]; values [target_length, stored bins per 128 bp, tracks]; row."""
    fasta = genome.open_fasta(surroundings.fasta) if surroundings else None
    bins = slice(window.first_bin, window.first_bin + window.target_length)
    for record in records_in_turn:
        stored, values = records.decode(record.data, record.file, folder.layout)
        values = values.reshape(folder.target_length, -1, folder.num_tracks)[bins]
        if surroundings is None:
            yield _cut(stored, window), values, record.row
        else:
            yield surroundings.bases(fasta, record, stored, window), values, record.row


def _dataset(
    folder: RecordFolder,
    window: _Window,
    surroundings: _Surroundings | None,
    read: Callable[[], Iterator[Record]],
) -> _ReadableErrors:
    failures: list[Exception] = []

    def arrays() -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        try:
            yield from _arrays(folder, window, surroundings, read())
        except (OSError, ValueError) as error:
            failures.append(error)
            raise

    bins_per_bin = BIN_SIZE_BP // folder.pool_width_bp
    is_sum = folder.targets["sum_stat"].str.startswith("sum").to_numpy()
    scale = np.where(is_sum, 1.0, 1.0 / bins_per_bin).astype(np.float32)

    def to_example(bases: tf.Tensor, values: tf.Tensor, row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "sequence": tf.one_hot(bases, 4),  # [length] -> [length, 4]; an N is off the end
            "target": tf.reduce_sum(tf.cast(values, tf.float32), axis=1) * scale,
            "row": row,
        }

    stored = tf.data.Dataset.from_generator(
        arrays,
        output_signature=(
            tf.TensorSpec([window.sequence_length_bp], tf.uint8),
            tf.TensorSpec([window.target_length, bins_per_bin, folder.num_tracks], tf.float16),
            tf.TensorSpec([], tf.int32),
        ),
    )
    decoded = stored.map(to_example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return _ReadableErrors(decoded, failures)


class _ReadableErrors(tf.data.Dataset):
    """A data set that raises its reader's error as it is, also after a transformation.

    TensorFlow wraps an error of a Python reader in one of its own, with a traceback for its text.
    """

    def __init__(self, dataset: tf.data.Dataset, failures: list[Exception]) -> None:
        self._dataset = dataset
        self._failures = failures
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
                if self._failures:
                    raise self._failures.pop() from None
                raise
            yield element

    def map(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.map(*args, **kwargs), self._failures)

    def take(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.take(*args, **kwargs), self._failures)

    def batch(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.batch(*args, **kwargs), self._failures)

    def prefetch(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.prefetch(*args, **kwargs), self._failures)


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
    first_file = records.find_files(path, intervals["split"].iloc[0])[0]
    folder = RecordFolder(
        organism=organism,
        path=path,
        record_format=records.record_format(first_file, sequence_length_bp),
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
    files = [file for split in folder.splits for file in records.find_files(folder.path, split)]
    for file in files:
        for data in islice(records.read(file), 1):
            records.decode(data, file, folder.layout)
    if sum(file.stat().st_size for file in files) > _FULL_CHECK_BYTES:
        return
    for split in folder.splits:
        for record in _in_order(Shards.of(folder.path, split, len(folder.intervals_of(split)))):
            records.decode(record.data, record.file, folder.layout)


def _read_statistics(path: Path) -> dict[str, int]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected the records' statistics")
    try:
        statistics = json.loads(path.read_text())
    except ValueError as error:  # not JSON, or not text
        raise ValueError(f"{path}: not a JSON file ({error})") from None
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
    if statistics["seq_length"] % BIN_SIZE_BP or cropped_bp < 0 or cropped_bp % (2 * BIN_SIZE_BP):
        raise ValueError(
            f"{path}: target_length={statistics['target_length']} bins of "
            f"{statistics['pool_width']} bp, expected the middle of "
            f"seq_length={statistics['seq_length']} bp with whole {BIN_SIZE_BP}-bp bins around it"
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
    except ValueError as error:  # pandas' own errors are of this kind
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: not a BED file of chromosome, start, end, split ({reason})"
        ) from None
    width_bp = intervals["end"] - intervals["start"]
    if width_bp.nunique() != 1 or width_bp.iloc[0] not in (sequence_length_bp, target_bp):
        raise ValueError(
            f"{path}: intervals of {', '.join(map(str, sorted(width_bp.unique())[:3]))} bp, "
            f"expected all of {sequence_length_bp} (the sequence) or all of {target_bp} (the "
            f"predicted region)"
        )
    missing_bp = (sequence_length_bp - int(width_bp.iloc[0])) // 2
    return intervals.assign(
        start=intervals["start"] - missing_bp, end=intervals["end"] + missing_bp
    )
