"""From a record to an example: which of its bases and bins, and what surrounds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyfaidx

from senformer.config import BIN_SIZE_BP, expect_one_of
from senformer.data import genome, records
from senformer.data.record_folders import GENOME_FILE, RecordFolder
from senformer.data.records import Record

FLANKS = ("zeros", "genome")
"""What surrounds a stored sequence when a longer one is asked for."""


@dataclass(frozen=True)
class Window:
    """The part of a record that makes one example.

    Attributes:
        start_bp: First base, from the stored sequence's; negative where it needs a flank.
        sequence_length_bp: Bases.
        first_bin: First 128-bp bin, from the stored target's.
        target_length: Bins.
    """

    start_bp: int
    sequence_length_bp: int
    first_bin: int
    target_length: int

    @classmethod
    def in_records(
        cls, folder: RecordFolder, sequence_length_bp: int, target_length: int | None
    ) -> Window:
        """The central window of a folder's records.

        Args:
            folder: The records.
            sequence_length_bp: Bases, a multiple of 128.
            target_length: Bins; by default all that are stored and that the sequence covers.

        Raises:
            ValueError: If the records have no such window; the message names the argument.
        """
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
class Surroundings:
    """The genome around a split's records.

    Attributes:
        fasta: The genome.
        intervals: The split's, one row per record.
    """

    fasta: Path
    intervals: pd.DataFrame

    @classmethod
    def named(
        cls,
        folder: RecordFolder,
        intervals: pd.DataFrame,
        flanks: str,
        fasta: str | Path | None,
    ) -> Surroundings | None:
        """A genome that is known to have the split's chromosomes; None for zeros.

        Args:
            folder: The records.
            intervals: Those of the split.
            flanks: One of `FLANKS`.
            fasta: The genome; by default the one in the folder.

        Raises:
            FileNotFoundError: If there is no such FASTA.
            ValueError: If there are no such flanks, or the FASTA lacks a chromosome.
        """
        expect_one_of("flanks", flanks, FLANKS)
        if flanks == "zeros":
            return None
        path = Path(fasta) if fasta is not None else folder.path / GENOME_FILE
        with genome.open_fasta(path) as opened:
            genome.require_chromosomes(opened, intervals["chrom"].unique())
        return cls(path, intervals)

    def bases(
        self, fasta: pyfaidx.Fasta, record: Record, stored: np.ndarray, window: Window
    ) -> np.ndarray:
        """The window's bases `[sequence_length_bp]`, as `cut`, but real around the stored ones.

        Raises:
            ValueError: If the stored bases are not the genome's; the message names both.
        """
        interval = self.intervals.iloc[record.row]
        start = interval.start + window.start_bp
        end = start + window.sequence_length_bp
        bases = records.base_indices(genome.fetch_one_hot(fasta, interval.chrom, start, end))
        from_record = cut(stored, window)
        overlap = slice(max(-window.start_bp, 0), max(-window.start_bp, 0) + len(stored))
        num_different = np.count_nonzero(bases[overlap] != from_record[overlap])
        if num_different:
            raise ValueError(
                f"{self.fasta}: {interval.chrom}:{interval.start}-{interval.end} differs in "
                f"{num_different} bases from record {record.row} of its split, in {record.file}, "
                f"expected the assembly that the records were made from"
            )
        return bases


def cut(bases: np.ndarray, window: Window) -> np.ndarray:
    """The window's bases `[sequence_length_bp]` from the stored ones, N beyond them."""
    cut = np.full(window.sequence_length_bp, records.UNKNOWN_BASE, np.uint8)
    first = max(window.start_bp, 0)
    last = min(window.start_bp + window.sequence_length_bp, len(bases))
    cut[first - window.start_bp : last - window.start_bp] = bases[first:last]
    return cut
