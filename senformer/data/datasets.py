"""Examples for evaluation and batches for training, from a folder's records, as `tf.data`.

`examples` gives a split once, in order; `batches` gives it endlessly, shuffled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from senformer.config import BIN_SIZE_BP, expect_integer
from senformer.data import genome, records
from senformer.data.record_folders import RecordFolder
from senformer.data.records import Record, Shards
from senformer.data.windows import Surroundings, Window, cut

_SHUFFLE_WINDOW = 32  # records in memory at a time; one of Basenji2's human records takes 10 MB


class Share(NamedTuple):
    """Which of a split's records a worker takes, one of several that read it together.

    Every worker goes through the files, which are compressed as a whole; what the others take it
    does not decode.

    Attributes:
        worker: Its number, from 0.
        num_workers: How many there are.
    """

    worker: int = 0
    num_workers: int = 1


ALL = Share()
"""All records, for who reads alone."""


def examples(
    folder: RecordFolder,
    split: str,
    *,
    sequence_length_bp: int,
    target_length: int | None = None,
    flanks: str = "zeros",
    fasta: str | Path | None = None,
    share: Share = ALL,
) -> tf.data.Dataset:
    """Every record of a split once, in the order of sequences.bed; for evaluation.

    The targets stay in the middle: bin `j` of the target is token
    `(sequence_length_bp / 128 - target_length) // 2 + j` of the sequence, which is where a model
    that crops its tokens to the central `target_length` predicts it. A sequence shorter than the
    stored one is cut from its middle; a longer one gets `flanks`.

    Borzoi's 32-bp bins become 128-bp bins: the sum of four for tracks whose `sum_stat` is a sum,
    the mean otherwise. Values are pooled as stored: a `sum_sqrt` track was squashed (to the power
    of 3/4, then a soft clip) bin by bin before it was written, so its sums are not the coverage of
    128 bp, squashed.

    Args:
        folder: From `record_folders.open_folders`.
        split: `train`, `valid` or `test`.
        sequence_length_bp: Length of the sequences, a multiple of 128.
        target_length: Central 128-bp bins to give. By default all that are stored, or all that the
            sequence covers where that is less.
        flanks: What a sequence longer than the stored one gets on both sides: `zeros`, as in the
            study, or the real `genome`, with zeros beyond a chromosome's ends.
        fasta: The genome, read for `flanks='genome'` alone; by default `genome.fa` in the
            organism's folder. Every stored sequence is compared with it.
        share: Of several workers, each takes one record in turn.

    Returns:
        A data set of `{'sequence': [sequence_length_bp, 4], 'target': [target_length,
        num_tracks], 'row': []}`, the first two float32; the row among the split's intervals int32.

    Raises:
        FileNotFoundError: If there is no such FASTA.
        ValueError: If an argument is out of range, or the FASTA lacks a chromosome. While reading,
            if a record is damaged, missing or differs from the FASTA. Every message names the file
            or the value.
    """
    intervals = folder.intervals_of(split)
    window = Window.in_records(folder, sequence_length_bp, target_length)
    surroundings = Surroundings.named(folder, intervals, flanks, fasta)
    shards = Shards.of(folder.path, split, len(intervals))
    return _dataset(
        folder, window, surroundings, lambda: _of_share(shards.read_all(), share, size=1)
    )


def batches(
    folder: RecordFolder,
    split: str,
    *,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    sequence_length_bp: int,
    target_length: int | None = None,
    flanks: str = "zeros",
    fasta: str | Path | None = None,
    share: Share = ALL,
) -> tf.data.Dataset:
    """Shuffled batches of a split without end; for training.

    The order is a function of `seed` alone: batch `n` is the same whether it is reached from step 0
    or asked for with `first_step=n`, so a run that was stopped goes on with the batches that it
    would have seen. Each epoch takes the files in a new order and shuffles the records within
    windows of 32, which is all that is held in memory.

    Args:
        folder: From `record_folders.open_folders`.
        split: `train`, `valid` or `test`.
        batch_size: Examples per batch, those of all workers together. A batch may span two epochs;
            none is smaller.
        seed: Decides the order.
        first_step: Batches to leave out at the start.
        sequence_length_bp: As for `examples`.
        target_length: As for `examples`.
        flanks: As for `examples`.
        fasta: As for `examples`.
        share: Of several workers, each takes one of the equal parts of every batch, in order.

    Returns:
        An endless data set of `{'sequence': [batch_size, sequence_length_bp, 4], 'target':
        [batch_size, target_length, num_tracks], 'row': [batch_size]}`, as for `examples`; of a
        share, `batch_size / num_workers` each.

    Raises:
        FileNotFoundError: As for `examples`.
        ValueError: As for `examples`, and if `batch_size`, `seed` or `first_step` is out of range,
            or the batch cannot be divided among the workers.
    """
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
        ("first_step", first_step, 0),
    ):
        expect_integer(name, value, least)
    size, left_over = divmod(batch_size, share.num_workers)
    if left_over:
        raise ValueError(f"batch_size={batch_size}, expected a multiple of {share.num_workers}")
    intervals = folder.intervals_of(split)
    window = Window.in_records(folder, sequence_length_bp, target_length)
    surroundings = Surroundings.named(folder, intervals, flanks, fasta)
    shards = Shards.of(folder.path, split, len(intervals))
    shuffled = _dataset(
        folder,
        window,
        surroundings,
        lambda: _of_share(_shuffled(shards, seed, first_step * batch_size), share, size),
    )
    return shuffled.batch(size, drop_remainder=True).prefetch(1)


# -------------------------------------------------------------------------- which record comes next


def _shuffled(shards: Shards, seed: int, first_record: int) -> Iterator[Record]:
    epoch, num_skipped = divmod(first_record, shards.num_records)
    while True:
        yield from islice(_epoch(shards, seed, epoch), num_skipped, None)
        epoch, num_skipped = epoch + 1, 0


def _epoch(shards: Shards, seed: int, epoch: int) -> Iterator[Record]:
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(shards.files))
    in_file_order = (record for number in order for record in shards.read(number))
    while window := list(islice(in_file_order, _SHUFFLE_WINDOW)):
        yield from (window[i] for i in rng.permutation(len(window)))


def _of_share(records_in_turn: Iterator[Record], share: Share, size: int) -> Iterator[Record]:
    """Of so many records for each worker in turn, this one's."""
    for place, record in enumerate(records_in_turn):
        if place // size % share.num_workers == share.worker:
            yield record


# -------------------------------------------------------------------------- from record to example


def _arrays(
    folder: RecordFolder,
    window: Window,
    surroundings: Surroundings | None,
    records_in_turn: Iterator[Record],
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Base indices [length]; values [target_length, stored bins per 128 bp, tracks]; row."""
    fasta = genome.open_fasta(surroundings.fasta) if surroundings else None
    bins = slice(window.first_bin, window.first_bin + window.target_length)
    for record in records_in_turn:
        stored, values = records.decode(record, folder.layout)
        values = values.reshape(folder.target_length, -1, folder.num_tracks)[bins]
        if surroundings is None:
            yield cut(stored, window), values, record.row
        else:
            yield surroundings.bases(fasta, record, stored, window), values, record.row


def _dataset(
    folder: RecordFolder,
    window: Window,
    surroundings: Surroundings | None,
    read: Callable[[], Iterator[Record]],
) -> _ReadableErrors:
    failures: list[Exception] = []

    def arrays() -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        try:
            yield from _arrays(folder, window, surroundings, read())
        except (OSError, ValueError) as error:
            failures.append(error)
            raise

    bins_per_bin = BIN_SIZE_BP // folder.pool_width_bp
    is_sum = folder.targets["sum_stat"].str.startswith("sum").to_numpy()
    scale = np.where(is_sum, 1.0, 1.0 / bins_per_bin).astype(np.float32)

    def to_example(bases: tf.Tensor, values: tf.Tensor, row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "sequence": tf.one_hot(bases, 4),  # [length] -> [length, 4]; an N is off the end
            "target": tf.reduce_sum(tf.cast(values, tf.float32), axis=1) * scale,
            "row": row,
        }

    stored = tf.data.Dataset.from_generator(
        arrays,
        output_signature=(
            tf.TensorSpec([window.sequence_length_bp], tf.uint8),
            tf.TensorSpec([window.target_length, bins_per_bin, folder.num_tracks], tf.float16),
            tf.TensorSpec([], tf.int32),
        ),
    )
    decoded = stored.map(to_example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return _ReadableErrors(decoded, failures)


class _ReadableErrors(tf.data.Dataset):
    """A data set that raises its reader's error as it is, also after a transformation.

    TensorFlow wraps an error of a Python reader in one of its own, with a traceback for its text.
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
        elements = super().__iter__()
        while True:
            try:
                element = next(elements)
            except StopIteration:
                return
            except tf.errors.OpError:
                if self._failures:
                    raise self._failures.pop() from None
                raise
            yield element

    def map(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.map(*args, **kwargs), self._failures)

    def take(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.take(*args, **kwargs), self._failures)

    def batch(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.batch(*args, **kwargs), self._failures)

    def prefetch(self, *args: Any, **kwargs: Any) -> _ReadableErrors:
        return _ReadableErrors(self._dataset.prefetch(*args, **kwargs), self._failures)
