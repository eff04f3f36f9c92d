"""Regions of a genome: read from a BED file, cut into bins, covered by a model's windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from senformer.config import BIN_SIZE_BP, expect_integer, expect_one_of
from senformer.storage.text_files import read_text

OVERLAPS = ("tiled", "averaged")
"""What a bin gets that several windows predict: the value of the window in whose middle it lies
most, or the mean of all."""

_NOT_A_REGION = ("#", "track", "browser")


class Run(NamedTuple):
    """Bins without a gap that are wanted; bin `i` is the bases from `128 i` up to `128 (i + 1)`.

    Attributes:
        chromosome: Its name.
        first_bin: The first one.
        end_bin: One past the last one.
    """

    chromosome: str
    first_bin: int
    end_bin: int


class Window(NamedTuple):
    """One input of a model, by the bins that it predicts and those that are wanted of them.

    Attributes:
        chromosome: Its name.
        first_bin: The first that is predicted; negative where the window begins before the
            chromosome does.
        first_kept_bin: The first that is wanted.
        end_kept_bin: One past the last that is wanted.
    """

    chromosome: str
    first_bin: int
    first_kept_bin: int
    end_kept_bin: int

    @property
    def num_kept_bins(self) -> int:
        """Bins that are wanted."""
        return self.end_kept_bin - self.first_kept_bin


def read_regions(path: str | Path, lengths_bp: Mapping[str, int]) -> list[Run]:
    """The bins that a BED file's regions touch, those of touching regions as one run.

    Args:
        path: The file: chromosome, start and end, counted from 0 and the end not included, apart by
            tabs; further columns, empty lines, and lines that begin with `#`, `track` or `browser`
            say nothing here.
        lengths_bp: Of the genome's chromosomes.

    Returns:
        Runs in the order of their chromosomes' names and their places.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no region, or its region does not lie in the genome; the message
            names the line.

    Source: the UCSC Genome Browser's description of BED.
    """
    text = read_text(path, "regions, in BED: chromosome, start and end, apart by tabs")
    touched: list[Run] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith(_NOT_A_REGION):
            touched.append(_run_of(line, lengths_bp, f"{path}: line {number}"))
    if not touched:
        raise ValueError(f"{path}: holds no region, expected chromosome, start and end in a line")
    return list(_joined(sorted(touched)))


def _run_of(line: str, lengths_bp: Mapping[str, int], where: str) -> Run:
    chromosome, *fields = line.rstrip("\r\n").split("\t")
    if len(fields) < 2 or not all(field.strip().isdecimal() for field in fields[:2]):
        raise ValueError(
            f"{where} is {line[:80]!r}, expected chromosome, start and end, apart by tabs"
        )
    start, end = int(fields[0]), int(fields[1])
    if chromosome not in lengths_bp:
        near = get_close_matches(chromosome, lengths_bp, 3, 0.0)
        raise ValueError(
            f"{where} is on {chromosome!r}, expected a chromosome of the genome, such as "
            f"{', '.join(near)}"
        )
    if not start < end <= lengths_bp[chromosome]:
        raise ValueError(
            f"{where} is {start} to {end}, expected a start before an end, both on {chromosome}, "
            f"which has {lengths_bp[chromosome]} bases"
        )
    return Run(chromosome, start // BIN_SIZE_BP, -(-end // BIN_SIZE_BP))


def _joined(runs: Iterable[Run]) -> Iterator[Run]:
    """Runs in order that overlap or touch, as one."""
    last: Run | None = None
    for run in runs:
        if last and run.chromosome == last.chromosome and run.first_bin <= last.end_bin:
            last = last._replace(end_bin=max(last.end_bin, run.end_bin))
            continue
        if last:
            yield last
        last = run
    if last:
        yield last


def windows(
    runs: Iterable[Run], *, target_length: int, step_bins: int, overlaps: str
) -> Iterator[Window]:
    """The windows that predict all bins of the runs, in their order.

    A run has windows of its own, at equal steps and with as much to spare on its left as on its
    right; so what is predicted for a run does not depend on the other runs.

    Args:
        runs: From `read_regions`.
        target_length: Bins that a window predicts.
        step_bins: From one window's start to the next's.
        overlaps: One of `OVERLAPS`.

    Raises:
        ValueError: If the step is not 1 to `target_length`, or there is no such choice.
    """
    expect_one_of("overlaps", overlaps, OVERLAPS)
    expect_integer("step_bins", step_bins, 1)
    if step_bins > target_length:
        raise ValueError(
            f"step_bins={step_bins}, expected at most the {target_length} bins that a window "
            "predicts, or some would be in none"
        )
    for run in runs:
        yield from _windows_of(run, target_length, step_bins, overlaps == "tiled")


def num_windows(runs: Sequence[Run], *, target_length: int, step_bins: int) -> int:
    """How many `windows` gives."""
    return sum(_num_windows_of(run, target_length, step_bins) for run in runs)


def _num_windows_of(run: Run, target_length: int, step_bins: int) -> int:
    further = max(run.end_bin - run.first_bin - target_length, 0)
    return 1 + -(-further // step_bins)


def _windows_of(run: Run, target_length: int, step_bins: int, is_tiled: bool) -> Iterator[Window]:
    count = _num_windows_of(run, target_length, step_bins)
    spare = target_length + (count - 1) * step_bins - (run.end_bin - run.first_bin)
    first_of_run = run.first_bin - spare // 2
    margin = (target_length - step_bins) // 2 if is_tiled else 0
    for number in range(count):
        first = first_of_run + number * step_bins
        kept_from = first + margin if number else run.first_bin
        kept_to = first + target_length
        if is_tiled and number < count - 1:
            kept_to = first + step_bins + margin
        kept_from, kept_to = max(kept_from, run.first_bin), min(kept_to, run.end_bin)
        yield Window(run.chromosome, first, kept_from, kept_to)
