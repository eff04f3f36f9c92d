"""Cut examples from records: which bases and bins, and which flanking sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyfaidx

from senformer.config import BIN_SIZE_BP, expect_one_of
from senformer.data import genome, record_comparison, records
from senformer.data.record_folders import RecordFolder
from senformer.data.records import Record

FLANKS = ("zeros", "genome")
"""What a sequence gets on both sides if it is longer than the stored one."""


@dataclass(frozen=True)
class InputWindow:
    """Describe the sequence and the bins of an example, both centred on the record.

    Attributes:
        sequence_length_bp: Length of the sequence, a multiple of 128. A shorter sequence than the
            stored one is cut from its middle; a longer one gets flanking sequence.
        target_length: Number of central 128-bp bins. By default all stored bins that the sequence
            covers.
        flanks: The flanking sequence: `zeros`, as in the study, or the real `genome`, with zeros
            beyond a chromosome's ends.
        fasta: The genome, read only if `flanks` is `genome`; by default `genome.fa` in the
            organism's folder. Every stored sequence is compared with it.
    """

    sequence_length_bp: int
    target_length: int | None = None
    flanks: str = "zeros"
    fasta: str | Path | None = None


@dataclass(frozen=True, eq=False)
class RecordCutter:
    """Cut examples from the records of one split; `for_split` creates it.

    Attributes:
        folder: The records.
        intervals: The split's intervals, one row per record.
        fasta: The genome, or None if flanking sequence is zeros.
        start_bp: First base of the sequence, counted from the stored sequence's first; negative if
            the sequence begins in the flanking sequence.
        sequence_length_bp: Length of the sequence.
        first_bin: First 128-bp bin, counted from the stored target's first.
        target_length: Number of bins.
    """

    folder: RecordFolder
    intervals: pd.DataFrame
    fasta: Path | None
    start_bp: int
    sequence_length_bp: int
    first_bin: int
    target_length: int

    @classmethod
    def for_split(cls, folder: RecordFolder, split: str, window: InputWindow) -> RecordCutter:
        """Check that a split's records have a window, and find where it begins.

        Raises:
            FileNotFoundError: If the FASTA does not exist.
            ValueError: If there is no such split, the window does not fit the records, or the FASTA
                lacks a chromosome; the message names the argument or the file.
        """
        intervals = folder.intervals_of(split)
        num_tokens, target_length = _check_lengths(folder, window)
        num_cropped_bins = folder.sequence_length_bp // BIN_SIZE_BP - folder.target_length
        first_bin = (folder.target_length - target_length) // 2
        start_bin = num_cropped_bins // 2 + first_bin - (num_tokens - target_length) // 2
        expect_one_of("flanks", window.flanks, FLANKS)
        fasta = None
        if window.flanks == "genome":
            fasta = Path(window.fasta or folder.genome)
            with genome.open_fasta(fasta) as opened:
                genome.require_chromosomes(opened, intervals["chrom"].unique())
        return cls(
            folder=folder,
            intervals=intervals,
            fasta=fasta,
            start_bp=start_bin * BIN_SIZE_BP,
            sequence_length_bp=window.sequence_length_bp,
            first_bin=first_bin,
            target_length=target_length,
        )

    def cut(self, selected: Iterable[Record]) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        """Decode records and cut the window from each.

        Yields:
            Base indices `[sequence_length_bp]` uint8, values `[target_length, stored bins per
            128 bp, tracks]` float16, and the record's row among the split's intervals.

        Raises:
            ValueError: If a record is damaged or differs from the FASTA.
        """
        fasta = genome.open_fasta(self.fasta) if self.fasta else None
        bins = slice(self.first_bin, self.first_bin + self.target_length)
        for record in selected:
            stored, values = records.decode(record, self.folder.layout)
            bases = np.full(self.sequence_length_bp, genome.UNKNOWN_BASE, np.uint8)
            first = max(self.start_bp, 0)
            last = min(self.start_bp + self.sequence_length_bp, len(stored))
            bases[first - self.start_bp : last - self.start_bp] = stored[first:last]
            if fasta is not None:
                bases = self._fill_from_genome(bases, record, fasta)
            values = values.reshape(self.folder.target_length, -1, self.folder.num_tracks)
            yield bases, values[bins], record.row

    def _fill_from_genome(
        self, bases: np.ndarray, record: Record, fasta: pyfaidx.Fasta
    ) -> np.ndarray:
        """Read the window from the genome, and compare it with the stored bases."""
        interval = self.intervals.iloc[record.row]
        start = interval.start + self.start_bp
        end = start + self.sequence_length_bp
        found = genome.fetch_base_indices(fasta, interval.chrom, start, end)
        first = max(-self.start_bp, 0)
        stored = slice(first, first + self.folder.sequence_length_bp)
        record_comparison.expect_equal_bases(bases[stored], found[stored], record, fasta)
        return found


def _check_lengths(folder: RecordFolder, window: InputWindow) -> tuple[int, int]:
    """Return the numbers of tokens and bins of a window, once they fit the records."""
    if window.sequence_length_bp < BIN_SIZE_BP or window.sequence_length_bp % BIN_SIZE_BP:
        raise ValueError(
            f"sequence_length_bp={window.sequence_length_bp}, expected a positive multiple of "
            f"{BIN_SIZE_BP}"
        )
    num_tokens = window.sequence_length_bp // BIN_SIZE_BP
    target_length = window.target_length
    if target_length is None:
        target_length = min(folder.target_length, num_tokens)
    if not 1 <= target_length <= folder.target_length:
        raise ValueError(
            f"target_length={target_length}, expected 1 to {folder.target_length}, the bins that "
            f"the records in {folder.path} have"
        )
    if target_length > num_tokens:
        raise ValueError(
            f"target_length={target_length}, expected at most the {num_tokens} bins of "
            f"sequence_length_bp={window.sequence_length_bp}"
        )
    return num_tokens, target_length
