"""Store arrays in a safetensors file with a checksum of all its other bytes.

The checksum is compared before anything else of a file is read: names, shapes, texts or numbers. So
any changed byte is found.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from senformer.storage import atomic_files

_CHECKSUM = "sha256"
_NO_CHECKSUM = "0" * 64  # replaces the checksum while it is computed
_STORED_CHECKSUM = re.compile(rb'"%s":"([0-9a-f]{64})"' % _CHECKSUM.encode())
_BYTES_OF_LENGTH = 8  # a safetensors file begins with the length of its header
_MAX_HEADER_BYTES = 100_000_000  # safetensors' limit; a damaged length may be larger
_CHUNK_BYTES = 2**20
_SHOWN_DIGITS = 12  # of a checksum in a message


@dataclass(frozen=True)
class CheckedArrays:
    """An open file whose checksum is correct.

    Attributes:
        metadata: The texts that were written with the arrays.
        names: Names of all arrays.
    """

    metadata: Mapping[str, str]
    names: frozenset[str]
    _file: safe_open

    def read(self, name: str) -> np.ndarray:
        """Read an array."""
        return self._file.get_tensor(name)


def write(path: str | Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays and texts to a file, completely or not at all.

    Args:
        path: The file; its folder is created.
        arrays: Arrays by name.
        metadata: Texts by name.

    Raises:
        OSError: If the disk has too little room, or the file cannot be written; an earlier file
            stays.
    """
    path = Path(path)
    atomic_files.check_free_space(path, sum(array.nbytes for array in arrays.values()))
    with atomic_files.replace_file(path) as unfinished:
        try:
            save_file(
                {name: np.asarray(array, order="C") for name, array in arrays.items()},
                unfinished,
                metadata={**metadata, _CHECKSUM: _NO_CHECKSUM},
            )
        except SafetensorError as error:  # its text contains the system's error
            raise OSError(str(error)) from error
        _, place, computed = _read_checksums(unfinished)
        with unfinished.open("r+b") as file:
            file.seek(place)
            file.write(computed.encode())


@contextlib.contextmanager
def open_arrays(path: str | Path) -> Iterator[CheckedArrays]:
    """Open a file of `write`, once its checksum is correct.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged, or not of `write`; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, expected a file of checked arrays")
    stored, _, computed = _read_checksums(path)
    if stored is None:
        raise ValueError(f"{path}: no checksum in its header, expected one of all its other bytes")
    if stored != computed:
        raise ValueError(
            f"{path}: damaged, its checksum is {computed[:_SHOWN_DIGITS]}..., expected "
            f"{stored[:_SHOWN_DIGITS]}... as written"
        )
    with safe_open(str(path), "np") as file:
        yield CheckedArrays(file.metadata(), frozenset(file.keys()), file)


def _read_checksums(path: Path) -> tuple[str | None, int, str]:
    """Return the stored checksum (None if missing), its place, and the computed checksum."""
    with path.open("rb") as file:
        length = file.read(_BYTES_OF_LENGTH)
        num_header_bytes = min(int.from_bytes(length, "little"), _MAX_HEADER_BYTES)
        header = length + file.read(num_header_bytes)
        found = _STORED_CHECKSUM.search(header)
        if found is None:
            return None, 0, ""
        digest = hashlib.sha256(header[: found.start(1)] + _NO_CHECKSUM.encode())
        digest.update(header[found.end(1) :])
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return found[1].decode(), found.start(1), digest.hexdigest()
