"""Find, check and describe folders of Basenji2 or Borzoi records.

A data set is a folder with `human` (or `hg38`) and `mouse` (or `mm10`) below it. Each contains

    targets.txt      one row per track
    sequences.bed    one row per record: chromosome, start, end, split; or sequences.bed.gz
    statistics.json  seq_length, target_length, pool_width, num_targets
    tfrecords/       {split}-{number}.tfr, in the order of sequences.bed within each split
    genome.fa        the reference genome (or a link), needed for real flanking sequence
"""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pydantic import ConfigDict, model_validator

from senformer.config import BIN_SIZE_BP, NonNegativeInteger, Options, PositiveInteger
from senformer.data import bed, records, tracks
from senformer.data.record_comparison import RecordComparison
from senformer.data.records import Layout, Shards
from senformer.storage.text_files import read_json_object

FOLDER_NAMES = {"human": ("human", "hg38"), "mouse": ("mouse", "mm10")}
"""Accepted names of an organism's folder."""

GENOME_FILE = "genome.fa"
"""The default genome in an organism's folder."""

TARGETS_FILE = "targets.txt"
"""The table of tracks in an organism's folder."""

_FULL_CHECK_BYTES = 256 * 2**20  # up to this size, `open_folders` reads every record once

_SPLIT = re.compile(r"\w+", re.ASCII)  # it becomes part of a file's name
_CHROMOSOME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
"""Accepted names of a chromosome. Source: the SAM specification, section 1.2.1."""


def open_folders(data: str | Path) -> dict[str, RecordFolder]:
    """Find and check the records below a folder; call it before any other function on records.

    It checks that all files exist, that the tables agree with each other, that no two splits
    predict a common region, and that the records agree with the tables and the genome, and no split
    has a record of another. It reads all records of a small data set (up to 256 MiB per organism),
    and the first record of every file of a larger one. There, a damaged or missing record is
    reported when it is read, and `senformer check` compares all records.

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
    intervals = _read_intervals(intervals_file(path), statistics)
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


def intervals_file(path: Path) -> Path:
    """Return the table of intervals in an organism's folder: `sequences.bed`, or with `.gz`."""
    plain, compressed = path / "sequences.bed", path / "sequences.bed.gz"
    return compressed if compressed.exists() and not plain.exists() else plain


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
    def genome(self) -> Path:
        """The default genome, which need not exist."""
        return self.path / GENOME_FILE

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


class _Interval(NamedTuple):
    """A row of sequences.bed."""

    chrom: str
    start: int
    end: int
    split: str

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start}-{self.end} ({self.split})"


def _read_intervals(path: Path, statistics: _Statistics) -> pd.DataFrame:
    """Read the intervals of the stored sequences, widened if the file has predicted regions."""
    lines = bed.read_lines(path, "the records' intervals: chromosome, start, end and split")
    rows = [_parse_row(fields, where) for where, fields in lines]
    if not rows:
        raise ValueError(f"{path}: no interval, expected chromosome, start, end and split")
    intervals = pd.DataFrame(rows)
    width_bp = intervals["end"] - intervals["start"]
    expected_bp = (statistics.seq_length, statistics.target_bp)
    if width_bp.nunique() != 1 or width_bp.iloc[0] not in expected_bp:
        raise ValueError(
            f"{path}: intervals of {', '.join(map(str, sorted(width_bp.unique())[:3]))} bp, "
            f"expected all of {expected_bp[0]} (the sequence) or all of {expected_bp[1]} (the "
            "predicted region)"
        )
    _expect_separate_splits(rows, statistics.target_bp, path)
    missing_bp = (statistics.seq_length - int(width_bp.iloc[0])) // 2
    return intervals.assign(
        start=intervals["start"] - missing_bp, end=intervals["end"] + missing_bp
    )


def _parse_row(fields: list[str], where: str) -> _Interval:
    interval = _Interval(*bed.parse_interval(fields, where), "".join(fields[3:4]))
    if not _CHROMOSOME.fullmatch(interval.chrom):
        found = reprlib.repr(interval.chrom)
        raise ValueError(f"{where} is on {found}, expected the name of a chromosome")
    if not _SPLIT.fullmatch(interval.split):
        found = reprlib.repr(interval.split)
        raise ValueError(f"{where} is in split {found}, expected letters, digits and _")
    return interval


def _expect_separate_splits(intervals: list[_Interval], target_bp: int, path: Path) -> None:
    """Check that no interval is repeated, and that splits predict different bases.

    All intervals have one width. So if two of them overlap, adjacent ones between them do, too.
    """
    for first, second in pairwise(sorted(intervals)):
        distance_bp = second.start - first.start
        if first.chrom != second.chrom or distance_bp >= target_bp:
            continue
        if distance_bp == 0:
            raise ValueError(f"{path}: {first} is repeated, expected each interval once")
        if first.split != second.split:
            raise ValueError(
                f"{path}: {first} and {second} predict {target_bp - distance_bp} bp in common, "
                "expected splits without common regions"
            )


def _check_records(folder: RecordFolder) -> None:
    """Compare the first record of each file, or all records of a small data set."""
    shards = [Shards.find(folder.path, s, len(folder.intervals_of(s))) for s in folder.splits]
    files = {file for split in shards for file in split.files}
    for file in sorted(folder.path.glob("tfrecords/*.tfr")):
        if file not in files:
            raise ValueError(
                f"{file}: expected <split>-<number>.tfr with one of the splits in sequences.bed: "
                f"{', '.join(folder.splits)}"
            )
    is_small = sum(file.stat().st_size for file in files) <= _FULL_CHECK_BYTES
    comparison = RecordComparison(folder)
    for split in shards:
        for record in split.read_all() if is_small else split.first_of_each_file():
            comparison.add(record)
