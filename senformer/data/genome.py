"""Read reference genomes: from FASTA to one-hot arrays."""

from __future__ import annotations

import contextlib
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

from senformer.storage import atomic_files

_ROW_OF_BYTE = np.zeros((256, 4), np.float32)
for _column, _letters_of_base in enumerate((b"Aa", b"Cc", b"Gg", b"Tt")):
    _ROW_OF_BYTE[list(_letters_of_base), _column] = 1.0

_NUCLEOTIDES = frozenset("ACGTURYSWKMBDHVNacgturyswkmbdhvn-.*")
"""The letters of nucleotides and of sets of nucleotides. Source: IUPAC-IUB 1984 (NC-IUB)."""

_READ_ERRORS = (
    *(ValueError, RuntimeError, EOFError, ArithmeticError, zlib.error, struct.error),
    *(pyfaidx.FastaIndexingError, pyfaidx.FetchError, pyfaidx.UnsupportedCompressionFormat),
)
"""What pyfaidx and Biopython raise if a FASTA or its index is damaged."""

_HEADER = re.compile(rb"\s(?:\s|;[^\n]*\n)*>(\S+)[^\n]*\n")  # after blank lines and comments
_MAX_READ_BYTES = 2**16  # of a header and the blank lines before it
_BLOCK_MAGIC = b"\x1f\x8b\x08\x04"


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
    if end < start:
        raise ValueError(f"interval {chromosome}:{start}-{end} ends before it starts")
    require_chromosomes(fasta, [chromosome])
    encoded = np.zeros((end - start, 4), np.float32)
    first, last = max(start, 0), min(end, len(fasta[chromosome]))
    if first < last:
        letters = _read_letters(fasta, chromosome, first, last)
        encoded[first - start : last - start] = one_hot(letters)
    return encoded


def one_hot(sequence: str | bytes) -> np.ndarray:
    """Encode DNA as one-hot, for a model's input.

    Args:
        sequence: Letters of either case. All letters but A, C, G and T, such as N, become zeros.

    Returns:
        `[length, 4]` float32, columns A, C, G, T.

    Raises:
        UnicodeEncodeError: If a letter is not ASCII.

    Source: Avsec et al. 2021, Methods ("Model architecture": A, C, G, T; N as zeros).
    """
    if isinstance(sequence, str):
        sequence = sequence.encode("ascii")
    return _ROW_OF_BYTE[np.frombuffer(sequence, np.uint8)]


def open_fasta(path: str | Path) -> pyfaidx.Fasta:
    """Open a FASTA for random access; open it once and pass it to `fetch_one_hot`.

    pyfaidx writes the index next to the FASTA if it is missing or older than the FASTA. If the
    folder is read-only, the index is written to a temporary folder that lasts as long as the
    process.

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
    try:
        fasta = _open_indexed(path)
    except (*_READ_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: not a plain or bgzipped FASTA ({reason})") from None
    _check_index(fasta)
    return fasta


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


def _read_letters(fasta: pyfaidx.Fasta, chromosome: str, first: int, last: int) -> str:
    """Read the bases of an interval within a chromosome."""
    where = f"{fasta.filename}: {chromosome}:{first}-{last}"
    try:
        # pyfaidx counts from 1 and includes the end.
        letters: str = fasta.get_seq(chromosome, first + 1, last).seq
    except _READ_ERRORS as error:
        raise ValueError(f"{where} cannot be read ({' '.join(str(error).split())})") from None
    unknown = set(letters) - _NUCLEOTIDES
    if unknown:
        raise ValueError(f"{where} contains {min(unknown)!r}, expected letters of nucleotides")
    if len(letters) != last - first:
        raise ValueError(f"{where} contains {len(letters)} bases, expected {last - first}")
    return letters


# --------------------------------------------------------------------------------------- the index


def _open_indexed(path: Path) -> pyfaidx.Fasta:
    """Open a FASTA with its index, which pyfaidx writes if it is missing or older."""
    endings = (".fai", ".gzi") if path.suffix.lower() in (".gz", ".bgz") else (".fai",)
    indices = [Path(f"{path}{ending}") for ending in endings]
    modified_ns = path.stat().st_mtime_ns
    is_current = all(i.exists() and i.stat().st_mtime_ns >= modified_ns for i in indices)
    prefix = path
    if not is_current and not os.access(path.parent, os.W_OK):
        prefix = Path(_temporary_folder(path).name) / path.name
    fai = f"{prefix}.fai"
    with contextlib.nullcontext() if is_current else atomic_files.lock(Path(fai)):
        return pyfaidx.Fasta(str(path), indexname=fai, gzi_indexname=f"{prefix}.gzi")


@cache
def _temporary_folder(path: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="senformer-index-")  # removed when the process ends


def _check_index(fasta: pyfaidx.Fasta) -> None:
    """Check that each sequence follows a header with its name and extends to the next header."""
    faidx = fasta.faidx
    if isinstance(faidx.file, bgzf.BgzfReader):
        _check_block_index(faidx)
    previous_end = 0
    try:
        for name, entry in sorted(faidx.index.items(), key=lambda item: item[1].offset):
            gap = _read_bytes(faidx, previous_end, entry.offset)
            header = _HEADER.fullmatch(gap if previous_end else b"\n" + gap)
            if not header or header[1] != name.encode() or not _has_lines_of(faidx, entry):
                raise ValueError(f"sequence {name!r} is at another place")
            previous_end = _end_of_bases(entry)
        if _read_bytes(faidx, previous_end, previous_end + _MAX_READ_BYTES).strip():
            raise ValueError("more sequence follows the last one of the index")
    except _READ_ERRORS as error:
        fasta.close()
        raise ValueError(
            f"{faidx.indexname}: not an index of {faidx.filename} ({error}); delete it, and it is "
            "rebuilt"
        ) from None


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
                raise ValueError(
                    f"{faidx.gzi_indexname}: not an index of {faidx.filename} (no block at byte "
                    f"{following.cstart}); delete it, and it is rebuilt"
                )


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
