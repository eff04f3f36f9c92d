"""Read regions of a genome from a BED file, and cover them by a model's windows."""

from __future__ import annotations

import reprlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from senformer.config import BIN_SIZE_BP, expect_integer, expect_one_of
from senformer.data import bed

OVERLAPS = ("tiled", "averaged")
"""The value of a bin that several windows predict: that of the window whose centre is nearest, or
the mean of all."""


class BinRange(NamedTuple):
    """A range of adjacent bins; bin `i` is the bases from `128 i` up to `128 (i + 1)`.

    Attributes:
        chromosome: Name of the chromosome.
        first_bin: First bin.
        end_bin: One past the last bin.
    """

    chromosome: str
    first_bin: int
    end_bin: int


class Window(NamedTuple):
    """One input of a model, by the bins that it predicts and the bins that are kept.

    Attributes:
        chromosome: Name of the chromosome.
        first_bin: First predicted bin; negative if the window begins before the chromosome.
        first_kept_bin: First kept bin.
        end_kept_bin: One past the last kept bin.
    """

    chromosome: str
    first_bin: int
    first_kept_bin: int
    end_kept_bin: int

    @property
    def num_kept_bins(self) -> int:
        """Number of kept bins."""
        return self.end_kept_bin - self.first_kept_bin


def read_regions(path: str | Path, lengths_bp: Mapping[str, int]) -> list[BinRange]:
    """Read the bins that a BED file's regions touch; adjacent regions become one range.

    Args:
        path: The BED file, plain or compressed by gzip: tab-separated chromosome, start (counted
            from 0) and end (not included). Further columns, blank lines, lines of the words
            `track` or `browser`, and comments (`#`) are skipped.
        lengths_bp: Length of each chromosome of the genome.

    Returns:
        Ranges, sorted by the chromosome's name and the first bin.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If a line is no region of the genome; the message names the line.

    Source: the UCSC Genome Browser's description of BED.
    """
    lines = bed.read_lines(
        Path(path), "regions in BED: chromosome, start and end, separated by tabs"
    )
    touched = [
        _parse_region(fields, lengths_bp, where)
        for where, fields in lines
        if not _is_header(fields, lengths_bp)
    ]
    if not touched:
        raise ValueError(f"{path}: no region, expected lines of chromosome, start and end")
    merged: list[BinRange] = []
    for found in sorted(touched):
        last = merged[-1] if merged else None
        if last and found.chromosome == last.chromosome and found.first_bin <= last.end_bin:
            merged[-1] = last._replace(end_bin=max(last.end_bin, found.end_bin))
        else:
            merged.append(found)
    return merged


def _is_header(fields: list[str], chromosomes: Container[str]) -> bool:
    """Return whether a line is a header or a comment, also if a chromosome is called `track`."""
    first, *others = fields
    if first.startswith("#"):
        return first not in chromosomes
    is_region = len(others) >= 2 and "=" not in others[0]
    return first.partition(" ")[0] in ("track", "browser") and not is_region


def _parse_region(fields: list[str], lengths_bp: Mapping[str, int], where: str) -> BinRange:
    chromosome, start, end = bed.parse_interval(fields, where)
    if chromosome not in lengths_bp:
        nearest = ", ".join(get_close_matches(chromosome[:80], lengths_bp, 3, 0.0))
        raise ValueError(
            f"{where} is on {reprlib.repr(chromosome)}, expected a chromosome of the genome, such "
            f"as {nearest}"
        )
    if end > lengths_bp[chromosome]:
        raise ValueError(
            f"{where} is {start} to {end}, expected an end on {chromosome}, which has "
            f"{lengths_bp[chromosome]} bases"
        )
    return BinRange(chromosome, start // BIN_SIZE_BP, -(-end // BIN_SIZE_BP))


@dataclass(frozen=True)
class WindowLayout:
    """Place a model's windows so that they cover all bins of ranges, in the ranges' order.

    Each range has its own windows, at equal steps, and extends equally on both sides. So the
    prediction for a range does not depend on the other ranges. Iterate over the layout to get the
    windows; `len` counts them.

    Attributes:
        ranges: The bins to predict, from `read_regions`.
        target_length: Number of bins that a window predicts.
        step_bins: Number of bins from one window's start to the next.
        overlaps: One of `OVERLAPS`.

    Raises:
        ValueError: If the step is not 1 to `target_length`, or `overlaps` is unknown.
    """

    ranges: Sequence[BinRange]
    target_length: int
    step_bins: int
    overlaps: str

    def __post_init__(self) -> None:
        """Check the values."""
        expect_one_of("overlaps", self.overlaps, OVERLAPS)
        expect_integer("step_bins", self.step_bins, 1)
        if self.step_bins > self.target_length:
            raise ValueError(
                f"step_bins={self.step_bins}, expected at most the {self.target_length} bins that "
                "a window predicts; a longer step leaves gaps"
            )

    def __len__(self) -> int:
        """Count the windows."""
        return sum(map(self._count_windows, self.ranges))

    def __iter__(self) -> Iterator[Window]:
        """Yield the windows in order."""
        for bins in self.ranges:
            yield from self._place_windows(bins)

    @property
    def num_bins(self) -> int:
        """Number of bins in all ranges."""
        return sum(bins.end_bin - bins.first_bin for bins in self.ranges)

    def _count_windows(self, bins: BinRange) -> int:
        further = max(bins.end_bin - bins.first_bin - self.target_length, 0)
        return 1 + -(-further // self.step_bins)

    def _place_windows(self, bins: BinRange) -> Iterable[Window]:
        count = self._count_windows(bins)
        covered = self.target_length + (count - 1) * self.step_bins
        num_spare = covered - (bins.end_bin - bins.first_bin)
        is_tiled = self.overlaps == "tiled"
        margin = (self.target_length - self.step_bins) // 2 if is_tiled else 0
        for number in range(count):
            first = bins.first_bin - num_spare // 2 + number * self.step_bins
            first_kept = first + margin if number else bins.first_bin
            end_kept = first + self.target_length
            if is_tiled and number < count - 1:
                end_kept = first + self.step_bins + margin
            yield Window(
                bins.chromosome,
                first,
                max(first_kept, bins.first_bin),
                min(end_kept, bins.end_bin),
            )
