"""A model as a function of arrays, and the records that it is given, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

if TYPE_CHECKING:  # tables that are compared without a model need no TensorFlow
    from senformer.model.compute import replicas
    from senformer.model.enformer import Enformer

Example = Mapping[str, Any]
"""One record: `sequence` `[length, 4]` and `target` `[bins, tracks]`."""

Predict = Callable[[NDArray[np.float32]], ArrayLike]
"""`[batch, length, 4]` to `[batch, bins, tracks]`."""

NO_EXAMPLES = "no examples to evaluate; expected at least one record"


def predictor(model: Enformer, head: str) -> Predict:
    """One head of a model as a function: `[batch, length, 4]` to `[batch, bins, tracks]`.

    A model that was made in the scope of a strategy predicts on all devices of this worker, a
    sequence on each.
    """
    from senformer.model.compute import replicas

    number = len(replicas.local_replicas())
    if number == 1:
        return lambda sequence: model.predict_on_batch(sequence)[head].numpy()
    predict_each = replicas.run_on_each(lambda sequence: model.predict_on_batch(sequence)[head])

    def predict(sequences: NDArray[np.float32]) -> NDArray[np.float32]:
        rounds = range(0, len(sequences), number)
        return np.concatenate(
            [_predict_round(predict_each, sequences[n : n + number], number) for n in rounds]
        )

    return predict


def batched(
    examples: Iterable[Example], *, batch_size: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield sequences `[batch, length, 4]` and targets `[batch, bins, tracks]`, a bar beside them.

    Of several workers, the first shows its bar.

    Args:
        examples: records with `sequence` `[length, 4]` and `target` `[bins, tracks]`.
        batch_size: records per batch; the last may have fewer.
    """
    from senformer.model.compute import replicas

    bar = tqdm(examples, desc="evaluate", unit="seq", disable=not replicas.is_chief())
    for batch in _in_batches(bar, batch_size):
        yield (
            np.stack([np.asarray(example["sequence"]) for example in batch]),
            np.stack([np.asarray(example["target"]) for example in batch]),
        )


def require_same_shape(target: NDArray[np.float32], prediction: NDArray[np.float32]) -> None:
    """Refuse predictions that are not of the targets' bins and tracks.

    Raises:
        ValueError: if the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"predictions are {prediction.shape}, targets {target.shape}: expected the same "
            "[batch, bins, tracks]"
        )


def _predict_round(
    predict_each: replicas.OnEach, sequences: NDArray[np.float32], number: int
) -> NDArray[np.float32]:
    """At most a sequence for each device; a device that would have none repeats the last one."""
    last = len(sequences) - 1
    given = [[sequences[min(n, last)][np.newaxis]] for n in range(number)]
    return np.concatenate([one.numpy() for one in predict_each(given)[: len(sequences)]])


def _in_batches(examples: Iterable[Example], batch_size: int) -> Iterator[list[Example]]:
    batch: list[Example] = []
    for example in examples:
        batch.append(example)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch
