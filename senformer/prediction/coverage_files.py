"""Write predicted coverage for genome browsers (bigWig) and for tables (Parquet)."""

from __future__ import annotations

import errno
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pybigtools
from numpy.typing import NDArray

from senformer.config import BIN_SIZE_BP
from senformer.storage import atomic_files

METADATA_KEY = b"senformer"
"""The key of a Parquet file's metadata that holds the description, as JSON."""

PLACE_COLUMNS = ("chrom", "start", "end")
"""The columns of a Parquet file before the columns of the tracks."""

_LONGEST_NAME_BYTES = 200  # file systems take 255, with what is added to a name
_BYTES_OF_MAGIC = 4  # a bigWig begins and ends with the same number
_MAX_VALUES_PER_GROUP = 2**25
_MAX_ROWS_PER_GROUP = 2**17


class Segment(NamedTuple):
    """Adjacent bins with their final values.

    Attributes:
        chromosome: Name of the chromosome.
        first_bin: First bin.
        values: `[tracks, bins]`.
    """

    chromosome: str
    first_bin: int
    values: NDArray[np.float32]


def name_tracks(identifiers: Sequence[str]) -> list[str]:
    """Name the file or column of each track of a table, so that no two tracks share one.

    The name is the identifier, with `_` for each character other than letters, digits and `_.+-`.
    If the identifier is too long, or not distinct in this form, also without regard to case, the
    track's position follows it.
    """
    safe = [re.sub(r"[^\w.+-]", "_", identifier) for identifier in identifiers]
    count = Counter([*map(_fold, safe), *PLACE_COLUMNS])
    names = []
    for position, name in enumerate(safe):
        if count[_fold(name)] > 1 or len(name.encode()) > _LONGEST_NAME_BYTES:
            name = f"{name[: _LONGEST_NAME_BYTES // 4]}.{position}"
            while _fold(name) in count:
                name += f".{position}"
        names.append(name)
    return names


def _fold(name: str) -> str:
    """Return what two names share if some file system takes one for the other."""
    return unicodedata.normalize("NFKC", name).casefold()


def write_bigwig(path: Path, segments: Iterable[Segment], lengths_bp: Mapping[str, int]) -> None:
    """Write one track as a bigWig with one interval per bin, completely or not at all.

    Args:
        path: The file.
        segments: Segments of one track, sorted by the chromosome's name and the first bin.
        lengths_bp: Length of each chromosome of the genome; the last bin ends with the chromosome.

    Raises:
        OSError: If the file cannot be written.
    """
    failures: list[BaseException] = []
    num_bases = 0

    def yield_intervals() -> Iterator[tuple[str, int, int, float]]:
        nonlocal num_bases
        try:
            for segment in segments:
                start = segment.first_bin * BIN_SIZE_BP
                for value in segment.values[0].tolist():
                    end = min(start + BIN_SIZE_BP, lengths_bp[segment.chromosome])
                    num_bases += end - start
                    yield segment.chromosome, start, end, value
                    start += BIN_SIZE_BP
        except GeneratorExit:  # the library stops because it cannot write; it reports the error
            raise
        except BaseException as error:  # the library prints it and writes an incomplete file
            failures.append(error)

    with atomic_files.replace_file(path) as unfinished:
        try:
            pybigtools.open(str(unfinished), "w").write(dict(lengths_bp), yield_intervals())
            num_written = pybigtools.open(str(unfinished)).info()["summary"]["basesCovered"]
        except BaseException as error:  # the library's write error does not derive from Exception
            num_free = shutil.disk_usage(unfinished.parent).free
            reason = f"{' '.join(str(error).split())} {num_free:,} bytes are free."
            failures.append(OSError(errno.EIO, reason))
            num_written = 0
        if failures:
            raise failures[0]
        if num_written != num_bases:
            raise OSError(errno.EIO, f"it holds {num_written} bases, expected {num_bases}")


def is_whole_bigwig(path: Path) -> bool:
    """Tell whether a file has both ends of a bigWig, as a truncated one has not.

    Source: Kent et al. 2010, supplementary table 5.
    """
    if not path.is_file() or path.stat().st_size <= 2 * _BYTES_OF_MAGIC:
        return False
    with path.open("rb") as file:
        first = file.read(_BYTES_OF_MAGIC)
        file.seek(-_BYTES_OF_MAGIC, 2)
        return first == file.read()


def write_parquet(
    path: Path,
    segments: Iterable[Segment],
    lengths_bp: Mapping[str, int],
    names: Sequence[str],
    description: str,
) -> None:
    """Write all tracks as one Parquet file with one row per bin, completely or not at all.

    Args:
        path: The file. Columns: `chrom`, `start`, `end`, and one per track.
        segments: Segments of all tracks, sorted by the chromosome's name and the first bin.
        lengths_bp: Length of each chromosome of the genome; the last bin ends with the chromosome.
        names: Names of the tracks' columns.
        description: Text that the file keeps as metadata.

    Raises:
        OSError: If the file cannot be written.
    """
    types = (pa.dictionary(pa.int32(), pa.string()), pa.int64(), pa.int64())
    schema = pa.schema(
        [
            *zip(PLACE_COLUMNS, types, strict=True),
            *((name, pa.float32()) for name in names),
        ],
        metadata={METADATA_KEY: description.encode()},
    )
    max_rows = min(_MAX_ROWS_PER_GROUP, max(_MAX_VALUES_PER_GROUP // len(names), 1))
    with (
        atomic_files.replace_file(path) as unfinished,
        pq.ParquetWriter(unfinished, schema) as writer,
    ):
        for group in _group_segments(segments, max_rows):
            writer.write_table(_to_table(group, lengths_bp, schema))


def _group_segments(segments: Iterable[Segment], max_rows: int) -> Iterator[list[Segment]]:
    """Yield groups of segments that reach `max_rows` bins with their last segment."""
    group: list[Segment] = []
    num_rows = 0
    for segment in segments:
        group.append(segment)
        num_rows += segment.values.shape[1]
        if num_rows >= max_rows:
            yield group
            group, num_rows = [], 0
    if group:
        yield group


def _to_table(
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
