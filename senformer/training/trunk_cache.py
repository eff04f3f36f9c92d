"""What a frozen trunk makes of the records, computed once and kept in a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from senformer.data import datasets
from senformer.data.opening import RecordFolder
from senformer.model.enformer import Enformer


def cached_tokens(
    model: Enformer,
    folder: RecordFolder,
    split: str,
    cache: str | Path,
    *,
    sequence_length_bp: int,
) -> np.ndarray:
    """Give the trunk's tokens of every record of a split, from a file where they were made before.

    Use it for training with a frozen trunk: its tokens never change, so they need not be computed
    at every step. A file belongs to one trunk, one set of records and one length; a run that was
    stopped while writing it goes on where it was. It takes 4 bytes per token and channel: 9.4 MB
    for a record of 196,608 bp at 1,536 channels.

    Args:
        model: Its stem and tower, in evaluation mode, are what is kept.
        folder: From `opening.open_folders`.
        split: `train`, `valid` or `test`.
        cache: Folder of the files; made if it is missing.
        sequence_length_bp: As for `datasets.examples`.

    Returns:
        float32 `[records, tokens, channels]`, row by row as in `sequences.bed`, read from the disk
        as it is used.

    Raises:
        FileNotFoundError: As `datasets.examples`.
        ValueError: As `datasets.examples`, or if the model does not take this length.
    """
    tokens = model.config.num_tokens(sequence_length_bp)
    shape = (len(folder.intervals_of(split)), tokens, model.config.channels)
    digest = _digest(model, folder, sequence_length_bp)
    finished = Path(cache) / f"{folder.organism}-{split}-{digest}.npy"
    if not finished.exists():
        partial = finished.with_suffix(".partial")
        examples = datasets.examples(folder, split, sequence_length_bp=sequence_length_bp)
        _write(model, examples, partial, shape)
        partial.rename(finished)
    return np.load(finished, mmap_mode="r")


def _write(
    model: Enformer, examples: tf.data.Dataset, path: Path, shape: tuple[int, int, int]
) -> None:
    embed = tf.function(model.embed)
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "r+" if path.exists() else "w+"
    array = np.lib.format.open_memmap(path, mode, dtype=np.float32, shape=shape)
    first = _num_written(array)
    with tqdm(total=shape[0], initial=first, desc="trunk", unit="record") as bar:
        for row, example in enumerate(examples.skip(first), start=first):
            array[row] = tf.cast(embed(example["sequence"][tf.newaxis])[0], tf.float32)
            bar.update()
    array.flush()


def _num_written(array: np.ndarray) -> int:
    """Rows that are whole for certain: a row not written is zeros, the last one may be in part."""
    started = 0
    while started < len(array) and array[started].any():
        started += 1
    return max(0, started - 1)


def _digest(model: Enformer, folder: RecordFolder, sequence_length_bp: int) -> str:
    """Different for every trunk, set of records and length."""
    digest = hashlib.sha256()
    read = [str(folder.path.resolve()), sequence_length_bp]
    digest.update(repr([*read, model.config.compute_dtype]).encode())
    for block in model.trunk:
        for variable in block.variables:
            digest.update(variable.numpy().tobytes())
    return digest.hexdigest()[:16]
