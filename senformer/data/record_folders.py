"""Find, check and describe folders of Basenji2 or Borzoi records.

A data set is a folder with `human` (or `hg38`) and `mouse` (or `mm10`) below it. Each contains

    targets.txt      one row per track
    sequences.bed    one row per record: chromosome, start, end, split
    statistics.json  seq_length, target_length, pool_width, num_targets
    tfrecords/       {split}-{number}.tfr, in the order of sequences.bed within each split
    genome.fa        the reference genome (or a link), needed for real flanking sequence
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from pydantic import ConfigDict, model_validator

from senformer.config import BIN_SIZE_BP, NonNegativeInteger, Options, PositiveInteger
from senformer.data import records, tracks
from senformer.data.records import Layout, Shards
from senformer.storage.text_files import read_json_object, read_text

FOLDER_NAMES = {"human": ("human", "hg38"), "mouse": ("mouse", "mm10")}
"""Accepted names of an organism's folder."""

GENOME_FILE = "genome.fa"
"""The default genome in an organism's folder."""

TARGETS_FILE = "targets.txt"
"""The table of tracks in an organism's folder."""

_FULL_CHECK_BYTES = 256 * 2**20  # up to this size, `open_folders` reads every record once

_MAX_COORDINATE_BP = 2**31 - 1  # of a FASTA index and of bigWig
_SPLIT = re.compile(r"\w+", re.ASCII)  # it becomes part of a file's name
_CHROMOSOME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
"""Accepted names of a chromosome. Source: the SAM specification, section 1.2.1."""


def open_folders(data: str | Path) -> dict[str, RecordFolder]:
    """Find and check the records below a folder; call it before any other function on records.

    It checks that all files exist, that the tables agree with each other, and that the first record
    of every TFRecord file agrees with the tables. It reads a small data set (up to 256 MiB per
    organism) completely; in a larger one, a damaged or missing record is reported when it is read.

    Args:
        data: A folder with `human` (or `hg38`) or `mouse` (or `mm10`) below it, or both.

    Returns:
        `{'human': ..., 'mouse': ...}`; an organism without a folder is absent.

    Raises:
        FileNotFoundError: If the folder, both organisms or a file is missing.
        ValueError: If a file is damaged or of another kind, or two files disagree; the message
            names the file, what it contains and what was expected.

    Source: https://github.com/calico/basenji, `bin/basenji_data.py`.
    """
    return {organism: open_folder(organism, path) for organism, path in find_folders(data).items()}


def find_folders(data: str | Path) -> dict[str, Path]:
    """Find each organism's folder below a data folder, without reading it.

    Raises:
        FileNotFoundError: If the data folder or both organisms are missing.
        ValueError: If an organism has two folders.
    """
    data = Path(data)
    if not data.is_dir():
        raise FileNotFoundError(f"{data}: no such data folder")
    paths = {}
    for organism, names in FOLDER_NAMES.items():
        found = [data / name for name in names if (data / name).is_dir()]
        if len(found) > 1:
            raise ValueError(f"{data}: has both {names[0]}/ and {names[1]}/, expected one of them")
        if found:
            paths[organism] = found[0]
    if not paths:
        expected = ", ".join(f"{name}/" for names in FOLDER_NAMES.values() for name in names)
        raise FileNotFoundError(f"{data}: no records, expected one of {expected} below it")
    return paths


def open_folder(organism: str, path: Path) -> RecordFolder:
    """Open and check one organism's records, see `open_folders`.

    Args:
        organism: `human` or `mouse`.
        path: The organism's folder, from `find_folders`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged or of another kind, or two files disagree.
    """
    targets = tracks.read_targets(path / TARGETS_FILE)
    tracks.check_track_order(targets, path / TARGETS_FILE)
    values = read_json_object(path / "statistics.json", "the records' statistics")
    try:
        statistics = _Statistics(**values)
    except ValueError as error:
        raise ValueError(f"{path / 'statistics.json'}: {str(error).splitlines()[0]}") from None
    if statistics.num_targets != len(targets):
        raise ValueError(
            f"{path / TARGETS_FILE}: {len(targets)} tracks do not match the records, expected "
            f"{statistics.num_targets} (num_targets in statistics.json)"
        )
    intervals = _read_intervals(path / "sequences.bed", statistics)
    first_file = records.find_files(path, intervals["split"].iloc[0])[0]
    folder = RecordFolder(
        organism=organism,
        path=path,
        record_format=records.detect_format(first_file, statistics.seq_length),
        targets=targets,
        intervals=intervals,
        sequence_length_bp=statistics.seq_length,
        target_length=statistics.target_bp // BIN_SIZE_BP,
        pool_width_bp=statistics.pool_width,
        num_tracks=len(targets),
    )
    _check_records(folder)
    return folder


@dataclass(frozen=True, eq=False)
class RecordFolder:
    """One organism's records, opened by `open_folders`.

    Attributes:
        organism: `human` or `mouse`.
        path: The organism's folder.
        record_format: `basenji2` or `borzoi`, detected from the records.
        targets: The targets table, one row per track.
        intervals: Columns `chrom`, `start`, `end`, `split`, one row per record, in the records'
            order within each split. `start` and `end` bound the **stored sequence**, even if
            sequences.bed (as Borzoi's does) contains the predicted region in its middle.
        sequence_length_bp: Length of a stored sequence.
        target_length: Number of stored 128-bp bins, in the middle of the sequence.
        pool_width_bp: Width of a stored bin, 128 for Basenji2 and 32 for Borzoi.
        num_tracks: Number of tracks per bin.
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
        """Return a split's rows of `intervals`, one per record, in the records' order.

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
        """Layout of a record's bytes."""
        num_bins = self.target_length * (BIN_SIZE_BP // self.pool_width_bp)
        return Layout(self.record_format, self.sequence_length_bp, num_bins, self.num_tracks)


class _Statistics(Options):
    """The checked values of `statistics.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    num_targets: PositiveInteger
    seq_length: PositiveInteger
    pool_width: PositiveInteger
    target_length: PositiveInteger
    crop_bp: NonNegativeInteger | None = None

    @property
    def target_bp(self) -> int:
        """Length of the predicted region."""
        return self.target_length * self.pool_width

    @model_validator(mode="after")
    def _check_lengths(self) -> _Statistics:
        if BIN_SIZE_BP % self.pool_width:
            raise ValueError(f"pool_width={self.pool_width}, expected a divisor of {BIN_SIZE_BP}")
        cropped_bp = self.seq_length - self.target_bp
        if self.seq_length % BIN_SIZE_BP or cropped_bp < 0 or cropped_bp % (2 * BIN_SIZE_BP):
            raise ValueError(
                f"target_length={self.target_length} bins of {self.pool_width} bp, expected the "
                f"middle of seq_length={self.seq_length} bp with whole {BIN_SIZE_BP}-bp bins on "
                "both sides"
            )
        if self.crop_bp not in (None, cropped_bp // 2):
            raise ValueError(
                f"crop_bp={self.crop_bp}, expected {cropped_bp // 2}, which seq_length, "
                "target_length and pool_width leave on each side"
            )
        return self


def _read_intervals(path: Path, statistics: _Statistics) -> pd.DataFrame:
    """Read the intervals of the stored sequences, widened if the file has predicted regions."""
    text = read_text(path, "the records' intervals")
    columns = {"chrom": str, "start": int, "end": int, "split": str}
    try:
        intervals = pd.read_csv(
            io.StringIO(text),
            sep="\t",
            header=None,
            names=list(columns),
            dtype=columns,
            usecols=range(4),
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
        )
    except (ValueError, OverflowError) as error:  # pandas' errors derive from ValueError
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: not a BED file of chromosome, start, end, split ({reason})"
        ) from None
    for row, interval in enumerate(intervals.itertuples(index=False, name=None)):
        _check_interval(interval, f"{path}: row {row}")
    is_repeated = intervals[["chrom", "start", "end"]].duplicated()
    if is_repeated.any():
        raise ValueError(
            f"{path}: row {is_repeated.argmax()} repeats an interval, expected each interval once"
        )
    width_bp = intervals["end"] - intervals["start"]
    expected_bp = (statistics.seq_length, statistics.target_bp)
    if width_bp.nunique() != 1 or width_bp.iloc[0] not in expected_bp:
        raise ValueError(
            f"{path}: intervals of {', '.join(map(str, sorted(width_bp.unique())[:3]))} bp, "
            f"expected all of {expected_bp[0]} (the sequence) or all of {expected_bp[1]} (the "
            "predicted region)"
        )
    missing_bp = (statistics.seq_length - int(width_bp.iloc[0])) // 2
    return intervals.assign(
        start=intervals["start"] - missing_bp, end=intervals["end"] + missing_bp
    )


def _check_interval(interval: tuple[str, int, int, str], where: str) -> None:
    chromosome, start, end, split = interval
    if not _CHROMOSOME.fullmatch(chromosome):
        raise ValueError(f"{where} is on {chromosome!r}, expected the name of a chromosome")
    if not 0 <= start < end <= _MAX_COORDINATE_BP:
        raise ValueError(
            f"{where} is {start} to {end}, expected a start of at least 0 before an end of at most "
            f"{_MAX_COORDINATE_BP}"
        )
    if not _SPLIT.fullmatch(split):
        raise ValueError(f"{where} is in split {split!r}, expected letters, digits and _")


def _check_records(folder: RecordFolder) -> None:
    """Decode the first record of each file, and all records of a small data set."""
    for file in sorted(folder.path.glob("tfrecords/*.tfr")):
        split = file.stem.partition("-")[0]
        if split not in folder.splits:
            raise ValueError(
                f"{file}: records of split {split!r}, expected one of {', '.join(folder.splits)}, "
                "the splits in sequences.bed"
            )
    shards = [Shards.find(folder.path, s, len(folder.intervals_of(s))) for s in folder.splits]
    num_bytes = sum(file.stat().st_size for split in shards for file in split.files)
    readers = [split.first_of_each_file() for split in shards]
    if num_bytes <= _FULL_CHECK_BYTES:
        readers += [split.read_all() for split in shards]
    for reader in readers:
        for record in reader:
            records.decode(record, folder.layout)
