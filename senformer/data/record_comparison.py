"""Compare records with each other and with their genome: find copies, leaks and swapped files."""

from __future__ import annotations

import threading
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyfaidx

from senformer.data import genome, records
from senformer.data.records import Record

if TYPE_CHECKING:
    from senformer.data.record_folders import RecordFolder


class _Seen(NamedTuple):
    """A record that was compared before: its split, its place and a digest of its values."""

    split: str
    place: str
    values: bytes


class RecordComparison:
    """Compare the records of a folder with each other and with its genome, if it has one.

    Several threads may call `add`.
    """

    def __init__(self, folder: RecordFolder) -> None:
        """Open the genome.

        Args:
            folder: The folder.

        Raises:
            ValueError: If the genome is damaged.
        """
        self._layout = folder.layout
        self._intervals = {split: folder.intervals_of(split) for split in folder.splits}
        self._fasta = genome.open_fasta(folder.genome) if folder.genome.is_file() else None
        self._seen: dict[bytes, _Seen] = {}
        self._lock = threading.Lock()

    def add(self, record: Record) -> None:
        """Decode a record, and compare it with the genome and with all records before.

        Raises:
            ValueError: If the record is damaged, differs from the genome, has the sequence of a
                record of another split, or equals a record of its own split.
        """
        bases, values = records.decode(record, self._layout)
        if self._fasta is not None:
            interval = self._intervals[record.split].iloc[record.row]
            with self._lock:
                found = genome.fetch_base_indices(
                    self._fasta, interval.chrom, interval.start, interval.end
                )
            expect_equal_bases(bases, found, record, self._fasta)
        if (bases == genome.UNKNOWN_BASE).all():
            return
        new = _Seen(record.split, record.place, blake2b(values.tobytes()).digest())
        earlier = self._seen.setdefault(blake2b(bases.tobytes()).digest(), new)
        if earlier.split != new.split:
            raise ValueError(
                f"{new.place}: the same sequence as {earlier.place}, expected splits without "
                "common records"
            )
        if earlier.place != new.place and earlier.values == new.values:
            raise ValueError(f"{new.place}: a copy of {earlier.place}, expected each record once")


def expect_equal_bases(
    stored: np.ndarray, found: np.ndarray, record: Record, fasta: pyfaidx.Fasta
) -> None:
    """Check that a record has the bases of the genome.

    Args:
        stored: Base indices of the record.
        found: Base indices of its interval in the genome.
        record: The record.
        fasta: The genome.

    Raises:
        ValueError: If they differ; the message names both files.
    """
    num_different = np.count_nonzero(found != stored)
    if num_different:
        raise ValueError(
            f"{fasta.filename}: differs in {num_different} bases from {record.place}, expected the "
            "assembly and the order of sequences.bed that the records were made from"
        )
