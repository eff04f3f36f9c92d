"""Write the files that accompany records, as Basenji2 does; `record_folders` reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from senformer.config import BIN_SIZE_BP
from senformer.data import genome

_FASTA_LINE_BP = 60


def write_statistics(
    path: Path,
    *,
    num_tracks: int,
    num_records: Mapping[str, int],
    sequence_length_bp: int,
    target_length: int,
) -> None:
    """Write `statistics.json` with Basenji2's keys.

    Args:
        path: The file.
        num_tracks: Number of tracks per record.
        num_records: Number of records by split.
        sequence_length_bp: Length of a stored sequence.
        target_length: Number of stored 128-bp bins, in the middle of the sequence.

    Source: https://github.com/calico/basenji, `bin/basenji_data.py`.
    """
    statistics = {
        "num_targets": num_tracks,
        **{f"{split}_seqs": number for split, number in num_records.items()},
        "seq_length": sequence_length_bp,
        "pool_width": BIN_SIZE_BP,
        "crop_bp": (sequence_length_bp - target_length * BIN_SIZE_BP) // 2,
        "target_length": target_length,
    }
    path.write_text(json.dumps(statistics, indent=4) + "\n")


def write_genome(path: Path, chromosomes: Mapping[str, NDArray[np.uint8]]) -> None:
    """Write a FASTA and its index.

    Args:
        path: The file.
        chromosomes: Letters as bytes, `[length]`, by the chromosome's name.
    """
    with path.open("wb") as fasta:
        for name, bases in chromosomes.items():
            letters = bases.tobytes()
            fasta.write(f">{name}\n".encode())
            for start in range(0, len(letters), _FASTA_LINE_BP):
                fasta.write(letters[start : start + _FASTA_LINE_BP] + b"\n")
    genome.open_fasta(path).close()
