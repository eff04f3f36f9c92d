"""Whether all that a run needs is there: asked before a run of days, answered without any of it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from senformer.config import preset
from senformer.data import genome, record_folders, records
from senformer.data.record_folders import RecordFolder
from senformer.data.records import Shards
from senformer.experiments import provenance
from senformer.experiments.run_data import HEAD
from senformer.study import published
from senformer.workflow import notebooks
from senformer.workflow.parameters import longest_input_bp

RECORDS_PER_FILE = 256
"""Records that Basenji2 writes into each TFRecord file but the last of a split.

Source: https://github.com/calico/basenji, `bin/basenji_data.py`, option `--seqs_per_tfr`.
"""

_CHECKPOINT_ENDINGS = (".index", ".data-00000-of-00001")
_SPLITS = ("train", "valid", "test")
_SECONDS_UNSAID = 2.0

_Folders = dict[str, RecordFolder]


class Need(NamedTuple):
    """Something that a run needs.

    Attributes:
        what: In a word or two.
        is_met: Whether it is there, whole and fitting.
        detail: What was found, or what is missing and where it was expected.
    """

    what: str
    is_met: bool
    detail: str


def check(profile: str, data: str | Path | None = None) -> Iterator[Need]:
    """Everything that the notebooks of a profile need, found or missing, as it is looked at.

    One problem does not hide the next. A checkpoint is read in full, which compares it with its own
    checksums; so are the records, which takes minutes for half a terabyte, and each file is
    counted.

    Args:
        profile: A folder of `profiles/`.
        data: Folder of real records; simulated data when absent.

    Raises:
        ValueError: If the profile or one of its parameters is unknown.
    """
    parameters = notebooks.parameters_of_profile(profile)
    weights = _weights_named(parameters)
    yield Need("device", True, provenance.device())
    if data is None:
        yield _no_records(weights)
        folders: _Folders = {}
    else:
        folders = yield from _records(Path(data), is_of_both_organisms=bool(weights))
    if HEAD in folders:
        of_models = [values for values in parameters.values() if "sequence_length_bp" in values]
        yield _genome(folders[HEAD], max(map(longest_input_bp, of_models)))
    for prefix, values in weights.items():
        yield _weights(prefix, values)
        yield from _unlike_the_records(values, folders)


def _weights_named(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Each checkpoint that a notebook names, with that notebook's parameters."""
    return {
        values["enformer_checkpoint"]: values
        for values in parameters.values()
        if values.get("enformer_checkpoint")
    }


def _no_records(weights: Mapping[str, Any]) -> Need:
    if weights:
        return Need("records", False, "none given; the weights are of real tracks: --data FOLDER")
    return Need("records", True, "none given: simulated ones are written where they are needed")


def _records(data: Path, *, is_of_both_organisms: bool) -> Generator[Need, None, _Folders]:
    """Each organism's records; returns those that can be opened."""
    folders: _Folders = {}
    try:
        paths = record_folders.find_folders(data)
    except (FileNotFoundError, ValueError) as error:
        yield Need("records", False, str(error))
        return folders
    for organism in record_folders.FOLDER_NAMES:
        what = f"{organism} records"
        if organism not in paths:
            is_met = organism != HEAD and not is_of_both_organisms
            yield Need(what, is_met, f"none below {data}, where both organisms are trained in turn")
            continue
        try:
            folders[organism] = record_folders.open_folder(organism, paths[organism])
        except (FileNotFoundError, ValueError) as error:
            yield Need(what, False, str(error))
            continue
        yield from _counted(what, folders[organism])
    return folders


def _counted(what: str, folder: RecordFolder) -> Iterator[Need]:
    """How many records an organism has, and each file that is missing, damaged or short."""
    counts = {split: len(folder.intervals_of(split)) for split in folder.splits}
    said = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    of_study = {split: published.value(f"data.{folder.organism}_{split}") for split in _SPLITS}
    is_basenji2 = counts == of_study
    said += f"; {folder.num_tracks:,} tracks" + ("; Basenji2's, as in the study" * is_basenji2)
    yield Need(what, True, said)
    for split, count in counts.items():
        missing = _missing_files(folder, split, count if is_basenji2 else None)
        if missing:
            yield Need(what, False, f"missing: {', '.join(missing)}")
            continue
        for problem in _damaged_files(folder, split):
            yield Need(what, False, problem)


def _missing_files(folder: RecordFolder, split: str, count: int | None) -> list[str]:
    """Names of files that leave a gap in a split's numbers, or that its record count asks for."""
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


def _damaged_files(folder: RecordFolder, split: str) -> list[str]:
    """What is wrong with each of a split's files, all read; side by side, as each is unpacked."""
    shards = Shards.find(folder.path, split, len(folder.intervals_of(split)))

    def problem(number: int) -> str | None:
        try:
            for _ in shards.read(number):
                pass
        except ValueError as error:
            return str(error)
        return None

    num_bytes = sum(file.stat().st_size for file in shards.files)
    described = f"{folder.organism} {split}, {num_bytes / 1e9:.3g} GB"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(problem, range(len(shards.files)))
        progress = tqdm(found, described, len(shards.files), unit="file", delay=_SECONDS_UNSAID)
        return [one for one in progress if one]


def _genome(folder: RecordFolder, longest_input_bp: int) -> Need:
    """The genome of the organism that is evaluated; that of the other is never read."""
    what, path = f"{folder.organism} genome", folder.path / record_folders.GENOME_FILE
    if not path.is_file():
        is_met = longest_input_bp <= folder.sequence_length_bp
        why = (
            "not needed: no input is longer than a record"
            if is_met
            else f"missing: the bases around records of {folder.sequence_length_bp:,} bp, for "
            f"inputs of {longest_input_bp:,}"
        )
        return Need(what, is_met, f"{path}: {why}")
    try:
        with genome.open_fasta(path) as fasta:
            genome.require_chromosomes(fasta, folder.intervals["chrom"].unique())
            last_bp = folder.intervals.groupby("chrom")["end"].max()
            short = [str(name) for name, end in last_bp.items() if len(fasta[name]) < end]
    except ValueError as error:
        return Need(what, False, str(error))
    if short:
        return Need(
            what,
            False,
            f"{path}: {', '.join(short)}: shorter than the records say, expected theirs",
        )
    return Need(what, True, str(path))


def _weights(prefix: str, values: Mapping[str, Any]) -> Need:
    from senformer.model.weights import foreign_weights

    path = (notebooks.NOTEBOOKS / prefix).resolve()
    missing = [
        f"{path}{ending}" for ending in _CHECKPOINT_ENDINGS if not Path(f"{path}{ending}").is_file()
    ]
    if missing:
        return Need("weights", False, f"missing: {', '.join(missing)}")
    config = preset(values["enformer_preset"], target_length=values["target_length"])
    try:
        foreign_weights.load_sonnet(path, config)
    except ValueError as error:
        return Need("weights", False, str(error))
    return Need("weights", True, f"{path}: every variable is there and whole")


def _unlike_the_records(values: Mapping[str, Any], folders: _Folders) -> Iterator[Need]:
    """Weights predict the tracks that they were trained on, and no others."""
    of_weights = preset(values["enformer_preset"]).tracks
    differing = [
        f"{folder.num_tracks:,} {organism} tracks, expected {of_weights[organism]:,}"
        for organism, folder in folders.items()
        if folder.num_tracks != of_weights[organism]
    ]
    if differing:
        yield Need("records", False, f"other tracks than the weights': {'; '.join(differing)}")
