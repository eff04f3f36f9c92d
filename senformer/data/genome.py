"""Reference genomes: FASTA to one-hot."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyfaidx

from senformer.data.genome_index import READ_ERRORS, indices_of

_ROW_OF_BYTE = np.zeros((256, 4), np.float32)
for _column, _of_base in enumerate((b"Aa", b"Cc", b"Gg", b"Tt")):
    _ROW_OF_BYTE[list(_of_base), _column] = 1.0


_NUCLEOTIDES = frozenset("ACGTURYSWKMBDHVNacgturyswkmbdhvn-.*")
"""The letters of nucleotides and of sets of them. Source: IUPAC-IUB 1984 (NC-IUB)."""


def one_hot(sequence: str | bytes) -> np.ndarray:
    """One-hot encode DNA, for a model's input.

    Args:
        sequence: Letters of either case. Whatever is not A, C, G or T (an N, say) becomes zeros.

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
    """Open a FASTA for random access; do it once and pass the result to `fetch_one_hot`.

    Args:
        path: A FASTA, plain or compressed by `bgzip`. An index (`.fai`, and `.gzi` of a compressed
            one) beside it is used, and written where there is none. Where its folder cannot be
            written the index lies in a temporary one while the process lasts.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a FASTA that can be indexed, or an index beside it is not its own;
            the message names the file.

    Source: https://github.com/mdshw5/pyfaidx.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such FASTA")
    try:
        fasta = _opened(path)
    except (
        *READ_ERRORS,
        pyfaidx.FastaIndexingError,
        pyfaidx.UnsupportedCompressionFormat,
    ) as error:
        reason = " ".join(str(error).split())
        if reason.startswith(str(path)):  # it names an index, or this file itself
            raise ValueError(reason) from None
        raise ValueError(f"{path}: not a plain or bgzipped FASTA ({reason})") from None
    if not list(fasta.keys()):
        raise ValueError(f"{path}: holds no sequence, expected a FASTA ('>name' lines)")
    return fasta


def _opened(path: Path) -> pyfaidx.Fasta:
    indices = indices_of(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an index is older: it is known to fit
        return pyfaidx.Fasta(
            str(path), indexname=str(indices.fai), gzi_indexname=str(indices.gzi), rebuild=False
        )


def require_chromosomes(fasta: pyfaidx.Fasta, chromosomes: Iterable[str]) -> None:
    """Check, before any work, that a FASTA has every chromosome that will be asked for.

    Raises:
        ValueError: If one is missing; the message names the file, the chromosome and some that
            the file has.
    """
    known = fasta.keys()
    for chromosome in chromosomes:
        if chromosome not in known:
            some = ", ".join(list(known)[:3]) + (", ..." if len(known) > 3 else "")
            raise ValueError(f"{fasta.filename}: no chromosome {chromosome!r} (it has {some})")


def fetch_one_hot(
    fasta: str | Path | pyfaidx.Fasta, chromosome: str, start: int, end: int
) -> np.ndarray:
    """One-hot DNA of an interval, for instance a record's surroundings.

    Args:
        fasta: A path, or what `open_fasta` gave (quicker for many intervals).
        chromosome: Its name in the FASTA.
        start: First base, counted from 0. May lie before the chromosome's start.
        end: One past the last base. May lie beyond the chromosome's end.

    Returns:
        `[end - start, 4]` float32, columns A, C, G, T; zeros for N and outside the chromosome.

    Raises:
        FileNotFoundError: If there is no such FASTA.
        ValueError: If the chromosome is not in it, or `end` lies before `start`.
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
        encoded[first - start : last - start] = one_hot(_letters(fasta, chromosome, first, last))
    return encoded


def _letters(fasta: pyfaidx.Fasta, chromosome: str, first: int, last: int) -> str:
    """The bases of an interval within a chromosome."""
    where = f"{fasta.filename}: {chromosome}:{first}-{last}"
    try:
        # counted from 1, end included
        letters: str = fasta.get_seq(chromosome, first + 1, last).seq
    except READ_ERRORS as error:
        raise ValueError(f"{where} cannot be read ({' '.join(str(error).split())})") from None
    unknown = set(letters) - _NUCLEOTIDES
    if unknown:
        raise ValueError(f"{where} holds {min(unknown)!r}, expected letters of nucleotides")
    if len(letters) != last - first:
        raise ValueError(f"{where} holds {len(letters)} bases, expected {last - first}")
    return letters
