"""The embedded data set: records of a small genome whose biology is known.

`regulation` describes the biology. Here it becomes files: Basenji2's, so that nothing that reads
them needs to know that they are simulated, with the genome and the ground truth beside them.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from senformer.config import BIN_SIZE_BP, expect_integer
from senformer.data import datasets, genome, record_tables, records
from senformer.data.record_folders import GENOME_FILE, RecordFolder
from senformer.data.simulation import contact, regulation
from senformer.data.simulation.regulation import TRACKS
from senformer.data.windows import InputWindow
from senformer.storage.text_files import read_json_object

ELEMENTS_FILE = "elements.csv"
"""The ground truth, in an organism's folder."""

DEFAULT_NUM_SEQUENCES: Mapping[str, Mapping[str, int]] = {
    "human": {"train": 400, "valid": 40, "test": 200},
    "mouse": {"train": 200, "valid": 40, "test": 200},
}
"""Records of each organism and split: enough that a small model learns the distal rule of CAGE
instead of the records (with a quarter of them it learnt these), and that intervals over held-out
sequences are narrow."""

FLANK_BP = 262_144
"""Genome on either side of a split's records: room for inputs of half a million base pairs."""

_FORMAT = 4  # raise it when the same arguments give other data
_ARGUMENTS_FILE = "simulation.json"
_SPLITS = ("train", "valid", "test")
_RECORDS_PER_FILE = 32


def write_dataset(
    folder: str | Path,
    *,
    seed: int = 0,
    sequence_length_bp: int = 32_768,
    target_length: int = 224,
    num_sequences: Mapping[str, Mapping[str, int]] = DEFAULT_NUM_SEQUENCES,
    flank_bp: int = FLANK_BP,
) -> Path:
    """Write the embedded data set, or find it written; for every run that is given no real data.

    The same arguments give the same bytes. Each split has a chromosome of its own, cut into
    adjacent sequences, with more genome at both ends; so real flanks hold real elements, which
    matter to the sequence.

    Args:
        folder: Where to; must be absent, empty, or hold this very data set.
        seed: Decides elements, sequence and noise.
        sequence_length_bp: Length of a record's sequence, a multiple of 128.
        target_length: 128-bp bins with values, in the middle of each sequence.
        num_sequences: Records of each organism and split.
        flank_bp: Genome before the first and after the last record of a split, a multiple of 128.

    Returns:
        `folder`, with `human` and `mouse` below it: `tfrecords/{split}-{n}.tfr`, `targets.txt`,
        `sequences.bed`, `statistics.json`, `genome.fa` and the ground truth, `elements.csv`.

    Raises:
        FileExistsError: If the folder holds anything else.
        OSError: If it cannot be written, as on a full disk; nothing is left of it.
        ValueError: If an argument is out of range.
    """
    folder = Path(folder)
    arguments = {
        "format": _FORMAT,
        "seed": seed,
        "sequence_length_bp": sequence_length_bp,
        "target_length": target_length,
        "num_sequences": {organism: dict(splits) for organism, splits in num_sequences.items()},
        "flank_bp": flank_bp,
    }
    _validate(seed, sequence_length_bp, target_length, num_sequences, flank_bp)
    if _is_written(folder, arguments):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        _named_when_not_written(folder),
        tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as partial,
    ):
        complete = Path(partial) / "complete"
        for organism, splits in num_sequences.items():
            chromosomes = [
                _simulate_chromosome(
                    organism,
                    split,
                    seed,
                    splits[split],
                    sequence_length_bp,
                    target_length,
                    flank_bp,
                )
                for split in _SPLITS
            ]
            _write_organism(complete / organism, organism, chromosomes)
        (complete / _ARGUMENTS_FILE).write_text(json.dumps(arguments, indent=1) + "\n")
        try:
            complete.rename(folder)
        except OSError:  # another process, which wanted the same, was quicker
            if not _is_written(folder, arguments):
                raise
    return folder


def read_elements(folder: RecordFolder) -> pd.DataFrame:
    """Read the ground truth: where each element stands and what it does.

    Args:
        folder: Records that `write_dataset` wrote.

    Returns:
        One row per element: `chrom` and the columns of `regulation.place_elements`.

    Raises:
        FileNotFoundError: If the records are not simulated.
    """
    path = folder.path / ELEMENTS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected records of simulate.write_dataset")
    return pd.read_csv(path, keep_default_na=False)


def expected_targets(folder: RecordFolder, split: str, *, seen_bp: int | None = None) -> np.ndarray:
    """The rates whose Poisson counts a split's targets are: the best prediction that there is.

    Args:
        folder: Records that `write_dataset` wrote.
        split: `train`, `valid` or `test`.
        seen_bp: With a length, the best prediction from an input of so many base pairs: what
            enhancers beyond it do to a promoter is replaced by its mean over promoters of the same
            core. With 0, that of a model that sees one element at a time.

    Returns:
        `[records, target_length, tracks]` float64, in the order of `datasets.examples`.

    Raises:
        FileNotFoundError: If the records are not simulated.
        ValueError: If there is no such split.
    """
    intervals = folder.intervals_of(split)
    elements = read_elements(folder)
    bins = np.arange(folder.target_length)
    cropped_bp = folder.sequence_length_bp - folder.target_length * BIN_SIZE_BP
    first_bin = ((intervals["start"] + cropped_bp // 2) // BIN_SIZE_BP).to_numpy()
    expected = np.empty([len(intervals), folder.target_length, folder.num_tracks])
    for chromosome, rows in intervals.reset_index().groupby("chrom").groups.items():
        on_it = elements[elements["chrom"] == chromosome].reset_index(drop=True)
        if seen_bp is not None:
            on_it = _as_seen(on_it, folder, seen_bp)
        last_bin = first_bin[rows].max() + folder.target_length
        rates = regulation.rates(on_it, TRACKS[folder.organism], 0, last_bin)
        expected[rows] = rates[first_bin[rows][:, None] + bins]
    return expected


def ceilings(folder: RecordFolder, split: str, seen_bp: Sequence[int | None]) -> pd.DataFrame:
    """How well each track can be predicted, by how much of the genome around it is seen.

    Args:
        folder: Records that `write_dataset` wrote.
        split: `train`, `valid` or `test`.
        seen_bp: Lengths of the input, as for `expected_targets`.

    Returns:
        One row per length and track: `seen_bp`, `identifier`, `description` and `pearson_r`,
        Pearson's r over all bins of the split between its targets and `expected_targets`.

    Raises:
        FileNotFoundError: If the records are not simulated.
        ValueError: If there is no such split.
    """
    stored = datasets.examples(folder, split, InputWindow(folder.sequence_length_bp))
    targets = np.concatenate([example["target"].numpy() for example in stored])
    tracks = folder.targets[["identifier", "description"]].reset_index(drop=True)
    frames = []
    for length_bp in seen_bp:
        expected = expected_targets(folder, split, seen_bp=length_bp).reshape(targets.shape)
        pearson_r = [
            np.corrcoef(expected[:, track], targets[:, track])[0, 1]
            for track in range(folder.num_tracks)
        ]
        frame = tracks.assign(pearson_r=pearson_r)
        frame.insert(0, "seen_bp", length_bp)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _as_seen(elements: pd.DataFrame, folder: RecordFolder, seen_bp: int) -> pd.DataFrame:
    """One chromosome's elements, with the distal effects that inputs of a length hold."""
    pairs = contact.pairs_in_contact(elements)
    position_bp = elements["position_bp"].to_numpy()
    is_on_it = folder.intervals["chrom"] == elements["chrom"].iloc[0]
    starts = np.sort(folder.intervals.loc[is_on_it, "start"].to_numpy())
    # Records are adjacent, so each promoter is in one of them, but for those in the flanks.
    record = np.searchsorted(starts, position_bp[pairs["promoter"]], side="right") - 1
    centre_bp = starts[np.maximum(record, 0)] + folder.sequence_length_bp // 2
    is_seen = np.abs(position_bp[pairs["enhancer"]] - centre_bp) < seen_bp / 2
    seen = regulation.with_distal_effects(elements, pairs[is_seen])
    return regulation.with_mean_of_unseen(elements, seen)


# ------------------------------------------------------------------------------------- the records


@dataclass(frozen=True, eq=False)
class _Chromosome:
    """A split's chromosome and where its records lie on it."""

    name: str
    split: str
    elements: pd.DataFrame
    bases: np.ndarray  # [length_bp] letters
    counts: np.ndarray  # [tokens, tracks]
    starts_bp: np.ndarray  # [records]
    sequence_length_bp: int
    target_length: int


def _simulate_chromosome(
    organism: str,
    split: str,
    seed: int,
    num_records: int,
    sequence_length_bp: int,
    target_length: int,
    flank_bp: int,
) -> _Chromosome:
    number = _SPLITS.index(split) + 1
    rng = np.random.default_rng([seed, tuple(TRACKS).index(organism), number])
    num_tokens = (sequence_length_bp * num_records + 2 * flank_bp) // BIN_SIZE_BP
    elements = regulation.place_elements(rng, num_tokens)
    bases = regulation.write_bases(rng, elements, num_tokens * BIN_SIZE_BP)
    counts = rng.poisson(regulation.rates(elements, TRACKS[organism], 0, num_tokens))
    counts = np.minimum(counts, [track.signal.clip for track in TRACKS[organism]])
    return _Chromosome(
        name=f"chr{number}",
        split=split,
        elements=elements,
        bases=bases,
        counts=counts.astype(np.float16),
        starts_bp=flank_bp + rng.permutation(num_records) * sequence_length_bp,
        sequence_length_bp=sequence_length_bp,
        target_length=target_length,
    )


def _serialize(chromosome: _Chromosome, start_bp: int) -> bytes:
    letters = chromosome.bases[start_bp : start_bp + chromosome.sequence_length_bp].tobytes()
    cropped_bp = chromosome.sequence_length_bp - chromosome.target_length * BIN_SIZE_BP
    first = (start_bp + cropped_bp // 2) // BIN_SIZE_BP
    return records.serialize(
        genome.one_hot(letters).astype(bool),
        chromosome.counts[first : first + chromosome.target_length],
    )


# --------------------------------------------------------------------------------------- the files


@contextlib.contextmanager
def _named_when_not_written(folder: Path) -> Iterator[None]:
    """What the system says of a file that cannot be written on names no file."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(folder)) from error


def _write_organism(path: Path, organism: str, chromosomes: list[_Chromosome]) -> None:
    (path / "tfrecords").mkdir(parents=True)
    for chromosome in chromosomes:
        serialized = [_serialize(chromosome, start_bp) for start_bp in chromosome.starts_bp]
        for number, first in enumerate(range(0, len(serialized), _RECORDS_PER_FILE)):
            file = path / f"tfrecords/{chromosome.split}-{number}.tfr"
            records.write(file, serialized[first : first + _RECORDS_PER_FILE])
    _write_intervals(path / "sequences.bed", chromosomes)
    _write_targets(path / "targets.txt", organism)
    record_tables.write_statistics(
        path / "statistics.json",
        num_tracks=len(TRACKS[organism]),
        num_records={one.split: len(one.starts_bp) for one in chromosomes},
        sequence_length_bp=chromosomes[0].sequence_length_bp,
        target_length=chromosomes[0].target_length,
    )
    record_tables.write_genome(path / GENOME_FILE, {one.name: one.bases for one in chromosomes})
    _write_elements(path / ELEMENTS_FILE, chromosomes)


def _write_intervals(path: Path, chromosomes: list[_Chromosome]) -> None:
    lines = [
        f"{chromosome.name}\t{start}\t{start + chromosome.sequence_length_bp}\t{chromosome.split}\n"
        for chromosome in chromosomes
        for start in chromosome.starts_bp
    ]
    path.write_text("".join(lines))


def _write_targets(path: Path, organism: str) -> None:
    """With the columns of Basenji2's own tables."""
    tracks = TRACKS[organism]
    pd.DataFrame(
        {
            "genome": tuple(TRACKS).index(organism),
            "identifier": [f"SIM{organism[0].upper()}{n:03d}" for n in range(len(tracks))],
            "file": [f"simulated/{organism}/{n}" for n in range(len(tracks))],
            "clip": [track.signal.clip for track in tracks],
            "scale": 1,
            "sum_stat": [track.signal.sum_stat for track in tracks],
            "description": [track.description for track in tracks],
        }
    ).to_csv(path, sep="\t", index_label="index")


def _write_elements(path: Path, chromosomes: list[_Chromosome]) -> None:
    frames = []
    for chromosome in chromosomes:
        frame = chromosome.elements.copy()
        frame.insert(0, "chrom", chromosome.name)
        frames.append(frame)
    pd.concat(frames).to_csv(path, index=False)


# ----------------------------------------------------------------------------------- the arguments


def _validate(
    seed: int,
    sequence_length_bp: int,
    target_length: int,
    num_sequences: Mapping[str, Mapping[str, int]],
    flank_bp: int,
) -> None:
    expect_integer("seed", seed, 0)
    expect_integer("flank_bp", flank_bp, 0)
    if flank_bp % BIN_SIZE_BP:
        raise ValueError(f"flank_bp={flank_bp}, expected a multiple of {BIN_SIZE_BP}")
    if sequence_length_bp < BIN_SIZE_BP or sequence_length_bp % BIN_SIZE_BP:
        raise ValueError(
            f"sequence_length_bp={sequence_length_bp}, expected a positive multiple of "
            f"{BIN_SIZE_BP}"
        )
    num_tokens = sequence_length_bp // BIN_SIZE_BP
    if not 1 <= target_length <= num_tokens or (num_tokens - target_length) % 2:
        raise ValueError(
            f"target_length={target_length}, expected 1 to {num_tokens} bins, as many left over on "
            f"either side"
        )
    if not num_sequences or not set(num_sequences) <= set(TRACKS):
        raise ValueError(
            f"num_sequences is for {', '.join(num_sequences) or 'no organism'}, expected some of "
            f"{', '.join(TRACKS)}"
        )
    for organism, splits in num_sequences.items():
        if set(splits) != set(_SPLITS) or min(splits.values()) < 1:
            raise ValueError(
                f"num_sequences[{organism!r}]={dict(splits)}, expected at least one sequence for "
                f"each of {', '.join(_SPLITS)}"
            )


def _is_written(folder: Path, arguments: Mapping[str, Any]) -> bool:
    """Whether the folder holds this data set; an error if it holds another one or anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    path = folder / _ARGUMENTS_FILE
    if not path.is_file():
        raise FileExistsError(f"{folder}: holds something else, expected a new or empty folder")
    found = read_json_object(path, "the arguments of `simulate.write_dataset`")
    differing = [
        f"{name}={found.get(name)}, not {value}"
        for name, value in arguments.items()
        if found.get(name) != value
    ]
    if differing:
        raise FileExistsError(
            f"{folder}: holds a data set of other arguments ({'; '.join(differing)}), expected a "
            f"new or empty folder"
        )
    return True
