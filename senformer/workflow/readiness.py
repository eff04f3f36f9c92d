"""Check, before a run of days, that all files it needs are present, complete and consistent."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from senformer.config import preset
from senformer.data import record_folders
from senformer.data.record_comparison import RecordComparison
from senformer.data.record_folders import RecordFolder
from senformer.data.records import Shards
from senformer.data.simulation import simulate
from senformer.experiments import provenance
from senformer.experiments.parameters import EnformerParameters
from senformer.experiments.run_data import HEAD
from senformer.study import claims
from senformer.workflow import notebooks

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
    found = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    found += f"; {folder.num_tracks:,} tracks"
    yield Need(name, True, found + "; Basenji2's, as in the study" * (counts == study_counts))
    if simulate.is_simulated(folder):
        try:
            simulate.read_elements(folder)
        except (OSError, ValueError) as error:
            yield Need(name, False, str(error))
    comparison = RecordComparison(folder)
    for split in counts:
        for problem in _find_damage(folder, split, comparison):
            yield Need(name, False, problem)


def _find_damage(folder: RecordFolder, split: str, comparison: RecordComparison) -> list[str]:
    """Read all files of a split, several at a time, and return a line for each damaged one."""
    shards = Shards.find(folder.path, split, len(folder.intervals_of(split)))

    def read(number: int) -> str | None:
        try:
            for record in shards.read(number):
                comparison.add(record)
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
    """Check whether a run needs a genome; `_check_files` compares one that exists."""
    name, path = f"{folder.organism} genome", folder.genome
    if path.is_file():
        return Need(name, True, str(path))
    if longest_input_bp <= folder.sequence_length_bp:
        return Need(name, True, f"{path}: not needed, because no input is longer than a record")
    return Need(
        name,
        False,
        f"{path}: missing; records have {folder.sequence_length_bp:,} bp, inputs up to "
        f"{longest_input_bp:,}",
    )


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
