"""What a frozen trunk makes of the records, computed when first asked for and kept in files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.data.record_folders import RecordFolder
from senformer.model.enformer import Enformer
from senformer.storage import atomic_files, checked_arrays
from senformer.training.identity import digest_of_arrays, digest_of_records, digest_of_values

Embed = Callable[[tf.Tensor], tf.Tensor]

_FORMAT = 1  # raise it when the same trunk, records and length would give other tokens
_SUFFIX = ".safetensors"
_NAME = "tokens"
_BYTES_PER_NUMBER = 4  # float32
_BYTES_PER_HEADER = 512  # at most


class TrunkCache(NamedTuple):
    """Where the tokens of a split's records are kept, for one trunk and one length.

    Attributes:
        folder: A file per record.
        identity: Digest of all that decides the tokens; each file names it, with its record.
        num_records: Of the split.
        bytes_per_record: What a record's tokens take.
    """

    folder: Path
    identity: str
    num_records: int
    bytes_per_record: int

    @classmethod
    def named(
        cls,
        model: Enformer,
        records: RecordFolder,
        split: str,
        folder: str | Path,
        *,
        sequence_length_bp: int,
        flanks: str = "zeros",
    ) -> TrunkCache:
        """A cache of its own for every trunk, set of records and length.

        What a process that was killed left in it is removed.

        Args:
            model: Its stem and tower are the trunk.
            records: From `record_folders.open_folders`; what counts is what the files hold, see
                `identity.digest_of_records`.
            split: `train`, `valid` or `test`.
            folder: Folder of the caches' folders.
            sequence_length_bp: Length of the input.
            flanks: What it has around shorter records, see `windows.InputWindow`.
        """
        variables = [variable for block in model.trunk for variable in block.variables]
        of_trunk = ((str(number), variable.numpy()) for number, variable in enumerate(variables))
        identity = digest_of_values(
            {
                "format": _FORMAT,
                "records": digest_of_records(records),
                "split": split,
                "sequence_length_bp": sequence_length_bp,
                "flanks": flanks,
                "pooling": model.config.pooling,
                "compute_dtype": model.config.compute_dtype,
                "trunk": digest_of_arrays(of_trunk),
            }
        )
        path = Path(folder) / f"{records.organism}-{split}-{identity}"
        atomic_files.remove_leftover(path)
        return cls(
            path,
            identity,
            num_records=len(records.intervals_of(split)),
            bytes_per_record=bytes_of_tokens(model.config, sequence_length_bp) + _BYTES_PER_HEADER,
        )

    def file(self, row: int) -> Path:
        """Of the record in a row of the split's intervals."""
        return self.folder / f"{row}{_SUFFIX}"


def bytes_of_tokens(config: ModelConfig, sequence_length_bp: int) -> int:
    """What the trunk's tokens of a record take: 9.4 MB for 196,608 bp at 1,536 channels.

    Args:
        config: Of the model.
        sequence_length_bp: Length of the input.
    """
    return _BYTES_PER_NUMBER * config.num_tokens(sequence_length_bp) * config.channels


def cached_tokens(embed: Embed, batch: Mapping[str, tf.Tensor], cache: TrunkCache) -> np.ndarray:
    """Give the trunk's tokens of a batch's records, from files where they were made before.

    Use it for training with a frozen trunk: its tokens never change, so they need not be computed
    at every step; and a short training sees few of the records. A file that is damaged, or of
    anything else, is made anew, and said to be. Several processes may share a cache: each makes
    what it does not find.

    Args:
        embed: `tf.function(model.embed)`: stem and tower in evaluation mode.
        batch: `sequence` `[batch, length, 4]` and `row` `[batch]`, from `datasets.batches`.
        cache: From `TrunkCache.named`; its folder is made if it is missing.

    Returns:
        float32 `[batch, tokens, channels]`.

    Raises:
        OSError: If a file cannot be written.
    """
    return np.stack(
        [
            _of_record(embed, sequence, cache, int(row))
            for row, sequence in zip(batch["row"].numpy(), batch["sequence"], strict=True)
        ]
    )


def expect_room(caches: Collection[TrunkCache], num_asked: int) -> None:
    """Say how much a training may keep, and refuse to begin if the disk cannot take it.

    Args:
        caches: Those that it fills, all below one folder.
        num_asked: How many records' tokens it asks each for.

    Raises:
        OSError: If there is less room; the message names the folder.
    """
    num_bytes = 0
    for cache in caches:
        num_kept = sum(1 for _ in cache.folder.glob(f"*{_SUFFIX}"))
        num_bytes += min(cache.num_records - num_kept, num_asked) * cache.bytes_per_record
    if num_bytes:
        folder = next(iter(caches)).folder.parent
        atomic_files.check_free_space(folder, num_bytes)
        print(f"{folder}: up to {num_bytes / 1e9:.3g} GB of tokens to keep", file=sys.stderr)


def _of_record(embed: Embed, sequence: tf.Tensor, cache: TrunkCache, row: int) -> np.ndarray:
    kept = _kept(cache, row)
    if kept is not None:
        return kept
    tokens = tf.cast(embed(sequence[tf.newaxis])[0], tf.float32).numpy()
    checked_arrays.write(cache.file(row), {_NAME: tokens}, _described(cache, row))
    return tokens


def _kept(cache: TrunkCache, row: int) -> np.ndarray | None:
    path = cache.file(row)
    if not path.exists():
        return None
    try:
        with checked_arrays.open_arrays(path) as stored:
            if all(stored.metadata.get(name) == v for name, v in _described(cache, row).items()):
                return stored.read(_NAME)
        found = "the tokens of another record"
    except ValueError as error:
        found = str(error)
    print(f"{path}: made anew ({found})", file=sys.stderr)
    return None


def _described(cache: TrunkCache, row: int) -> dict[str, str]:
    return {"identity": cache.identity, "row": str(row)}
