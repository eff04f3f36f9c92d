"""Open or simulate the records of a run, and describe them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data import datasets, record_folders
from senformer.data.record_folders import RecordFolder
from senformer.data.simulation import simulate
from senformer.data.tracks import TRACK_TYPES, track_types
from senformer.data.windows import InputWindow

HEAD = "human"
"""The head that is evaluated, as in the study."""

VALIDATION_SPLIT = "valid"
TEST_SPLIT = "test"

CEILING_NOTE = (
    "On simulated records the best possible accuracy is known, and so is the best accuracy without "
    "any enhancer beyond a token's surroundings. A model above the second column uses distant "
    "enhancers."
)
"""Explain the columns of `ceilings_by_track_type` to readers of a page."""


def open_data(
    data: str | Path, output_folder: str | Path, *, seed: int = 0
) -> dict[str, RecordFolder]:
    """Open the records in `data`, or simulated ones if it is empty.

    The first caller writes the simulated data set to `output_folder/simulated_<seed>`; other
    callers wait for it.

    Raises:
        FileNotFoundError: If the folder or a file in it is missing.
        ValueError: If the records are damaged or do not match their tables.
    """
    if data:
        return record_folders.open_folders(data)
    folder = simulate.write_dataset(Path(output_folder) / f"simulated_{seed}", seed=seed)
    return record_folders.open_folders(folder)


def name_of_data(data: str | Path) -> str:
    """Return the name of a run's data for captions."""
    return Path(data).resolve().name if data else "simulated"


def genome_of(folder: RecordFolder) -> Path | None:
    """Return the FASTA in an organism's folder, or None if there is none."""
    return folder.genome if folder.genome.is_file() else None


def flanks_of(folder: RecordFolder) -> str:
    """Return the source of flanking sequence for inputs longer than the records.

    It is `genome` if the folder has one. Otherwise it is `zeros`, as in the study; a longer input
    then holds no more information.
    """
    return "genome" if genome_of(folder) else "zeros"


def read_held_out_sequences(
    folder: RecordFolder, *, sequence_length_bp: int, target_length: int, num_sequences: int
) -> list[NDArray[np.float32]]:
    """Read the first test records' sequences with flanks, one-hot `[length, 4]` each."""
    examples = datasets.examples(
        folder,
        TEST_SPLIT,
        InputWindow(sequence_length_bp, target_length, flanks_of(folder)),
    )
    return [example["sequence"].numpy() for example in examples.take(num_sequences)]


def ceilings_by_track_type(folder: RecordFolder) -> pd.DataFrame | None:
    """Compute the best possible accuracy on simulated records, by track type.

    Args:
        folder: Records from `open_data`.

    Returns:
        None for real records. Otherwise one row per track type: `track_type`, and Pearson's r of
        the best possible predictions of the validation records: `pearson_r` if the whole genome is
        known, `pearson_r_local` if no enhancer is known, `pearson_r_of_record` if the enhancers
        within the stored sequence are known.
    """
    if not simulate.is_simulated(folder):
        return None
    ceilings = simulate.compute_ceilings(
        folder, VALIDATION_SPLIT, [None, 0, folder.sequence_length_bp]
    )
    columns = ["pearson_r", "pearson_r_local", "pearson_r_of_record"]
    ceilings["seen"] = np.repeat(columns, folder.num_tracks)
    ceilings["track_type"] = [*track_types(folder.targets)] * len(columns)
    by_type = ceilings.pivot_table(index="track_type", columns="seen", values="pearson_r")
    present = [name for name in TRACK_TYPES if name in by_type.index]
    return by_type.loc[present, columns].rename_axis(columns=None).reset_index()
