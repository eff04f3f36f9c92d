"""Cache the tokens that a frozen trunk computes from records, in one file per record."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.data.record_folders import RecordFolder
from senformer.data.windows import InputWindow
from senformer.model.enformer import Enformer
from senformer.storage import atomic_files, checked_arrays
from senformer.training.identity import digest_arrays, digest_records, digest_values

Embed = Callable[[tf.Tensor], tf.Tensor]

_FORMAT = 1  # raise it if the same trunk, records and length would give other tokens
_SUFFIX = ".safetensors"
_NAME = "tokens"
_BYTES_PER_NUMBER = 4  # float32
_BYTES_PER_HEADER = 512  # at most


class TrunkCache(NamedTuple):
    """Locate the cached tokens of a split's records, for one trunk and one length.

    Attributes:
        folder: Folder with one file per record.
        identity: Digest of all that determines the tokens; each file stores it, with its record.
        num_records: Number of records in the split.
        bytes_per_record: Size of one record's tokens.
    """

    folder: Path
    identity: str
    num_records: int
    bytes_per_record: int

    @classmethod
    def locate(
        cls,
        model: Enformer,
        records: RecordFolder,
        split: str,
        folder: str | Path,
        window: InputWindow,
    ) -> TrunkCache:
        """Locate the cache of a trunk, a set of records and a window.

        Unfinished files of a killed process are removed.

        Args:
            model: Model whose stem and tower are the trunk.
            records: The records, from `record_folders.open_folders`; their contents count, see
                `identity.digest_records`.
            split: `train`, `valid` or `test`.
            folder: Parent folder of all caches.
            window: Length and flanking sequence of the input.
        """
        variables = [variable for block in model.trunk for variable in block.variables]
        arrays = ((str(number), variable.numpy()) for number, variable in enumerate(variables))
        identity = digest_values(
            {
                "format": _FORMAT,
                "records": digest_records(records),
                "split": split,
                "sequence_length_bp": window.sequence_length_bp,
                "flanks": window.flanks,
                "pooling": model.config.pooling,
                "compute_dtype": model.config.compute_dtype,
                "trunk": digest_arrays(arrays),
            }
        )
        path = Path(folder) / f"{records.organism}-{split}-{identity}"
        atomic_files.remove_leftover(path)
        num_bytes = count_token_bytes(model.config, window.sequence_length_bp)
        return cls(
            path,
            identity,
            num_records=len(records.intervals_of(split)),
            bytes_per_record=num_bytes + _BYTES_PER_HEADER,
        )

    def file(self, row: int) -> Path:
        """Return the file of the record in a row of the split's intervals."""
        return self.folder / f"{row}{_SUFFIX}"


def count_token_bytes(config: ModelConfig, sequence_length_bp: int) -> int:
    """Compute the size of one record's tokens: 9.4 MB for 196,608 bp at 1,536 channels.

    Args:
        config: Configuration of the model.
        sequence_length_bp: Length of the input.
    """
    return _BYTES_PER_NUMBER * config.num_tokens(sequence_length_bp) * config.channels


def read_tokens(embed: Embed, batch: Mapping[str, tf.Tensor], cache: TrunkCache) -> np.ndarray:
    """Read the trunk's tokens of a batch's records, and compute and store missing ones.

    Use it for training with a frozen trunk, whose tokens never change. A file that is damaged or
    belongs to another record is computed again, with a message. Several processes may share a
    cache.

    Args:
        embed: `tf.function(model.embed)`: stem and tower in evaluation mode.
        batch: `sequence` `[batch, length, 4]` and `row` `[batch]`, from `datasets.batches`.
        cache: Result of `TrunkCache.locate`; a missing folder is created.

    Returns:
        float32 `[batch, tokens, channels]`.

    Raises:
        OSError: If a file cannot be written.
    """
    tokens = []
    for row, sequence in zip(batch["row"].numpy(), batch["sequence"], strict=True):
        path = cache.file(int(row))
        description = {"identity": cache.identity, "row": str(row)}
        stored = _read_stored(path, description)
        if stored is None:
            stored = tf.cast(embed(sequence[tf.newaxis])[0], tf.float32).numpy()
            checked_arrays.write(path, {_NAME: stored}, description)
        tokens.append(stored)
    return np.stack(tokens)


def check_room(caches: Collection[TrunkCache], num_records: int) -> None:
    """Print the size of the tokens that a training may store, and check that the disk has room.

    Args:
        caches: Caches that the training fills, all in one parent folder.
        num_records: Number of records that it reads from each cache, with repetitions.

    Raises:
        OSError: If there is less room; the message names the folder.
    """
    num_bytes = 0
    for cache in caches:
        num_stored = sum(1 for _ in cache.folder.glob(f"*{_SUFFIX}"))
        num_bytes += min(cache.num_records - num_stored, num_records) * cache.bytes_per_record
    if num_bytes:
        folder = next(iter(caches)).folder.parent
        atomic_files.check_free_space(folder, num_bytes)
        print(f"{folder}: up to {num_bytes / 1e9:.3g} GB of tokens to store", file=sys.stderr)


def _read_stored(path: Path, description: Mapping[str, str]) -> np.ndarray | None:
    """Read a file's tokens, or return None if it is missing, damaged or of another record."""
    if not path.exists():
        return None
    try:
        with checked_arrays.open_arrays(path) as stored:
            if all(stored.metadata.get(name) == value for name, value in description.items()):
                return stored.read(_NAME)
        problem = "the tokens of another record"
    except ValueError as error:
        problem = str(error)
    print(f"{path}: computed again ({problem})", file=sys.stderr)
    return None
