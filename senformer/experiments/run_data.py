"""The records that the notebooks of a run share, opened or simulated by whoever asks first."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data import datasets, record_folders
from senformer.data.record_folders import RecordFolder
from senformer.data.simulation import simulate
from senformer.data.tracks import TRACK_TYPES, track_types
from senformer.data.windows import InputWindow
from senformer.storage import atomic_files

HEAD = "human"
"""The head that is evaluated, as in the study."""

VALIDATION_SPLIT = "valid"
TEST_SPLIT = "test"

WHAT_CEILINGS_ARE = (
    "On simulated records the best possible accuracy is known, and so is the best without any "
    "enhancer farther away than a token's surroundings. A model above the second column has learnt "
    "to look far."
)
"""What a page says of `ceilings_by_track_type`, where there are any."""


def open_data(
    data: str | Path, output_folder: str | Path, *, seed: int = 0
) -> dict[str, RecordFolder]:
    """Open the records of a run: those in `data`, or simulated ones when it is empty.

    The simulated data set is written once, to `output_folder/simulated_<seed>`, by whoever comes
    first; others wait for it. What a process that was killed left of it is removed.

    Raises:
        FileNotFoundError: If the folder or a file in it is missing.
        ValueError: If the records are damaged or do not fit their tables.
    """
    if data:
        return record_folders.open_folders(data)
    folder = Path(output_folder) / f"simulated_{seed}"
    with atomic_files.lock(folder):
        for unfinished in folder.parent.glob(f".{folder.name}.*/"):  # where `simulate` writes
            shutil.rmtree(unfinished)
        simulate.write_dataset(folder, seed=seed)
    return record_folders.open_folders(folder)


def name_of_data(data: str | Path) -> str:
    """What captions call the data of a run."""
    return Path(data).resolve().name if data else "simulated"


def genome_of(folder: RecordFolder) -> Path | None:
    """The FASTA that lies beside an organism's records, where there is one."""
    path = folder.path / simulate.GENOME_FILE
    return path if path.is_file() else None


def flanks_of(folder: RecordFolder) -> str:
    """What inputs longer than the records get on both sides: the genome where it lies beside them.

    Without it zeros, as in the study; a longer input then holds nothing more.
    """
    return "genome" if genome_of(folder) else "zeros"


def held_out_sequences(
    folder: RecordFolder, *, sequence_length_bp: int, target_length: int, num_sequences: int
) -> list[NDArray[np.float32]]:
    """The first test records' sequences, one-hot `[length, 4]`, with what lies beside them."""
    examples = datasets.examples(
        folder,
        TEST_SPLIT,
        InputWindow(sequence_length_bp, target_length, flanks_of(folder)),
    )
    return [example["sequence"].numpy() for example in examples.take(num_sequences)]


def is_simulated(folder: RecordFolder) -> bool:
    """Whether the ground truth lies beside the records: what each enhancer does."""
    return (folder.path / simulate.ELEMENTS_FILE).is_file()


def ceilings_by_track_type(folder: RecordFolder) -> pd.DataFrame | None:
    """How accurate a model of simulated records can be, by track type; none for real records.

    Args:
        folder: From `open_data`.

    Returns:
        One row per track type: `track_type`, and Pearson's r of the best possible prediction of the
        held-out sequences: `pearson_r` by who knows the whole genome, `pearson_r_local` by who
        knows no enhancer, `pearson_r_of_record` by who knows those within the stored sequence.
    """
    if not is_simulated(folder):
        return None
    ceilings = simulate.ceilings(folder, VALIDATION_SPLIT, [None, 0, folder.sequence_length_bp])
    columns = ["pearson_r", "pearson_r_local", "pearson_r_of_record"]
    ceilings["seen"] = np.repeat(columns, folder.num_tracks)
    ceilings["track_type"] = [*track_types(folder.targets)] * len(columns)
    by_type = ceilings.pivot_table(index="track_type", columns="seen", values="pearson_r")
    present = [name for name in TRACK_TYPES if name in by_type.index]
    return by_type.loc[present, columns].rename_axis(columns=None).reset_index()
