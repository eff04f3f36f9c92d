"""The index of a FASTA: whether the one beside it fits it, and where a new one goes."""

from __future__ import annotations

import contextlib
import shutil
import struct
import tempfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pyfaidx
from Bio import bgzf

from senformer.storage import atomic_files

READ_ERRORS = (ValueError, RuntimeError, EOFError, zlib.error, struct.error, pyfaidx.FetchError)
"""What the libraries raise where a FASTA or its index is damaged, beside errors of the system."""

_COMPRESSED = (".gz", ".bgz")
_WIDEST_GAP_BYTES = 2**16  # a header, and blank lines before it
_BLOCK_HEAD = struct.Struct("<4sLBBH2sHH")  # of a block by bgzip, with its one extra field
_BLOCK_MAGIC = b"\x1f\x8b\x08\x04"
_PAIR = struct.Struct("<QQ")

ReadAt = Callable[[int, int], bytes]


class Indices(NamedTuple):
    """The files that a FASTA is read by.

    Attributes:
        fai: Where each sequence lies.
        gzi: Where each block of a compressed FASTA lies; of a plain one it is not there.
    """

    fai: Path
    gzi: Path


class _Entry(NamedTuple):
    name: str
    length: int
    offset: int
    line_bases: int
    line_bytes: int

    @property
    def end(self) -> int:
        """One past the last base's byte."""
        if not self.length:
            return self.offset
        breaks = (self.length - 1) // self.line_bases
        return self.offset + self.length + breaks * (self.line_bytes - self.line_bases)


class _Block(NamedTuple):
    compressed_start: int
    start: int


def indices_of(path: Path) -> Indices:
    """A FASTA's indices: those beside it, once they are known to fit, or new ones.

    New ones are put beside it for the next time. Where that folder cannot be written they stay in a
    temporary one until the process ends.

    Args:
        path: The FASTA.

    Raises:
        ValueError: If an index that lies beside the FASTA is not its own.
        OSError: If a file cannot be read.
        Exception: What `READ_ERRORS` lists, if the FASTA is damaged.
    """
    beside = Indices(Path(f"{path}.fai"), Path(f"{path}.gzi"))
    made = None
    if not beside.fai.exists() or (_is_compressed(path) and not beside.gzi.exists()):
        made = _made_anew(path, path.stat().st_mtime_ns)
        for new, place in zip(made, beside, strict=True):
            if new.exists() and not place.exists():
                _keep(new, place)
    found = Indices(
        *(place if place.exists() else made[i] if made else place for i, place in enumerate(beside))
    )
    read = [file for file in (path, *found) if file.exists()]
    _expect_fit(path, found, tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in read))
    return found


@cache
def _temporary_folder(path: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="senformer-index-")  # gone when the process ends


@cache
def _made_anew(path: Path, modified_ns: int) -> Indices:
    del modified_ns  # part of the cache's key
    folder = Path(_temporary_folder(path).name)
    made = Indices(folder / f"{path.name}.fai", folder / f"{path.name}.gzi")
    for old in made:
        old.unlink(missing_ok=True)
    pyfaidx.Faidx(str(path), indexname=str(made.fai), gzi_indexname=str(made.gzi)).close()
    return made


def _keep(new: Path, place: Path) -> None:
    """Put an index beside its FASTA whole, or not at all where nothing can be written."""
    with contextlib.suppress(OSError), atomic_files.replace_file(place) as unfinished:
        shutil.copyfile(new, unfinished)


@cache
def _expect_fit(path: Path, indices: Indices, stamps: tuple[tuple[int, int], ...]) -> None:
    del stamps  # part of the cache's key: what was found to fit is looked at again when it changed
    blocks = _blocks(path) if _is_compressed(path) else []
    if blocks:
        _expect_gzi_of(blocks, indices.gzi, path)
    entries = sorted(_read_fai(indices.fai), key=lambda entry: entry.offset)
    with _open_at(path, blocks) as read_at:
        for number, entry in enumerate(entries):
            previous_end = entries[number - 1].end if number else 0
            if not _lies_there(entry, previous_end, read_at):
                raise ValueError(_misfit(indices.fai, path, f"{entry.name!r} does not lie there"))
        if not entries or read_at(entries[-1].end, _WIDEST_GAP_BYTES).strip():
            raise ValueError(_misfit(indices.fai, path, "there is more behind its last sequence"))


def _lies_there(entry: _Entry, previous_end: int, read_at: ReadAt) -> bool:
    """Whether a header of that name is all before a sequence, and its lines are as long as said."""
    gap_bytes = entry.offset - previous_end
    if not 0 < gap_bytes <= _WIDEST_GAP_BYTES:
        return False
    *before, header, after = (b"\n" + read_at(previous_end, gap_bytes)).split(b"\n")
    words = header[1:].split()
    if after or not header.startswith(b">") or not words or words[0] != entry.name.encode():
        return False
    if any(line.strip() and not line.startswith(b";") for line in before):
        return False
    if not entry.length:
        return True
    first = read_at(entry.offset, entry.line_bytes)
    if len(first.rstrip(b"\r\n")) != min(entry.line_bases, entry.length):
        return False
    last_line = entry.offset + (entry.length - 1) // entry.line_bases * entry.line_bytes
    last = read_at(last_line, entry.end - last_line)
    is_after_a_break = last_line == entry.offset or read_at(last_line - 1, 1) == b"\n"
    return is_after_a_break and len(last.strip()) == entry.end - last_line


def _read_fai(path: Path) -> list[_Entry]:
    try:
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        entries = [_Entry(line[0], *map(int, line[1:])) for line in lines]
    except (ValueError, TypeError) as error:
        raise ValueError(_misfit(path, path.with_suffix(""), f"not an index, {error}")) from None
    for entry in entries:
        is_possible = entry.length >= 0 and entry.line_bytes >= entry.line_bases >= 0
        if not is_possible or (entry.length and not entry.line_bases):
            raise ValueError(_misfit(path, path.with_suffix(""), f"{entry.name!r} cannot be"))
    return entries


def _blocks(path: Path) -> list[_Block]:
    """The compressed blocks, the empty last one included, told from their heads alone.

    Raises:
        ValueError: If it is not a whole file by bgzip.
    """
    blocks, start = [], 0
    size = path.stat().st_size
    with path.open("rb") as file:
        while (place := file.tell()) < size:
            head = file.read(_BLOCK_HEAD.size)
            if len(head) < _BLOCK_HEAD.size:
                raise ValueError("it ends within a block")
            magic, *_, tag, _, last_byte = _BLOCK_HEAD.unpack(head)
            if magic != _BLOCK_MAGIC or tag != b"BC" or place + last_byte + 1 > size:
                raise ValueError(f"no whole block by bgzip at byte {place}")
            file.seek(place + last_byte + 1 - 4)
            (num_bytes,) = struct.unpack("<I", file.read(4))
            blocks.append(_Block(place, start))
            start += num_bytes
    if num_bytes:
        raise ValueError("its last block is not the empty one that bgzip ends with")
    return blocks


def _expect_gzi_of(blocks: Sequence[_Block], gzi: Path, path: Path) -> None:
    # htslib names the empty last block, pyfaidx does not.
    possible = (blocks[1:], blocks[1:-1])
    if gzi.read_bytes() not in [
        struct.pack("<Q", len(listed)) + b"".join(_PAIR.pack(*block) for block in listed)
        for listed in possible
    ]:
        raise ValueError(_misfit(gzi, path, "its blocks lie elsewhere"))


@contextlib.contextmanager
def _open_at(path: Path, blocks: Sequence[_Block]) -> Iterator[ReadAt]:
    """A FASTA's uncompressed bytes by their place."""
    with contextlib.closing(bgzf.BgzfReader(path, "rb") if blocks else path.open("rb")) as file:

        def read_at(start: int, num_bytes: int) -> bytes:
            place = start
            if blocks:
                block = blocks[bisect_right(blocks, start, key=lambda block: block.start) - 1]
                if start - block.start >= 2**16:  # behind the end
                    return b""
                place = bgzf.make_virtual_offset(block.compressed_start, start - block.start)
            file.seek(place)
            found: bytes = file.read(num_bytes)
            return found

        yield read_at


def _is_compressed(path: Path) -> bool:
    return path.suffix.lower() in _COMPRESSED


def _misfit(index: Path, path: Path, reason: str) -> str:
    return (
        f"{index}: {reason}, expected the index of {path.name} as it is; delete it to have it made "
        "anew"
    )
