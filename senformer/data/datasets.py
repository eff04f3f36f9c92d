"""Give records as `tf.data`: examples for evaluation and batches for training.

`examples` yields a split once, in order; `batches` yields it without end, shuffled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from senformer.config import BIN_SIZE_BP, NonNegativeInteger, Options, PositiveInteger
from senformer.data.record_folders import RecordFolder
from senformer.data.records import Record, Shards
from senformer.data.windows import InputWindow, RecordCutter

_SHUFFLE_WINDOW = 32  # records in memory at a time; one of Basenji2's human records takes 10 MB


class Share(NamedTuple):
    """Describe the records that one of several workers takes from a split.

    Each worker reads all files, because each file is compressed as a whole. A worker decodes only
    its own records.

    Attributes:
        worker: The worker's number, from 0.
        num_workers: Number of workers.
    """

    worker: int = 0
    num_workers: int = 1


ALL = Share()
"""The share of a single worker: all records."""


class Batching(Options):
    """Describe how a split is shuffled and divided into batches.

    Attributes:
        batch_size: Examples per batch, summed over all workers. A batch may span two epochs; all
            batches have the same size.
        seed: Determines the order of the examples.
        first_step: Number of batches to skip at the start.

    Raises:
        ValueError: If a value is no integer or is too small.
    """

    batch_size: PositiveInteger
    seed: NonNegativeInteger
    first_step: NonNegativeInteger = 0


def examples(
    folder: RecordFolder, split: str, window: InputWindow, *, share: Share = ALL
) -> tf.data.Dataset:
    """Give every record of a split once, in the order of sequences.bed; for evaluation.

    The targets stay in the middle: bin `j` of the target is token
    `(sequence_length_bp / 128 - target_length) // 2 + j` of the sequence, which is where a model
    that crops its tokens to the central `target_length` predicts it.

    Borzoi's 32-bp bins become 128-bp bins: the sum of four for tracks whose `sum_stat` is a sum,
    the mean otherwise. Stored values are pooled as they are: a `sum_sqrt` track was squashed (to
    the power of 3/4, then a soft clip) bin by bin before it was written, so its sums differ from
    the squashed coverage of 128 bp.

    Args:
        folder: The records, from `record_folders.open_folders`.
        split: `train`, `valid` or `test`.
        window: The part of each record that makes an example.
        share: The worker that reads; each of several workers takes one record in turn.

    Returns:
        A data set of `{'sequence': [sequence_length_bp, 4], 'target': [target_length,
        num_tracks], 'row': []}`, the first two float32; `row`, int32, is the record's row among the
        split's intervals.

    Raises:
        FileNotFoundError: If the FASTA does not exist.
        ValueError: If the window does not fit the records, or the FASTA lacks a chromosome. While
            reading, if a record is damaged, missing or differs from the FASTA. Every message names
            the file or the value.
    """
    cutter = RecordCutter.for_split(folder, split, window)
    shards = Shards.find(folder.path, split, len(cutter.intervals))
    return _dataset(cutter, lambda: _take_share(shards.read_all(), share, 1))


def batches(
    folder: RecordFolder,
    split: str,
    window: InputWindow,
    batching: Batching,
    *,
    share: Share = ALL,
) -> tf.data.Dataset:
    """Give shuffled batches of a split without end; for training.

    The order is a function of the seed: batch `n` is the same whether a run reaches it from step 0
    or starts with `first_step=n`. So a run that was stopped continues with the same batches. Each
    epoch reads the files in a new order and shuffles the records within windows of 32; only one
    window is in memory.

    Args:
        folder: The records, from `record_folders.open_folders`.
        split: `train`, `valid` or `test`.
        window: The part of each record that makes an example.
        batching: Size, seed and first step of the batches.
        share: The worker that reads; each of several workers takes an equal part of every batch.

    Returns:
        An endless data set of `{'sequence': [batch_size, sequence_length_bp, 4], 'target':
        [batch_size, target_length, num_tracks], 'row': [batch_size]}`, as for `examples`. A
        worker's batches have `batch_size / num_workers` examples.

    Raises:
        FileNotFoundError: If the FASTA does not exist.
        ValueError: As `examples`, and if the workers cannot divide a batch equally.
    """
    size, remainder = divmod(batching.batch_size, share.num_workers)
    if remainder:
        raise ValueError(
            f"batch_size={batching.batch_size}, expected a multiple of {share.num_workers}"
        )
    cutter = RecordCutter.for_split(folder, split, window)
    shards = Shards.find(folder.path, split, len(cutter.intervals))
    shuffled = _dataset(cutter, lambda: _take_share(_shuffle(shards, batching), share, size))
    return shuffled.batch(size, drop_remainder=True).prefetch(1)


# ------------------------------------------------------------------------------ the next record


def _shuffle(shards: Shards, batching: Batching) -> Iterator[Record]:
    """Yield records without end, in an order that depends on the seed and the epoch."""
    first_record = batching.first_step * batching.batch_size
    epoch, num_skipped = divmod(first_record, shards.num_records)
    while True:
        yield from islice(_shuffle_epoch(shards, batching.seed, epoch), num_skipped, None)
        epoch, num_skipped = epoch + 1, 0


def _shuffle_epoch(shards: Shards, seed: int, epoch: int) -> Iterator[Record]:
    rng = np.random.default_rng([seed, epoch])
    file_order = rng.permutation(len(shards.files))
    in_file_order = (record for number in file_order for record in shards.read(number))
    while window := list(islice(in_file_order, _SHUFFLE_WINDOW)):
        yield from (window[i] for i in rng.permutation(len(window)))


def _take_share(records: Iterator[Record], share: Share, size: int) -> Iterator[Record]:
    """Yield one worker's records, if the workers take `size` records each in turn."""
    for place, record in enumerate(records):
        if place // size % share.num_workers == share.worker:
            yield record


# -------------------------------------------------------------------------- records to examples


def _dataset(cutter: RecordCutter, read: Callable[[], Iterator[Record]]) -> _ReadableErrors:
    """Make a data set of examples from a function that reads records."""
    failures: list[Exception] = []
    folder = cutter.folder

    def cut_examples() -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        try:
            yield from cutter.cut(read())
        except (OSError, ValueError) as error:
            failures.append(error)
            raise

    bins_per_bin = BIN_SIZE_BP // folder.pool_width_bp
    is_sum = folder.targets["sum_stat"].str.startswith("sum").to_numpy()
    scale = np.where(is_sum, 1.0, 1.0 / bins_per_bin).astype(np.float32)

    def to_example(bases: tf.Tensor, values: tf.Tensor, row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "sequence": tf.one_hot(bases, 4),  # [length] -> [length, 4]; index 4, N, gives zeros
            "target": tf.reduce_sum(tf.cast(values, tf.float32), axis=1) * scale,
            "row": row,
        }

    stored = tf.data.Dataset.from_generator(
        cut_examples,
        output_signature=(
            tf.TensorSpec([cutter.sequence_length_bp], tf.uint8),
            tf.TensorSpec([cutter.target_length, bins_per_bin, folder.num_tracks], tf.float16),
            tf.TensorSpec([], tf.int32),
        ),
    )
    decoded = stored.map(to_example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return _ReadableErrors(decoded, failures)


class _ReadableErrors(tf.data.Dataset):
    """Raise the reader's own errors, also after a transformation.

    TensorFlow replaces an error of a Python reader by its own, whose text is a traceback.
    """

    def __init__(self, dataset: tf.data.Dataset, failures: list[Exception]) -> None:
        self._dataset = dataset
        self._failures = failures
        super().__init__(dataset._variant_tensor)

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._dataset]

    @property
    def element_spec(self) -> Any:
        return self._dataset.element_spec

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from super().__iter__()
        except tf.errors.OpError:
            if self._failures:
                raise self._failures.pop() from None
            raise

    def map(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.map(*args, **kwargs), self._failures)

    def take(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.take(*args, **kwargs), self._failures)

    def batch(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.batch(*args, **kwargs), self._failures)

    def prefetch(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.prefetch(*args, **kwargs), self._failures)
