"""Write random inputs in the sizes and formats of a run at the study's sizes.

The real data are half a terabyte that users pay for, and a run on them takes days of a GPU. These
inputs and the profile `rehearsal` show beforehand that all steps of such a run work.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.config import preset
from senformer.data import genome, record_folders, record_tables, records
from senformer.model.enformer import Enformer
from senformer.model.weights import sonnet
from senformer.storage import atomic_files
from senformer.study import claims

WEIGHTS = "enformer"
"""Name of the checkpoint in the written folder."""

RECORD_LENGTH_BP = 131_072
"""Length of the sequences that Basenji2's records store.

Source: Kelley 2020; google-deepmind/deepmind-research, `enformer/README.md`.
"""

_SPLITS = ("train", "valid", "test")
_RECORDS_PER_SPLIT = 2  # a single record has no confidence interval
_CHROMOSOME_BP = 2**21
_FIRST_RECORD_BP = 2**19  # so that the longest input has bases on both sides
_LETTERS = np.frombuffer(b"ACGT", np.uint8)
_DESCRIPTIONS = {
    "DNase/ATAC": "DNASE:stand-in",
    "Histone ChIP": "CHIP:H3K27ac:stand-in",
    "TF ChIP": "CHIP:CTCF:stand-in",
    "CAGE": "CAGE:stand-in",
}


def write(folder: str | Path) -> Path:
    """Write random weights of Enformer, and random records and genomes of both organisms.

    They take 1.1 GB. Files of an earlier call are kept; files of a killed process are replaced.

    Args:
        folder: The folder to write. `enformer.index` and `enformer.data-00000-of-00001` form a
            Sonnet checkpoint like DeepMind's; `human` and `mouse` resemble Basenji2's records.

    Returns:
        The folder, for the option `--data` of a run.

    Raises:
        OSError: If the disk lacks room or a file cannot be written.
    """
    folder = Path(folder)
    config = preset("enformer")
    atomic_files.check_free_space(folder, 1_200_000_000)
    with atomic_files.lock(folder):
        if not (folder / f"{WEIGHTS}.index").exists():  # the file that is written last
            folder.mkdir(parents=True, exist_ok=True)
            sonnet.save_sonnet(Enformer(config, seed=0), folder / WEIGHTS)
        for number, (organism, num_tracks) in enumerate(config.tracks.items()):
            _write_organism(folder / organism, organism, num_tracks, config.target_length, number)
    return folder


def _write_organism(
    path: Path, organism: str, num_tracks: int, target_length: int, seed: int
) -> None:
    if path.exists():
        return
    unfinished = path.with_name(f".{path.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "tfrecords").mkdir(parents=True)
    random = np.random.default_rng(seed)
    bases = _LETTERS[random.integers(4, size=_CHROMOSOME_BP)]
    starts_bp = iter(range(_FIRST_RECORD_BP, _CHROMOSOME_BP, RECORD_LENGTH_BP))
    lines = []
    for split in _SPLITS:
        starts = [next(starts_bp) for _ in range(_RECORDS_PER_SPLIT)]
        stored = (_record(bases, start, target_length, num_tracks, random) for start in starts)
        records.write(unfinished / f"tfrecords/{split}-0.tfr", stored)
        lines += [f"chr1\t{start}\t{start + RECORD_LENGTH_BP}\t{split}\n" for start in starts]
    (unfinished / "sequences.bed").write_text("".join(lines))
    targets = pd.DataFrame(
        {
            "genome": seed,
            "identifier": [f"stand-in-{track}" for track in range(num_tracks)],
            "file": [f"stand-in/{track}" for track in range(num_tracks)],
            "clip": 384,
            "scale": 1,
            "sum_stat": "mean",
            "description": [*_descriptions(organism, num_tracks)],
        }
    )
    targets.to_csv(unfinished / record_folders.TARGETS_FILE, sep="\t", index_label="index")
    record_tables.write_statistics(
        unfinished / "statistics.json",
        num_tracks=num_tracks,
        num_records=dict.fromkeys(_SPLITS, _RECORDS_PER_SPLIT),
        sequence_length_bp=RECORD_LENGTH_BP,
        target_length=target_length,
    )
    record_tables.write_genome(unfinished / record_folders.GENOME_FILE, {"chr1": bases})
    unfinished.rename(path)


def _record(
    bases: NDArray[np.uint8],
    start: int,
    target_length: int,
    num_tracks: int,
    random: np.random.Generator,
) -> bytes:
    letters = bases[start : start + RECORD_LENGTH_BP].tobytes()
    coverage = random.gamma(0.5, size=(target_length, num_tracks)).astype(np.float16)
    return records.serialize(genome.one_hot(letters).astype(bool), coverage)


def _descriptions(organism: str, num_tracks: int) -> Iterator[str]:
    """Yield one description per track; the study counts tracks by type only for human."""
    if organism != "human":
        yield from [_DESCRIPTIONS["CAGE"]] * num_tracks
        return
    for key, track_type in claims.TRACK_TYPE_NAMES.items():
        number = int(claims.get_value(f"data.human_{key}"))
        yield from [_DESCRIPTIONS[track_type]] * number
