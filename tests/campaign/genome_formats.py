"""Genomes, plain and compressed, and their indices."""

import gzip
from pathlib import Path
from typing import Any

import damages
import numpy as np
from Bio import bgzf
from formats import Format
from hypothesis import strategies as st

from senformer.data import genome

GENOME = ">chr1 the first\nACGTNACG\nacgtnacg\nRYAC\n>chr2\nTTTTGCAT\n>chr3\nGATTACAG\nATTACAGA\n"


def _read_genome(path: Path) -> dict[str, np.ndarray]:
    with genome.open_fasta(path) as fasta:
        return {
            name: genome.fetch_one_hot(fasta, name, 0, len(fasta[name]))
            for name in sorted(fasta.keys())  # an index may list them in any order
        }


def _is_another_genome(done: str, damaged: bytes, found: dict[str, np.ndarray]) -> bool:
    """Other bases or names, in lines as long as each other but for the last of a sequence."""
    stands: dict[str, list[str]] = {}
    lines = damaged.decode("ascii").replace("\r\n", "\n").split("\n")
    while lines and (lines[0].startswith(";") or not lines[0].strip()):
        lines.pop(0)
    for line in lines:
        if line.startswith(">"):
            name = line[1:].split()[0]
            assert name not in stands
            of_name = stands[name] = []
        elif line:
            of_name.append(line)
    for of_name in stands.values():
        longest = len(of_name[0]) if of_name else 0
        lengths = [len(line) for line in of_name]
        if lengths and (set(lengths[:-1]) - {longest} or lengths[-1] > longest):
            return False
        if not set("".join(of_name)) <= set("ACGTURYSWKMBDHVNacgturyswkmbdhvn-.*"):
            return False
    encoded = {name: genome.one_hot("".join(of_name)) for name, of_name in stands.items()}
    return set(encoded) == set(found) and all((encoded[n] == found[n]).all() for n in encoded)


def _genome(folder: Path, ending: str = "") -> tuple[Path, Path, Path]:
    path = folder / f"genome.fa{ending}"
    if ending:
        with bgzf.BgzfWriter(str(path)) as writer:
            for start in range(0, len(GENOME), 25):
                writer.write(GENOME[start : start + 25])
                writer.flush()
    else:
        path.write_text(GENOME)
    return path, Path(f"{path}.fai"), Path(f"{path}.gzi")


def _of_fasta(good: bytes) -> st.SearchStrategy[damages.Damage]:
    return st.one_of(damages.of_bytes(good), damages.of_text(good), damages.of_table(good, "\n", 0))


def fasta(folder: Path) -> Format:
    path, fai, _ = _genome(folder)
    damage = _of_fasta(path.read_bytes())
    return Format(path, lambda: _read_genome(path), damage, _is_another_genome, (fai,))


def fasta_of_an_older_index(folder: Path) -> Format:
    path, _, _ = _genome(folder)
    _read_genome(path)
    damage = _of_fasta(path.read_bytes())
    return Format(path, lambda: _read_genome(path), damage, _is_another_genome)


def fasta_index(folder: Path) -> Format:
    path, fai, _ = _genome(folder)
    _read_genome(path)
    good = fai.read_bytes()
    damage = st.one_of(
        damages.of_bytes(good), damages.of_text(good), damages.of_table(good, "\t", 0)
    )
    return Format(fai, lambda: _read_genome(path), damage)


def compressed_fasta(folder: Path) -> Format:
    path, fai, gzi = _genome(folder, ".gz")
    damage = damages.of_bytes(path.read_bytes())

    def is_another_genome(done: str, damaged: bytes, found: Any) -> bool:  # a whole block more
        return _is_another_genome(done, gzip.decompress(damaged), found)

    return Format(path, lambda: _read_genome(path), damage, is_another_genome, (fai, gzi))


def block_index(folder: Path) -> Format:
    path, _, gzi = _genome(folder, ".gz")
    _read_genome(path)
    return Format(gzi, lambda: _read_genome(path), damages.of_bytes(gzi.read_bytes()))
