"""Arrays in one safetensors file that holds the checksum of all its other bytes.

Nothing of a file is read before it was compared with its checksum: neither the names and shapes,
nor the texts beside the arrays, nor the numbers. So a byte that changed, wherever it lies, is seen.
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
_NO_CHECKSUM = "0" * 64  # stands where the checksum will, and is what it is computed over
_STORED_CHECKSUM = re.compile(rb'"%s":"([0-9a-f]{64})"' % _CHECKSUM.encode())
_BYTES_OF_LENGTH = 8  # a safetensors file begins with the length of its header
_MOST_HEADER_BYTES = 100_000_000  # that safetensors allows; a damaged length may say anything
_CHUNK_BYTES = 2**20
_SHOWN = 12  # digits of a checksum in a message


@dataclass(frozen=True)
class CheckedArrays:
    """An open file, found whole.

    Attributes:
        metadata: The texts that were written with the arrays.
        names: Of all arrays.
    """

    metadata: Mapping[str, str]
    names: frozenset[str]
    _file: safe_open

    def read(self, name: str) -> np.ndarray:
        """The array of a name."""
        return self._file.get_tensor(name)


def write(path: str | Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays and texts to a file, whole or not at all.

    Args:
        path: The file; its folder is made.
        arrays: By name.
        metadata: Texts to keep with them.

    Raises:
        OSError: If there is no room for it, or it cannot be written; what was there is there still.
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
        except SafetensorError as error:  # what the system said lies within its text
            raise OSError(str(error)) from error
        _store_checksum(unfinished)


@contextlib.contextmanager
def open_arrays(path: str | Path) -> Iterator[CheckedArrays]:
    """A file of `write` while it is open, once it is found whole.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or no file of `write`; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, expected a file of checked arrays")
    stored, computed = _checksums(path)
    if stored is None:
        raise ValueError(f"{path}: no checksum in its header, expected one of all its other bytes")
    if stored != computed:
        raise ValueError(
            f"{path}: damaged, its checksum is {computed[:_SHOWN]}..., expected the "
            f"{stored[:_SHOWN]}... that it was written with"
        )
    with safe_open(str(path), "np") as file:
        yield CheckedArrays(file.metadata(), frozenset(file.keys()), file)


def _store_checksum(path: Path) -> None:
    _, computed = _checksums(path)
    with path.open("r+b") as file:
        found = _STORED_CHECKSUM.search(_header(path))
        assert found, "it was given to save_file"
        file.seek(found.start(1))
        file.write(computed.encode())


def _checksums(path: Path) -> tuple[str | None, str]:
    """The checksum that a file holds, none if there is none, and the one that it has."""
    header = _header(path)
    found = _STORED_CHECKSUM.search(header)
    if found is None:
        return None, ""
    digest = hashlib.sha256(header[: found.start(1)] + _NO_CHECKSUM.encode())
    digest.update(header[found.end(1) :])
    with path.open("rb") as file:
        file.seek(len(header))
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return found[1].decode(), digest.hexdigest()


def _header(path: Path) -> bytes:
    """A file's beginning: the header's length, and the header, as far as it goes."""
    with path.open("rb") as file:
        length = file.read(_BYTES_OF_LENGTH)
        return length + file.read(min(int.from_bytes(length, "little"), _MOST_HEADER_BYTES))
