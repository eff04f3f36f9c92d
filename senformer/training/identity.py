"""Digests that identify a run: of its records by their contents, of its model by its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from senformer.data import records
from senformer.data.record_folders import TARGETS_FILE, RecordFolder, intervals_file
from senformer.storage.checksums import checksum_values

_READ_WHOLE_BYTES = 16 * 2**20
_SAMPLES = 16  # of a larger file, evenly spaced, first and last bytes included
_SAMPLE_BYTES = 64 * 2**10
_DIGITS = 16  # 64 bits


def digest_records(folder: RecordFolder) -> str:
    """Compute a digest of an organism's tables, records and genome, wherever the folder is.

    A file of up to 16 MiB counts by its contents. A larger one counts by its size, its modification
    time and 16 samples of 64 KiB, because reading all of Basenji2 would take minutes. A file that
    is replaced in place has another time; a bit flip outside of the samples is found by the
    checksums of TFRecord and ZLIB when the record is read.

    Args:
        folder: The records, from `record_folders.open_folders`.
    """
    files = [folder.path / name for name in (TARGETS_FILE, "statistics.json")]
    files.append(intervals_file(folder.path))
    for split in folder.splits:
        files += records.find_files(folder.path, split)
    files += [folder.genome] if folder.genome.is_file() else []
    digests = {str(file.relative_to(folder.path)): _digest_file(file) for file in files}
    return digest_values({"organism": folder.organism, "files": digests})


def digest_file(path: Path) -> str:
    """Compute a digest of a file, wherever it is; large files count as in `digest_records`."""
    return _digest_file(path)[:_DIGITS]


def digest_arrays(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """Compute a digest of named arrays in their order, such as `checkpoints.named_arrays`."""
    digest = hashlib.sha256()
    for name, array in arrays:
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:_DIGITS]


def digest_values(values: Mapping[str, Any]) -> str:
    """Compute a digest of plain values by name, in any order."""
    return checksum_values(values)[:_DIGITS]


def _digest_file(file: Path) -> str:
    return _digest_file_state(file, file.stat().st_size, file.stat().st_mtime_ns)


@cache
def _digest_file_state(file: Path, num_bytes: int, modified_ns: int) -> str:
    digest = hashlib.sha256()
    if num_bytes <= _READ_WHOLE_BYTES:
        digest.update(file.read_bytes())
    else:
        digest.update(f"{num_bytes} {modified_ns}".encode())
        with file.open("rb") as opened:
            for start in np.linspace(0, num_bytes - _SAMPLE_BYTES, _SAMPLES, dtype=np.int64):
                opened.seek(int(start))
                digest.update(opened.read(_SAMPLE_BYTES))
    return digest.hexdigest()
