"""What a run is of, as digests: its records by their contents, its model by its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from senformer.data import records
from senformer.data.record_folders import GENOME_FILE, RecordFolder

_READ_WHOLE_BYTES = 16 * 2**20
_SAMPLES = 16  # of a file that is larger, at even distances, first and last bytes among them
_SAMPLE_BYTES = 64 * 2**10
_DIGITS = 16  # 64 bits


def digest_of_records(folder: RecordFolder) -> str:
    """A digest of all that an organism's records are: tables, records, the genome beside them.

    Where the folder lies does not count, so a data set may move. A file of up to 16 MiB counts by
    its contents. A larger one counts by its size, its time of modification and 16 samples of
    64 KiB, which took 4 ms a file where its contents took 1.5 s a gigabyte: minutes for Basenji2,
    each time that it is asked. What replaces a file in place has another time; a bit that flips
    where no sample is taken is found by the checksums of TFRecord and ZLIB when it is read.

    Args:
        folder: From `record_folders.open_folders`.
    """
    files = [folder.path / name for name in ("targets.txt", "statistics.json", "sequences.bed")]
    for split in folder.splits:
        files += records.find_files(folder.path, split)
    files += [path for path in [folder.path / GENOME_FILE] if path.is_file()]
    described = {
        str(file.relative_to(folder.path)): _digest_of_file(
            file, file.stat().st_size, file.stat().st_mtime_ns
        )
        for file in files
    }
    return digest_of_values({"organism": folder.organism, "files": described})


def digest_of_file(path: Path) -> str:
    """A digest of a file, wherever it lies; of a large one as `digest_of_records` says."""
    return _digest_of_file(path, path.stat().st_size, path.stat().st_mtime_ns)[:_DIGITS]


def digest_of_arrays(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """A digest of named arrays in their order, such as those of `checkpoints.named_arrays`."""
    digest = hashlib.sha256()
    for name, array in arrays:
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:_DIGITS]


def digest_of_values(values: Mapping[str, Any]) -> str:
    """A digest of plain values, whatever the order of their names."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:_DIGITS]


@cache
def _digest_of_file(file: Path, num_bytes: int, modified_ns: int) -> str:
    digest = hashlib.sha256()
    is_sampled = num_bytes > _READ_WHOLE_BYTES
    if is_sampled:
        digest.update(f"{num_bytes} {modified_ns}".encode())
    for part in _samples(file, num_bytes) if is_sampled else [file.read_bytes()]:
        digest.update(part)
    return digest.hexdigest()


def _samples(file: Path, num_bytes: int) -> Iterator[bytes]:
    with file.open("rb") as opened:
        for start in np.linspace(0, num_bytes - _SAMPLE_BYTES, _SAMPLES, dtype=np.int64):
            opened.seek(int(start))
            yield opened.read(_SAMPLE_BYTES)
