"""Folders of Basenji2 or Borzoi records: find them, check them, read their tables.

A data set is a folder with `human` (or `hg38`) and `mouse` (or `mm10`) below it, each with

    targets.txt      one row per track
    sequences.bed    one row per record: chromosome, start, end, split
    statistics.json  seq_length, target_length, pool_width, num_targets
    tfrecords/       {split}-{number}.tfr, in the order of sequences.bed within each split
    genome.fa        if real flanks are wanted: the reference genome (a link to it will do)
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from senformer.config import BIN_SIZE_BP
from senformer.data import records, tracks
from senformer.data.records import Layout, Shards
from senformer.storage.text_files import read_json_object, read_text

FOLDER_NAMES = {"human": ("human", "hg38"), "mouse": ("mouse", "mm10")}
"""Names that an organism's folder may have."""

GENOME_FILE = "genome.fa"
"""Where an organism's genome is looked for, in its folder, unless a FASTA is named."""

TARGETS_FILE = "targets.txt"
"""The table of tracks in an organism's folder."""

_FULL_CHECK_BYTES = 256 * 2**20  # up to this size, `open_folders` reads every record once

_LARGEST_COORDINATE_BP = 2**31 - 1  # of a FASTA index and of bigWig
_SPLIT = re.compile(r"\w+", re.ASCII)  # it becomes part of a file's name
_CHROMOSOME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
"""A reference's name. Source: the SAM specification, section 1.2.1."""


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
    return {organism: open_folder(organism, path) for organism, path in find_folders(data).items()}


def find_folders(data: str | Path) -> dict[str, Path]:
    """Each organism's folder below a data folder, of which one may be absent; nothing is read.

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
        raise FileNotFoundError(f"{data}: holds no records, expected one of {expected} below it")
    return paths


def open_folder(organism: str, path: Path) -> RecordFolder:
    """One organism's records, checked as `open_folders` says.

    Args:
        organism: `human` or `mouse`.
        path: Its folder, from `find_folders`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: As `open_folders`.
    """
    targets = tracks.read_targets(path / TARGETS_FILE)
    tracks.check_track_order(targets, path / TARGETS_FILE)
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
    for file in sorted(folder.path.glob("tfrecords/*.tfr")):
        split = file.stem.partition("-")[0]
        if split not in folder.splits:
            raise ValueError(
                f"{file}: records of split {split!r}, expected one of {', '.join(folder.splits)}, "
                "which sequences.bed names"
            )
    shards = [Shards.find(folder.path, s, len(folder.intervals_of(s))) for s in folder.splits]
    for of_split in shards:
        for record in of_split.first_of_each_file():
            records.decode(record, folder.layout)
    num_bytes = sum(file.stat().st_size for of_split in shards for file in of_split.files)
    if num_bytes > _FULL_CHECK_BYTES:
        return
    for of_split in shards:
        for record in of_split.read_all():
            records.decode(record, folder.layout)


def _read_statistics(path: Path) -> dict[str, int]:
    statistics = read_json_object(path, "the records' statistics")
    keys = ("num_targets", "seq_length", "pool_width", "target_length")
    for key in keys:
        value = statistics.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
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
    crop_bp = statistics.get("crop_bp", cropped_bp // 2)
    if crop_bp != cropped_bp // 2:
        raise ValueError(
            f"{path}: crop_bp={crop_bp}, expected the {cropped_bp // 2} that seq_length, "
            "target_length and pool_width leave on each side"
        )
    return {key: statistics[key] for key in keys}


def _read_intervals(path: Path, sequence_length_bp: int, target_bp: int) -> pd.DataFrame:
    """Intervals of the stored sequences, widened where the file gives the predicted regions."""
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
    except (ValueError, OverflowError) as error:  # pandas' own errors are of the first kind
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: not a BED file of chromosome, start, end, split ({reason})"
        ) from None
    for row, interval in enumerate(intervals.itertuples(index=False)):
        _expect_interval_of_split(interval, f"{path}: row {row}")
    again = intervals[["chrom", "start", "end"]].duplicated()
    if again.any():
        raise ValueError(
            f"{path}: row {again.argmax()} is an interval that stands above it, expected each once"
        )
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


def _expect_interval_of_split(interval: Any, where: str) -> None:
    chromosome, start, end, split = interval
    if not _CHROMOSOME.fullmatch(chromosome):
        raise ValueError(f"{where} is on {chromosome!r}, expected the name of a chromosome")
    if not 0 <= start < end <= _LARGEST_COORDINATE_BP:
        raise ValueError(
            f"{where} is {start} to {end}, expected a start of at least 0 before an end of at most "
            f"{_LARGEST_COORDINATE_BP}"
        )
    if not _SPLIT.fullmatch(split):
        raise ValueError(f"{where} is of split {split!r}, expected letters, digits and _")
