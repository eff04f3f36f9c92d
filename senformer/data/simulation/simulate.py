"""Write the simulated data set: records of a small genome whose biology is known.

`regulation` describes the biology. This module writes it in Basenji2's format, so that readers do
not distinguish simulated from real records, and adds the genome and the ground truth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from senformer.config import (
    BIN_SIZE_BP,
    NonNegativeInteger,
    Options,
    PositiveInteger,
    accept_only,
)
from senformer.data import datasets, genome, record_tables, records
from senformer.data.record_folders import GENOME_FILE, TARGETS_FILE, RecordFolder
from senformer.data.simulation import contact, regulation
from senformer.data.simulation.regulation import TRACKS
from senformer.data.windows import InputWindow
from senformer.storage import atomic_files
from senformer.storage.checksums import checksum_file, checksum_values
from senformer.storage.text_files import read_json_object

ELEMENTS_FILE = "elements.csv"
"""The ground truth in an organism's folder."""

DEFAULT_NUM_SEQUENCES: Mapping[str, Mapping[str, int]] = {
    "human": {"train": 400, "valid": 40, "test": 200},
    "mouse": {"train": 200, "valid": 40, "test": 200},
}
"""Number of records of each organism and split. With these, a small model learns the distal rule of
CAGE (with a quarter, it learned the records), and intervals over held-out sequences are narrow."""

FLANK_BP = 262_144
"""Genome on both sides of a split's records: room for inputs of half a million base pairs."""

_FORMAT = 4  # increase it when the same options give other data
_DESCRIPTION_FILE = "simulation.json"
_DIGEST = "sha256"
_DESCRIPTION_MARK = ":simulated "  # in the tracks' descriptions
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
    """Write the simulated data set, or reuse it; for every run without real data.

    The same arguments give the same bytes, which `simulation.json` protects by digests. What a
    killed process left there is removed. Each split has its own chromosome, which is cut into
    adjacent sequences, with more genome at both ends. So real flanking sequence contains elements
    that affect the sequence.

    Args:
        folder: The data set's folder: absent, empty, or with this very data set.
        seed: Determines elements, sequence and noise.
        sequence_length_bp: Length of a record's sequence, a multiple of 128.
        target_length: Number of 128-bp bins with values, in the middle of each sequence.
        num_sequences: Number of records of each organism and split.
        flank_bp: Genome before the first and after the last record of a split, a multiple of 128.

    Returns:
        `folder`, with `human` and `mouse` below it: `tfrecords/{split}-{n}.tfr`, `targets.txt`,
        `sequences.bed`, `statistics.json`, `genome.fa` and the ground truth, `elements.csv`.

    Raises:
        FileExistsError: If the folder holds anything else.
        OSError: If the data set cannot be written; no part of it is left.
        ValueError: If an argument is out of range, or the folder has no name, such as `.`, or a
            file of the data set changed after it was written.
    """
    folder = Path(folder)
    sizes: Any = {organism: dict(splits) for organism, splits in num_sequences.items()}
    options = _Options(
        seed=seed,
        sequence_length_bp=sequence_length_bp,
        target_length=target_length,
        num_sequences=sizes,
        flank_bp=flank_bp,
    )
    with atomic_files.work_folder(folder) as work:
        if _is_written(folder, options):
            return folder
        complete = work / "complete"
        for organism in options.num_sequences:
            chromosomes = [_simulate_chromosome(organism, split, options) for split in _SPLITS]
            _write_organism(complete / organism, organism, chromosomes, options)
        files = [path for path in sorted(complete.rglob("*.*")) if path.suffix != ".fai"]
        description = {
            "format": _FORMAT,
            "options": options.model_dump(),
            "files": {str(path.relative_to(complete)): checksum_file(path) for path in files},
        }
        described = json.dumps(description | {_DIGEST: checksum_values(description)}, indent=1)
        (complete / _DESCRIPTION_FILE).write_text(described + "\n")
        complete.rename(folder)
    return folder


def is_simulated(folder: RecordFolder) -> bool:
    """Return whether records are simulated: by their targets table, or by a file of ground truth.

    Each of these alone suffices, so that a deleted file is missed by whoever needs it.
    """
    description = folder.targets["description"].str.contains(_DESCRIPTION_MARK, regex=False)
    files = (folder.path / ELEMENTS_FILE, _description_file(folder))
    return bool(description.any()) or any(file.exists() for file in files)


def read_elements(folder: RecordFolder) -> pd.DataFrame:
    """Read the ground truth: the place and the effect of each element.

    Args:
        folder: Records of `write_dataset`.

    Returns:
        One row per element: `chrom` and the columns of `regulation.draw_elements`.

    Raises:
        FileNotFoundError: If the file or the description of the data set is missing.
        ValueError: If the file changed after it was written, or belongs to another data set.
    """
    description = _read_description(_description_file(folder))
    name = f"{folder.organism}/{ELEMENTS_FILE}"
    path = folder.path / ELEMENTS_FILE
    _expect_digest(path, description.files.get(name))
    return pd.read_csv(path, keep_default_na=False)


def compute_expected_targets(
    folder: RecordFolder, split: str, *, seen_bp: int | None = None
) -> np.ndarray:
    """Compute the rates of a split's Poisson counts: the best possible prediction.

    Args:
        folder: Records of `write_dataset`.
        split: `train`, `valid` or `test`.
        seen_bp: Length of the input. The effect of enhancers outside is replaced by its mean over
            promoters of the same core; with 0, the input is one element. By default the input is
            the whole chromosome.

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
        on_chromosome = elements[elements["chrom"] == chromosome].reset_index(drop=True)
        if seen_bp is not None:
            on_chromosome = _limit_to_input(on_chromosome, folder, seen_bp)
        end_bin = first_bin[rows].max() + folder.target_length
        rates = regulation.compute_rates(on_chromosome, TRACKS[folder.organism], end_bin)
        expected[rows] = rates[first_bin[rows][:, None] + bins]
    return expected


def compute_ceilings(
    folder: RecordFolder, split: str, seen_bp: Sequence[int | None]
) -> pd.DataFrame:
    """Compute the largest possible accuracy for each track and input length.

    Args:
        folder: Records of `write_dataset`.
        split: `train`, `valid` or `test`.
        seen_bp: Lengths of the input, see `compute_expected_targets`.

    Returns:
        One row per length and track: `seen_bp`, `identifier`, `description` and `pearson_r`,
        Pearson's r over all bins of the split between its targets and the expected targets.

    Raises:
        FileNotFoundError: If the records are not simulated.
        ValueError: If there is no such split.
    """
    stored = datasets.examples(folder, split, InputWindow(folder.sequence_length_bp))
    targets = np.concatenate([example["target"].numpy() for example in stored])
    tracks = folder.targets[["identifier", "description"]].reset_index(drop=True)
    frames = []
    for length_bp in seen_bp:
        expected = compute_expected_targets(folder, split, seen_bp=length_bp)
        expected = expected.reshape(targets.shape)
        pearson_r = [
            np.corrcoef(expected[:, track], targets[:, track])[0, 1]
            for track in range(folder.num_tracks)
        ]
        frame = tracks.assign(pearson_r=pearson_r)
        frame.insert(0, "seen_bp", length_bp)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _limit_to_input(elements: pd.DataFrame, folder: RecordFolder, seen_bp: int) -> pd.DataFrame:
    """Limit one chromosome's distal effects to the enhancers within inputs of a length."""
    pairs = contact.find_pairs(elements)
    position_bp = elements["position_bp"].to_numpy()
    is_on_chromosome = folder.intervals["chrom"] == elements["chrom"].iloc[0]
    starts = np.sort(folder.intervals.loc[is_on_chromosome, "start"].to_numpy())
    # Records are adjacent, so each promoter outside the flanking sequence is in one of them.
    record = np.searchsorted(starts, position_bp[pairs["promoter"]], side="right") - 1
    centre_bp = starts[np.maximum(record, 0)] + folder.sequence_length_bp // 2
    is_seen = np.abs(position_bp[pairs["enhancer"]] - centre_bp) < seen_bp / 2
    seen = regulation.add_distal_effects(elements, pairs[is_seen])
    return regulation.add_mean_of_unseen(elements, seen)


# ------------------------------------------------------------------------------------- the options


class _SplitSizes(Options):
    """The number of records of each split."""

    train: PositiveInteger
    valid: PositiveInteger
    test: PositiveInteger


_MultipleOfBin = Field(multiple_of=BIN_SIZE_BP)


class _Options(Options):
    """The checked arguments of `write_dataset`."""

    seed: NonNegativeInteger
    sequence_length_bp: Annotated[PositiveInteger, _MultipleOfBin]
    target_length: PositiveInteger
    num_sequences: dict[Annotated[str, accept_only(TRACKS)], _SplitSizes]
    flank_bp: Annotated[NonNegativeInteger, _MultipleOfBin]

    @model_validator(mode="after")
    def _check(self) -> _Options:
        if not self.num_sequences:
            raise ValueError(f"num_sequences={{}}, expected some of {', '.join(TRACKS)}")
        num_tokens = self.sequence_length_bp // BIN_SIZE_BP
        if self.target_length > num_tokens or (num_tokens - self.target_length) % 2:
            raise ValueError(
                f"target_length={self.target_length}, expected 1 to {num_tokens} bins, with "
                "equally many others on both sides"
            )
        return self


class _Description(Options):
    """The description of a written data set: its arguments, and a digest of each file."""

    format: int
    options: dict[str, Any]
    files: dict[str, str]


def _is_written(folder: Path, options: _Options) -> bool:
    """Tell whether a folder holds this data set.

    Raises:
        FileExistsError: If the folder holds another data set or anything else.
        ValueError: If a file changed after it was written.
    """
    path = folder / _DESCRIPTION_FILE
    if not path.exists():
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise FileExistsError(f"{folder}: a link or a file, expected a new or empty folder")
        if folder.exists() and any(folder.iterdir()):
            raise FileExistsError(f"{folder}: holds other files, expected a new or empty folder")
        return False
    found = _read_description(path)
    written = {"format": found.format, **found.options}
    differing = [
        f"{name}={written.get(name)}, not {value}"
        for name, value in {"format": _FORMAT, **options.model_dump()}.items()
        if written.get(name) != value
    ]
    if differing:
        raise FileExistsError(
            f"{folder}: holds a data set of other arguments ({'; '.join(differing)}), expected a "
            "new or empty folder"
        )
    for name, digest in found.files.items():
        _expect_digest(folder / name, digest)
    return True


def _description_file(folder: RecordFolder) -> Path:
    # An organism's folder may be a link to one of another data set.
    return folder.path.resolve().parent / _DESCRIPTION_FILE


def _read_description(path: Path) -> _Description:
    values = read_json_object(path, "the description of a simulated data set")
    digest = values.pop(_DIGEST, None)
    if digest != checksum_values(values):
        raise ValueError(
            f"{path}: changed, or written by an older version, expected a file of `senformer "
            f"simulate`; remove {path.parent} and simulate it again"
        )
    try:
        return _Description(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from None


def _expect_digest(path: Path, digest: str | None) -> None:
    """Check that a file of a data set is as it was written."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected a file of `senformer simulate`")
    if checksum_file(path) != digest:
        raise ValueError(
            f"{path}: changed, or of another data set, expected a file of `senformer simulate`; "
            "remove the data set and simulate it again"
        )


# ------------------------------------------------------------------------------------- the records


@dataclass(frozen=True, eq=False)
class _Chromosome:
    """The chromosome of a split, and the places of its records.

    Attributes:
        name: Name of the chromosome.
        split: Name of the split.
        elements: The elements.
        bases: Letters, `[length_bp]`.
        counts: `[tokens, tracks]`.
        starts_bp: First bases of the records, `[records]`.
    """

    name: str
    split: str
    elements: pd.DataFrame
    bases: np.ndarray
    counts: np.ndarray
    starts_bp: np.ndarray


def _simulate_chromosome(organism: str, split: str, options: _Options) -> _Chromosome:
    number = _SPLITS.index(split) + 1
    num_records, length_bp = (
        getattr(options.num_sequences[organism], split),
        options.sequence_length_bp,
    )
    rng = np.random.default_rng([options.seed, tuple(TRACKS).index(organism), number])
    num_tokens = (length_bp * num_records + 2 * options.flank_bp) // BIN_SIZE_BP
    elements = regulation.draw_elements(rng, num_tokens)
    bases = regulation.draw_bases(rng, elements, num_tokens * BIN_SIZE_BP)
    counts = rng.poisson(regulation.compute_rates(elements, TRACKS[organism], num_tokens))
    counts = np.minimum(counts, [track.signal.clip for track in TRACKS[organism]])
    return _Chromosome(
        name=f"chr{number}",
        split=split,
        elements=elements,
        bases=bases,
        counts=counts.astype(np.float16),
        starts_bp=options.flank_bp + rng.permutation(num_records) * length_bp,
    )


def _serialize_records(chromosome: _Chromosome, options: _Options) -> list[bytes]:
    cropped_bp = options.sequence_length_bp - options.target_length * BIN_SIZE_BP
    serialized = []
    for start_bp in chromosome.starts_bp:
        letters = chromosome.bases[start_bp : start_bp + options.sequence_length_bp].tobytes()
        first = (start_bp + cropped_bp // 2) // BIN_SIZE_BP
        target = chromosome.counts[first : first + options.target_length]
        serialized.append(records.serialize(genome.one_hot(letters).astype(bool), target))
    return serialized


# --------------------------------------------------------------------------------------- the files


def _write_organism(
    path: Path, organism: str, chromosomes: list[_Chromosome], options: _Options
) -> None:
    (path / "tfrecords").mkdir(parents=True)
    for chromosome in chromosomes:
        serialized = _serialize_records(chromosome, options)
        for number, first in enumerate(range(0, len(serialized), _RECORDS_PER_FILE)):
            file = path / f"tfrecords/{chromosome.split}-{number}.tfr"
            records.write(file, serialized[first : first + _RECORDS_PER_FILE])
    intervals = [
        f"{chromosome.name}\t{start}\t{start + options.sequence_length_bp}\t{chromosome.split}\n"
        for chromosome in chromosomes
        for start in chromosome.starts_bp
    ]
    (path / "sequences.bed").write_text("".join(intervals))
    _write_targets(path / TARGETS_FILE, organism)
    record_tables.write_statistics(
        path / "statistics.json",
        num_tracks=len(TRACKS[organism]),
        num_records={chromosome.split: len(chromosome.starts_bp) for chromosome in chromosomes},
        sequence_length_bp=options.sequence_length_bp,
        target_length=options.target_length,
    )
    bases = {chromosome.name: chromosome.bases for chromosome in chromosomes}
    record_tables.write_genome(path / GENOME_FILE, bases)
    _write_elements(path / ELEMENTS_FILE, chromosomes)


def _write_targets(path: Path, organism: str) -> None:
    """Write a targets table with the columns of Basenji2's tables."""
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
    elements = {chromosome.name: chromosome.elements for chromosome in chromosomes}
    pd.concat(elements, names=["chrom"]).reset_index("chrom").to_csv(path, index=False)
