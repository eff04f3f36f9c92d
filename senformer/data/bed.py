"""Read the lines and the coordinates of BED files."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator
from pathlib import Path

from senformer.storage.text_files import read_text

MAX_COORDINATE_BP = 2**31 - 1
"""Largest coordinate of a FASTA index and of bigWig."""

_INTEGER = re.compile(r"[0-9]{1,12}")


def read_lines(path: Path, expected: str) -> Iterator[tuple[str, list[str]]]:
    """Read the lines of a BED file, plain or compressed by gzip, that are not blank.

    Args:
        path: The file.
        expected: Description of the expected content, for the message.

    Yields:
        The place of a line, for messages, and its fields, which tabs separate.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not text.
    """
    for number, line in enumerate(read_text(path, expected).split("\n"), 1):
        if line.strip():
            yield f"{path}: line {number}", line.split("\t")


def parse_interval(fields: list[str], where: str) -> tuple[str, int, int]:
    """Parse the first three fields of a line: chromosome, start (from 0) and end (not included).

    Args:
        fields: Fields from `read_lines`.
        where: The line's place.

    Raises:
        ValueError: If a field is missing, start or end is no integer, or the start is not before
            the end.
    """
    if len(fields) < 3:
        raise ValueError(
            f"{where} is {reprlib.repr(' '.join(fields))}, expected chromosome, start and end, "
            "separated by tabs"
        )
    chromosome, *bounds = fields[:3]
    for text in bounds:
        if not _INTEGER.fullmatch(text.strip()):
            raise ValueError(
                f"{where} has {reprlib.repr(text)}, expected start and end as integers of at least "
                f"0 and at most {MAX_COORDINATE_BP}"
            )
    start, end = map(int, bounds)
    if not start < end <= MAX_COORDINATE_BP:
        raise ValueError(
            f"{where} is {start} to {end}, expected a start before an end of at most "
            f"{MAX_COORDINATE_BP}"
        )
    return chromosome, start, end
