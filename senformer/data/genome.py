"""Read reference genomes: from FASTA to one-hot arrays."""

from __future__ import annotations

import os
import re
import struct
import tempfile
import zlib
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyfaidx
from Bio import bgzf
from numpy.typing import NDArray

from senformer.storage import atomic_files

UNKNOWN_BASE = 4
"""Base index of an N. A, C, G and T have 0 to 3."""

_NO_NUCLEOTIDE = 255
_BASE_OF_BYTE = np.full(256, _NO_NUCLEOTIDE, np.uint8)
_BASE_OF_BYTE[list(b"RYSWKMBDHVNryswkmbdhvn-.*")] = UNKNOWN_BASE
for _base, _letters_of_base in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    _BASE_OF_BYTE[list(_letters_of_base)] = _base
"""Base index of each letter. Source: IUPAC-IUB 1984 (NC-IUB)."""

_ROW_OF_BASE = np.eye(5, 4, dtype=np.float32)

_READ_ERRORS = (
    *(ValueError, RuntimeError, EOFError, ArithmeticError, zlib.error, struct.error),
    *(pyfaidx.FastaIndexingError, pyfaidx.FetchError, pyfaidx.UnsupportedCompressionFormat),
)
"""What pyfaidx and Biopython raise if a FASTA or its index is damaged."""

_HEADER = re.compile(rb"\s(?:\s|;[^\n]*\n)*>(\S+)[^\n]*\n")  # after blank lines and comments
_MAX_READ_BYTES = 2**16  # of a header and the blank lines before it
_CHUNK_BYTES = 2**20
_BLOCK_MAGIC = b"\x1f\x8b\x08\x04"  # of bgzip
_COMPRESSIONS = {
    **{b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"PK": "zip"},
    **{b"\xfd7": "xz", b"\x28\xb5": "zstd"},
}
"""Names of compressions that allow no access to a place in the file, by their first two bytes."""

_UNEVEN_SEQUENCE = re.compile(r"found in >(\S+) at|at entry (.+?)Please report")
"""Finds the sequence in pyfaidx's messages about lines of different lengths."""


def fetch_one_hot(
    fasta: str | Path | pyfaidx.Fasta, chromosome: str, start: int, end: int
) -> np.ndarray:
    """Fetch the one-hot DNA of an interval, for instance a record's flanking sequence.

    Args:
        fasta: A path, or the result of `open_fasta`, which is faster for many intervals.
        chromosome: The chromosome's name in the FASTA.
        start: First base, counted from 0. May lie before the chromosome's start.
        end: One past the last base. May lie beyond the chromosome's end.

    Returns:
        `[end - start, 4]` float32, columns A, C, G, T; zeros for N and outside the chromosome.

    Raises:
        FileNotFoundError: If the FASTA does not exist.
        ValueError: If the FASTA lacks the chromosome or is damaged, or `end` is less than `start`.
    """
    if not isinstance(fasta, pyfaidx.Fasta):
        with open_fasta(fasta) as opened:
            return fetch_one_hot(opened, chromosome, start, end)
    return _ROW_OF_BASE[fetch_base_indices(fasta, chromosome, start, end)]


def fetch_base_indices(
    fasta: pyfaidx.Fasta, chromosome: str, start: int, end: int
) -> NDArray[np.uint8]:
    """Fetch base indices `[end - start]`, as `fetch_one_hot`; to compare or to store them.

    Raises:
        ValueError: As `fetch_one_hot`.
    """
    if end < start:
        raise ValueError(f"interval {chromosome}:{start}-{end} ends before it starts")
    require_chromosomes(fasta, [chromosome])
    bases = np.full(end - start, UNKNOWN_BASE, np.uint8)
    first, last = max(start, 0), min(end, len(fasta[chromosome]))
    if first >= last:
        return bases
    try:
        # pyfaidx counts from 1 and includes the end.
        letters = fasta.get_seq(chromosome, first + 1, last).seq
        if len(letters) != last - first:
            raise ValueError(f"it has {len(letters)} bases, expected {last - first}")
        bases[first - start : last - start] = _to_base_indices(letters)
    except _READ_ERRORS as error:
        place = f"{fasta.filename}: {chromosome}:{first}-{last}"
        raise ValueError(f"{place} cannot be read ({_describe(error)})") from None
    return bases


def one_hot(sequence: str | bytes) -> np.ndarray:
    """Encode DNA or RNA as one-hot, for a model's input.

    Args:
        sequence: Letters of either case. U counts as T. N and the codes for sets of nucleotides,
            such as R, become zeros.

    Returns:
        `[length, 4]` float32, columns A, C, G, T.

    Raises:
        TypeError: If the sequence is no string and no bytes.
        ValueError: If a character is no letter of IUPAC's nucleotides; the message names its place.

    Source: Avsec et al. 2021, Methods ("Model architecture": A, C, G, T; N as zeros).
    """
    if not isinstance(sequence, str | bytes):
        raise TypeError(f"sequence is {type(sequence).__name__}, expected string or bytes")
    return _ROW_OF_BASE[_to_base_indices(sequence)]


def _to_base_indices(sequence: str | bytes) -> NDArray[np.uint8]:
    encoded = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    bases = _BASE_OF_BYTE[np.frombuffer(encoded, np.uint8)]
    is_unknown = bases == _NO_NUCLEOTIDE
    if is_unknown.any():
        place = int(is_unknown.argmax())
        raise ValueError(
            f"sequence contains {sequence[place : place + 1]!r} at {place}, expected letters of "
            "nucleotides"
        )
    return bases


def open_fasta(path: str | Path) -> pyfaidx.Fasta:
    """Open a FASTA for random access; open it once and pass it to `fetch_one_hot`.

    pyfaidx writes the index next to the FASTA if it is missing or older than the FASTA. If the
    folder is read-only, the index is written to a temporary folder that lasts as long as the
    process. A FASTA that is refused gets no index.

    Args:
        path: A FASTA, plain or compressed by `bgzip`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not a FASTA, or the index does not match it; the message names
            the file.

    Source: https://github.com/mdshw5/pyfaidx.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such FASTA")
    endings = (".fai", ".gzi") if _is_compressed(path) else (".fai",)
    indices = [f"{path}{ending}" for ending in endings]
    if not _is_current(path, indices) and not os.access(path.parent, os.W_OK):
        folder = _temporary_folder(path).name
        indices = [f"{folder}/{path.name}{ending}" for ending in endings]
    if not _is_current(path, indices):
        _build_index(path, indices)
    try:
        return _open_indexed(path, indices)
    except (*_READ_ERRORS, OSError) as error:
        if not _is_damage(error):
            raise
        raise ValueError(
            f"{' and '.join(indices)}: not the index of {path} ({_describe(error)}); delete it, "
            "and it is rebuilt"
        ) from None


def require_chromosomes(fasta: pyfaidx.Fasta, chromosomes: Iterable[str]) -> None:
    """Check that a FASTA has every chromosome that later work needs.

    Raises:
        ValueError: If a chromosome is missing; the message names the file, the chromosome and
            some chromosomes of the file.
    """
    known = fasta.keys()
    for chromosome in chromosomes:
        if chromosome not in known:
            some = ", ".join(list(known)[:3]) + (", ..." if len(known) > 3 else "")
            raise ValueError(f"{fasta.filename}: no chromosome {chromosome!r} (it has {some})")


# ---------------------------------------------------------------------------------------- the file


def _is_compressed(path: Path) -> bool:
    """Return whether a FASTA is compressed by bgzip, as its name says.

    Raises:
        ValueError: If it is compressed otherwise, or its name says otherwise.
    """
    with path.open("rb") as file:
        start = file.read(len(_BLOCK_MAGIC))
    ending = path.suffix if path.suffix.lower() in (".gz", ".bgz") else ""
    if start == _BLOCK_MAGIC and ending:
        return True
    if start == _BLOCK_MAGIC:
        raise ValueError(f"{path}: compressed by bgzip, expected a name that ends with .gz")
    if start[:2] in _COMPRESSIONS:
        raise ValueError(
            f"{path}: compressed by {_COMPRESSIONS[start[:2]]}, expected a FASTA that is plain or "
            "compressed by bgzip; decompress it"
        )
    if ending:
        raise ValueError(f"{path}: not compressed by bgzip, expected a name without {ending}")
    return False


def _expect_line_feeds(path: Path, *, is_compressed: bool) -> None:
    """Check that no line ends with a carriage return alone, which pyfaidx takes for a base."""
    with bgzf.open(str(path)) if is_compressed else path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if chunk.endswith(b"\r"):
                chunk += file.read(1)
            if chunk.count(b"\r") > chunk.count(b"\r\n"):
                raise ValueError(
                    "lines end with carriage returns alone, expected line feeds; convert them, for "
                    "instance with tr '\\r' '\\n'"
                )


def _is_damage(error: BaseException) -> bool:
    """Return whether an error is about the contents of a file, not about its access."""
    return (isinstance(error, OSError) and not error.errno) or isinstance(error, _READ_ERRORS)


def _describe(error: BaseException) -> str:
    """Describe an error of pyfaidx or Biopython in one line."""
    reason = " ".join(str(error).split())
    uneven = _UNEVEN_SEQUENCE.search(reason)
    if uneven:
        name = uneven[1] or uneven[2]
        return f"sequence {name!r} has empty lines or lines of different lengths"
    return reason


# --------------------------------------------------------------------------------------- the index


def _is_current(path: Path, indices: Iterable[str]) -> bool:
    """Return whether all indices exist and are not older than the FASTA."""
    modified_ns = path.stat().st_mtime_ns
    return all(
        Path(index).exists() and Path(index).stat().st_mtime_ns >= modified_ns for index in indices
    )


@cache
def _temporary_folder(path: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="senformer-index-")  # removed when the process ends


def _build_index(path: Path, indices: list[str]) -> None:
    """Let pyfaidx write the index of a FASTA; a FASTA that is refused gets none."""
    with atomic_files.lock(Path(indices[0])):
        try:
            _expect_line_feeds(path, is_compressed=len(indices) > 1)
            _open_indexed(path, indices).close()
        except BaseException as error:
            for index in indices:
                Path(index).unlink(missing_ok=True)
            cause = error.__context__
            if isinstance(error, OSError) and isinstance(cause, OSError):
                raise cause from None  # pyfaidx replaces it by one without a reason
            if not _is_damage(error):
                raise
            reason = _describe(error)
            raise ValueError(f"{path}: not a plain or bgzipped FASTA ({reason})") from None


def _open_indexed(path: Path, indices: list[str]) -> pyfaidx.Fasta:
    """Open a FASTA, and check that each sequence of the index follows a header with its name."""
    fasta = pyfaidx.Fasta(str(path), indexname=indices[0], gzi_indexname=indices[-1])
    try:
        _check_index(fasta.faidx)
    except _READ_ERRORS:
        fasta.close()
        raise
    return fasta


def _check_index(faidx: pyfaidx.Faidx) -> None:
    """Check that each sequence follows a header with its name and extends to the next header."""
    if isinstance(faidx.file, bgzf.BgzfReader):
        _check_block_index(faidx)
    previous_end, has_line_break = 0, True
    for name, entry in sorted(faidx.index.items(), key=lambda item: item[1].offset):
        gap = _read_bytes(faidx, previous_end, entry.offset)
        header = _HEADER.fullmatch(b"\n" + gap if has_line_break else gap)
        if not header or header[1] != name.encode() or not _has_lines_of(faidx, entry):
            raise ValueError(f"the header or the lines of sequence {name!r} are elsewhere")
        previous_end, has_line_break = _end_of_bases(entry), not entry.rlen
    if _read_bytes(faidx, previous_end, previous_end + _MAX_READ_BYTES).strip():
        raise ValueError("more sequence follows the last one of the index")


def _has_lines_of(faidx: pyfaidx.Faidx, entry: pyfaidx.IndexRecord) -> bool:
    """Tell whether the first line and the last base of a sequence are where its entry says."""
    if not entry.rlen:
        return True
    end = _end_of_bases(entry)
    last_base = _read_bytes(faidx, end - 1, end)
    has_one_line = entry.rlen <= entry.lenc
    line_break = (
        b""
        if has_one_line
        else _read_bytes(faidx, entry.offset + entry.lenc, entry.offset + entry.lenb)
    )
    return bool(last_base.strip()) and not line_break.strip()


def _end_of_bases(entry: pyfaidx.IndexRecord) -> int:
    """Return the place after the last base's byte."""
    num_breaks = (entry.rlen - 1) // entry.lenc if entry.rlen else 0
    end: int = entry.offset + entry.rlen + num_breaks * (entry.lenb - entry.lenc)
    return end


def _check_block_index(faidx: pyfaidx.Faidx) -> None:
    """Check the places of a compressed FASTA's blocks by the sizes that end the blocks."""
    path = Path(faidx.filename)
    num_file_bytes = path.stat().st_size
    with path.open("rb") as file:
        for block, following in pairwise(faidx.gzi_index):
            file.seek(min(max(following.cstart - 4, 0), num_file_bytes))
            num_bytes, magic = int.from_bytes(file.read(4), "little"), file.read(4)
            if num_bytes != following.ustart - block.ustart or magic != _BLOCK_MAGIC:
                raise ValueError(f"no block at byte {following.cstart}")


def _read_bytes(faidx: pyfaidx.Faidx, start: int, end: int) -> bytes:
    """Read some uncompressed bytes of a FASTA."""
    if not 0 <= start < end <= start + _MAX_READ_BYTES:
        raise ValueError(f"no header or line between bytes {start} and {end}")
    place = start
    if isinstance(faidx.file, bgzf.BgzfReader):
        block = faidx.gzi_index[bisect_left(faidx.gzi_index, start + 1) - 1]
        place = bgzf.make_virtual_offset(block.cstart, start - block.ustart)
    faidx.file.seek(place)
    found: bytes = faidx.file.read(end - start)
    return found
