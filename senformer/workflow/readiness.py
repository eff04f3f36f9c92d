"""Check, before a run of days, that all files it needs are present, complete and consistent."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from senformer.config import preset
from senformer.data import genome, record_folders, records
from senformer.data.record_folders import RecordFolder
from senformer.data.records import Shards
from senformer.experiments import provenance
from senformer.experiments.parameters import EnformerParameters
from senformer.experiments.run_data import HEAD
from senformer.study import claims
from senformer.workflow import notebooks

RECORDS_PER_FILE = 256
"""Records that Basenji2 writes into each TFRecord file but the last of a split.

Source: https://github.com/calico/basenji, `bin/basenji_data.py`, option `--seqs_per_tfr`.
"""

_CHECKPOINT_ENDINGS = (".index", ".data-00000-of-00001")
_SPLITS = ("train", "valid", "test")
_PROGRESS_DELAY_SECONDS = 2.0

_Folders = dict[str, RecordFolder]


class Need(NamedTuple):
    """Describe something that a run needs.

    Attributes:
        name: A word or two.
        is_met: Whether it is present, complete and consistent.
        detail: What was found, or what is missing and where it was expected.
    """

    name: str
    is_met: bool
    detail: str


def check(profile: str, data: str | Path | None = None) -> Iterator[Need]:
    """Check everything that the notebooks of a profile need, and yield each result at once.

    A problem does not hide the next. Checkpoints and records are read completely and compared with
    their own checksums, which takes minutes for half a terabyte. The check does not estimate how
    long the run takes.

    Args:
        profile: A folder of `profiles/`.
        data: Folder of real records; None for simulated data.

    Raises:
        ValueError: If the profile or one of its parameters is not accepted.
    """
    all_parameters = notebooks.parameters_of_profile(profile).values()
    of_models = [p for p in all_parameters if isinstance(p, EnformerParameters)]
    weights = {p.enformer_checkpoint: p for p in of_models if p.enformer_checkpoint}
    yield Need("device", True, provenance.device())
    folders: _Folders = {}
    if data is not None:
        folders = yield from _check_records(Path(data), needs_both_organisms=bool(weights))
    elif weights:
        yield Need("records", False, "none; the weights need records of real tracks: --data FOLDER")
    else:
        yield Need("records", True, "none; notebooks write simulated ones when they need them")
    if HEAD in folders:
        yield _check_genome(folders[HEAD], max(p.longest_input_bp for p in of_models))
    for prefix, parameters in weights.items():
        yield _check_weights(prefix, parameters)
        expected = preset(parameters.enformer_preset).tracks
        differing = [
            f"{folder.num_tracks:,} {organism} tracks, expected {expected[organism]:,}"
            for organism, folder in folders.items()
            if folder.num_tracks != expected[organism]
        ]
        if differing:
            yield Need("records", False, f"tracks differ from the weights': {'; '.join(differing)}")


def _check_records(data: Path, *, needs_both_organisms: bool) -> Generator[Need, None, _Folders]:
    """Check each organism's records; return the folders that can be opened."""
    folders: _Folders = {}
    try:
        paths = record_folders.find_folders(data)
    except (FileNotFoundError, ValueError) as error:
        yield Need("records", False, str(error))
        return folders
    for organism in record_folders.FOLDER_NAMES:
        name = f"{organism} records"
        if organism not in paths:
            is_met = organism != HEAD and not needs_both_organisms
            yield Need(name, is_met, f"none below {data}; training uses both organisms in turn")
            continue
        try:
            folders[organism] = record_folders.open_folder(organism, paths[organism])
        except (FileNotFoundError, ValueError) as error:
            yield Need(name, False, str(error))
            continue
        yield from _check_files(name, folders[organism])
    return folders


def _check_files(name: str, folder: RecordFolder) -> Iterator[Need]:
    """Count an organism's records, and report each file that is missing, damaged or short."""
    counts = {split: len(folder.intervals_of(split)) for split in folder.splits}
    study_counts = {s: claims.get_value(f"data.{folder.organism}_{s}") for s in _SPLITS}
    is_basenji2 = counts == study_counts
    found = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    found += f"; {folder.num_tracks:,} tracks" + ("; Basenji2's, as in the study" * is_basenji2)
    yield Need(name, True, found)
    for split, count in counts.items():
        if missing := _find_missing_files(folder, split, count if is_basenji2 else None):
            yield Need(name, False, f"missing: {', '.join(missing)}")
            continue
        for problem in _find_damage(folder, split):
            yield Need(name, False, problem)


def _find_missing_files(folder: RecordFolder, split: str, count: int | None) -> list[str]:
    """Return the files that leave a gap in a split's numbers, or that its record count requires."""
    numbers: dict[str, set[int]] = {}
    for file in records.find_files(folder.path, split):
        stem, number = file.stem.rsplit("-", 1)
        numbers.setdefault(stem, set()).add(int(number))
    missing = []
    for stem, found in numbers.items():
        expected = max(found) + 1
        if count is not None and len(numbers) == 1:
            expected = max(expected, -(-count // RECORDS_PER_FILE))
        missing += [f"{stem}-{number}.tfr" for number in sorted(set(range(expected)) - found)]
    return missing


def _find_damage(folder: RecordFolder, split: str) -> list[str]:
    """Read all files of a split, several at a time, and return a line for each damaged one."""
    shards = Shards.find(folder.path, split, len(folder.intervals_of(split)))

    def read(number: int) -> str | None:
        try:
            for _ in shards.read(number):
                pass
        except ValueError as error:
            return str(error)
        return None

    size_gb = sum(file.stat().st_size for file in shards.files) / 1e9
    label = f"{folder.organism} {split}, {size_gb:.3g} GB"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = tqdm(
            pool.map(read, range(len(shards.files))),
            label,
            len(shards.files),
            unit="file",
            delay=_PROGRESS_DELAY_SECONDS,
        )
        return [problem for problem in problems if problem]


def _check_genome(folder: RecordFolder, longest_input_bp: int) -> Need:
    """Check the genome of the evaluated organism; no notebook reads that of the other."""
    name, path = f"{folder.organism} genome", folder.path / record_folders.GENOME_FILE
    if not path.is_file():
        if longest_input_bp <= folder.sequence_length_bp:
            return Need(name, True, f"{path}: not needed, because no input is longer than a record")
        return Need(
            name,
            False,
            f"{path}: missing; records have {folder.sequence_length_bp:,} bp, inputs up to "
            f"{longest_input_bp:,}",
        )
    try:
        with genome.open_fasta(path) as fasta:
            genome.require_chromosomes(fasta, folder.intervals["chrom"].unique())
            last_bp = folder.intervals.groupby("chrom")["end"].max()
            short = [str(chrom) for chrom, end in last_bp.items() if len(fasta[chrom]) < end]
    except ValueError as error:
        return Need(name, False, str(error))
    if short:
        return Need(name, False, f"{path}: {', '.join(short)} shorter than the records' intervals")
    return Need(name, True, str(path))


def _check_weights(prefix: str, parameters: EnformerParameters) -> Need:
    from senformer.model.weights import sonnet

    path = (notebooks.NOTEBOOKS / prefix).resolve()
    files = [f"{path}{ending}" for ending in _CHECKPOINT_ENDINGS]
    if missing := [file for file in files if not Path(file).is_file()]:
        return Need("weights", False, f"missing: {', '.join(missing)}")
    try:
        sonnet.load_sonnet(path, parameters.enformer_config)
    except ValueError as error:
        return Need("weights", False, str(error))
    return Need("weights", True, f"{path}: every variable is present and complete")
