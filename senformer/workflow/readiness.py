"""Whether all that a run needs is there: asked before a run of days, answered without any work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from senformer.config import preset
from senformer.data import opening, records
from senformer.data.opening import RecordFolder
from senformer.experiments import provenance, run_data
from senformer.report import published
from senformer.workflow import notebooks

RECORDS_PER_FILE = 256
"""Records that Basenji2 writes into each TFRecord file but the last of a split.

Source: https://github.com/calico/basenji, `bin/basenji_data.py`, option `--seqs_per_tfr`.
"""

_CHECKPOINT_ENDINGS = (".index", ".data-00000-of-00001")
_SPLITS = ("train", "valid", "test")


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

    A checkpoint is read in full, which compares it with its own checksums; of records the tables,
    the files' number and each file's first record (see `opening.open_folders`).

    Args:
        profile: A folder of `profiles/`.
        data: Folder of real records; simulated data when absent.

    Raises:
        ValueError: If the profile or one of its parameters is unknown.
    """
    parameters = {
        name: notebooks.parameters_for(name, profile=profile) for name in notebooks.names()
    }
    yield Need("device", True, provenance.device())
    folders: dict[str, RecordFolder] = {}
    if data is None:
        yield Need("records", True, "none given: simulated ones are written where they are needed")
    else:
        try:
            folders = opening.open_folders(data)
        except (FileNotFoundError, ValueError) as error:
            yield Need("records", False, str(error))
    for organism in folders:
        yield from _records(folders[organism])
    for prefix, values in _checkpoints(parameters).items():
        yield from _checkpoint(prefix, values, folders)


def _records(folder: RecordFolder) -> Iterator[Need]:
    """An organism's records: how many, whether files are missing, whether there is a genome."""
    counts = {split: len(folder.intervals_of(split)) for split in folder.splits}
    said = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    of_study = {split: published.value(f"data.{folder.organism}_{split}") for split in _SPLITS}
    is_basenji2 = counts == of_study
    said += f"; {folder.num_tracks:,} tracks" + ("; Basenji2's, as in the study" * is_basenji2)
    yield Need(f"{folder.organism} records", True, said)
    for split, count in counts.items():
        missing = _missing_files(folder, split, count if is_basenji2 else None)
        if missing:
            yield Need(f"{folder.organism} records", False, f"missing: {', '.join(missing)}")
    genome = run_data.genome_of(folder)
    yield Need(
        f"{folder.organism} genome",
        True,
        str(genome) if genome else f"no {folder.path}/genome.fa: real flanks are not evaluated",
    )


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


def _checkpoints(parameters: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each checkpoint that a notebook names, with that notebook's parameters."""
    return {
        values["enformer_checkpoint"]: values
        for values in parameters.values()
        if values.get("enformer_checkpoint")
    }


def _checkpoint(
    prefix: str, values: dict[str, Any], folders: dict[str, RecordFolder]
) -> Iterator[Need]:
    from senformer.model import foreign_weights

    path = (notebooks.NOTEBOOKS / prefix).resolve()
    missing = [
        f"{path}{ending}" for ending in _CHECKPOINT_ENDINGS if not Path(f"{path}{ending}").is_file()
    ]
    if missing:
        yield Need("weights", False, f"missing: {', '.join(missing)}")
        return
    config = preset(values["enformer_preset"], target_length=values["target_length"])
    try:
        foreign_weights.load_sonnet(path, config)
    except Exception as error:  # a damaged file raises errors of TensorFlow's own
        yield Need("weights", False, f"{path}: {' '.join(str(error).split())}")
        return
    yield Need("weights", True, f"{path}: every variable is there and whole")
    if not folders:
        yield Need(
            "records", False, f"the weights of {path} are of real tracks: name a DATA folder"
        )
    for organism, folder in folders.items():
        if folder.num_tracks != config.tracks[organism]:
            yield Need(
                f"{organism} records",
                False,
                f"{folder.num_tracks:,} tracks, expected the weights' {config.tracks[organism]:,}",
            )
