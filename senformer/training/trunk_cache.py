"""What a frozen trunk makes of the records, computed when first asked for and kept in files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from senformer.data.opening import RecordFolder
from senformer.model.enformer import Enformer

Embed = Callable[[tf.Tensor], tf.Tensor]


def cached_tokens(embed: Embed, batch: Mapping[str, tf.Tensor], cache: Path) -> np.ndarray:
    """Give the trunk's tokens of a batch's records, from files where they were made before.

    Use it for training with a frozen trunk: its tokens never change, so they need not be computed
    at every step; and a short training sees few of the records. A record takes 4 bytes per token
    and channel: 9.4 MB for 196,608 bp at 1,536 channels.

    Args:
        embed: `tf.function(model.embed)`: stem and tower in evaluation mode.
        batch: `sequence` `[batch, length, 4]` and `row` `[batch]`, from `datasets.batches`.
        cache: From `folder_of_tokens`; made if it is missing.

    Returns:
        float32 `[batch, tokens, channels]`.
    """
    return np.stack(
        [
            _of_record(embed, sequence, cache / f"{row}.npy")
            for row, sequence in zip(batch["row"].numpy(), batch["sequence"], strict=True)
        ]
    )


def folder_of_tokens(
    model: Enformer,
    records: RecordFolder,
    split: str,
    cache: str | Path,
    *,
    sequence_length_bp: int,
) -> Path:
    """A folder of its own for every trunk, set of records and length.

    Args:
        model: Its stem and tower are the trunk.
        records: From `opening.open_folders`.
        split: `train`, `valid` or `test`.
        cache: Folder of the folders.
        sequence_length_bp: Length of the input.
    """
    digest = hashlib.sha256()
    read = [str(records.path.resolve()), sequence_length_bp]
    digest.update(repr([*read, model.config.compute_dtype]).encode())
    for block in model.trunk:
        for variable in block.variables:
            digest.update(variable.numpy().tobytes())
    return Path(cache) / f"{records.organism}-{split}-{digest.hexdigest()[:16]}"


def _of_record(embed: Embed, sequence: tf.Tensor, path: Path) -> np.ndarray:
    if not path.exists():
        tokens = tf.cast(embed(sequence[tf.newaxis])[0], tf.float32).numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.npy")
        np.save(unfinished, tokens)
        unfinished.replace(path)  # a run that is killed leaves no record in part
    return np.load(path)
