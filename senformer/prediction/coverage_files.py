"""Predicted coverage in the files that genome browsers and tables read: bigWig, Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pybigtools

from senformer.config import BIN_SIZE_BP
from senformer.prediction.parts import Segment
from senformer.storage import atomic_files

METADATA_KEY = b"senformer"
"""Under which a Parquet file keeps what it was made of, as JSON."""

_MOST_VALUES_IN_A_GROUP = 2**25
_MOST_ROWS_IN_A_GROUP = 2**17


def write_bigwig(path: Path, segments: Iterable[Segment], lengths_bp: Mapping[str, int]) -> None:
    """Write one track as a bigWig, an interval for each bin, whole or not at all.

    Args:
        path: The file.
        segments: Of one track, in the order of chromosomes' names and of their places.
        lengths_bp: Of the genome's chromosomes; a last bin that is cut by an end ends there.

    Raises:
        OSError: If it cannot be written.
    """
    failures: list[BaseException] = []
    num_bases = 0

    def intervals() -> Iterator[tuple[str, int, int, float]]:
        nonlocal num_bases
        try:
            for interval in _intervals(segments, lengths_bp):
                num_bases += interval[2] - interval[1]
                yield interval
        except GeneratorExit:  # the library cannot write, and says so itself
            raise
        except BaseException as error:  # the library would print it, and write what it has
            failures.append(error)

    with atomic_files.replace_file(path) as unfinished:
        try:
            pybigtools.open(str(unfinished), "w").write(dict(lengths_bp), intervals())
            written = pybigtools.open(str(unfinished)).info()["summary"]["basesCovered"]
        except (
            BaseException
        ) as error:  # what the library says where it cannot write is no Exception
            failures.append(OSError(" ".join(str(error).split())))
            written = 0
        if failures:
            raise failures[0]
        if written != num_bases:
            raise OSError(f"it holds {written} bases, expected {num_bases}")


def _intervals(
    segments: Iterable[Segment], lengths_bp: Mapping[str, int]
) -> Iterator[tuple[str, int, int, float]]:
    for segment in segments:
        length_bp = lengths_bp[segment.chromosome]
        start = segment.first_bin * BIN_SIZE_BP
        for value in segment.values[0].tolist():
            yield segment.chromosome, start, min(start + BIN_SIZE_BP, length_bp), value
            start += BIN_SIZE_BP


def write_parquet(
    path: Path,
    segments: Iterable[Segment],
    lengths_bp: Mapping[str, int],
    names: Sequence[str],
    description: Mapping[str, Any],
) -> None:
    """Write all tracks as one Parquet file, a row for each bin, whole or not at all.

    Args:
        path: The file. Columns: `chrom`, `start`, `end`, and one for each track.
        segments: Of all tracks, in order.
        lengths_bp: As for `write_bigwig`.
        names: Of the tracks' columns.
        description: What is kept beside them.

    Raises:
        OSError: If it cannot be written.
    """
    schema = pa.schema(
        [
            ("chrom", pa.dictionary(pa.int32(), pa.string())),
            ("start", pa.int64()),
            ("end", pa.int64()),
            *((name, pa.float32()) for name in names),
        ],
        metadata={METADATA_KEY: json.dumps(description).encode()},
    )
    most_rows = min(_MOST_ROWS_IN_A_GROUP, max(_MOST_VALUES_IN_A_GROUP // len(names), 1))
    with (
        atomic_files.replace_file(path) as unfinished,
        pq.ParquetWriter(unfinished, schema) as writer,
    ):
        for group in _groups(segments, most_rows):
            writer.write_table(_table(group, lengths_bp, schema))


def _groups(segments: Iterable[Segment], most_rows: int) -> Iterator[list[Segment]]:
    """Segments that together have so many bins, or little more."""
    group: list[Segment] = []
    num_rows = 0
    for segment in segments:
        group.append(segment)
        num_rows += segment.values.shape[1]
        if num_rows >= most_rows:
            yield group
            group, num_rows = [], 0
    if group:
        yield group


def _table(
    segments: Sequence[Segment], lengths_bp: Mapping[str, int], schema: pa.Schema
) -> pa.Table:
    lengths = [segment.values.shape[1] for segment in segments]
    bins = [segment.first_bin + np.arange(n) for segment, n in zip(segments, lengths, strict=True)]
    start = np.concatenate(bins) * BIN_SIZE_BP
    chromosomes = np.repeat([segment.chromosome for segment in segments], lengths)
    chromosome_end = np.repeat([lengths_bp[segment.chromosome] for segment in segments], lengths)
    values = np.concatenate([segment.values for segment in segments], axis=1)
    columns: list[Any] = [
        pa.array(chromosomes).dictionary_encode(),
        pa.array(start),
        pa.array(np.minimum(start + BIN_SIZE_BP, chromosome_end)),
        *map(pa.array, values),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
