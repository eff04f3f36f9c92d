"""Damage genomes, plain and compressed, and their indices."""

import gzip
from pathlib import Path
from typing import Any

import damages
import numpy as np
from Bio import bgzf
from formats import Format

from senformer.data import genome

GENOME = ">chr1 the first\nACGTNACG\nacgtnacg\nRYAC\n>chr2\nTTTTGCAT\n>chr3\nGATTACAG\nATTACAGA\n"


def _read_genome(path: Path) -> dict[str, np.ndarray]:
    with genome.open_fasta(path) as fasta:
        return {
            name: genome.fetch_one_hot(fasta, name, 0, len(fasta[name]))
            for name in sorted(fasta.keys())  # an index may list them in any order
        }


def _is_another_genome(done: str, damaged: bytes, found: dict[str, np.ndarray]) -> bool:
    """Accept other bases or names, if all lines of a sequence but the last have one length."""
    written: dict[str, list[str]] = {}
    lines = damaged.decode("ascii").replace("\r\n", "\n").split("\n")
    while lines and (lines[0].startswith(";") or not lines[0].strip()):
        lines.pop(0)
    for line in lines:
        if line.startswith(">"):
            name = line[1:].split()[0]
            assert name not in written
            sequence_lines = written[name] = []
        elif line:
            sequence_lines.append(line)
    for sequence_lines in written.values():
        longest = len(sequence_lines[0]) if sequence_lines else 0
        lengths = [len(line) for line in sequence_lines]
        if lengths and (set(lengths[:-1]) - {longest} or lengths[-1] > longest):
            return False
        if not set("".join(sequence_lines)) <= set("ACGTURYSWKMBDHVNacgturyswkmbdhvn-.*"):
            return False
    encoded = {
        name: genome.one_hot("".join(sequence_lines)) for name, sequence_lines in written.items()
    }
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


def fasta(folder: Path) -> Format:
    path, fai, _ = _genome(folder)
    damage = damages.of_table(path.read_bytes(), "\n", 0)
    return Format(path, lambda: _read_genome(path), damage, _is_another_genome, (fai,))


def fasta_of_an_older_index(folder: Path) -> Format:
    path, _, _ = _genome(folder)
    _read_genome(path)
    damage = damages.of_table(path.read_bytes(), "\n", 0)
    return Format(path, lambda: _read_genome(path), damage, _is_another_genome)


def fasta_index(folder: Path) -> Format:
    path, fai, _ = _genome(folder)
    _read_genome(path)
    return Format(fai, lambda: _read_genome(path), damages.of_table(fai.read_bytes(), "\t", 0))


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
