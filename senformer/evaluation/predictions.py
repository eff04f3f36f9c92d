"""A model as a function of arrays, and batches of records for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

if TYPE_CHECKING:  # a comparison of tables needs no model and no TensorFlow
    from senformer.model.enformer import Enformer

Example = Mapping[str, Any]
"""One record: `sequence` `[length, 4]` and `target` `[bins, tracks]`."""

Predict = Callable[[NDArray[np.float32]], ArrayLike]
"""`[batch, length, 4]` to `[batch, bins, tracks]`."""

NO_EXAMPLES = "no examples to evaluate; expected at least one record"


def predictor(model: Enformer, head: str) -> Predict:
    """Return one head of a model as a function: `[batch, length, 4]` to `[batch, bins, tracks]`.

    A model that was built in the scope of a strategy predicts on all devices of this worker, one
    sequence on each.
    """
    from senformer.model.compute import replicas

    devices = len(replicas.local_replicas())
    if devices == 1:
        return lambda sequence: model.predict_on_batch(sequence)[head].numpy()
    predict_each = replicas.run_on_each(lambda sequence: model.predict_on_batch(sequence)[head])

    def predict(sequences: NDArray[np.float32]) -> NDArray[np.float32]:
        predictions = []
        for first in range(0, len(sequences), devices):
            batch = sequences[first : first + devices]
            # A device without a sequence of its own repeats the last one.
            inputs = [[batch[min(n, len(batch) - 1)][np.newaxis]] for n in range(devices)]
            predictions += [output.numpy() for output in predict_each(inputs)[: len(batch)]]
        return np.concatenate(predictions)

    return predict


def batched(
    examples: Iterable[Example], *, batch_size: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield sequences `[batch, length, 4]` and targets `[batch, bins, tracks]`.

    The first worker shows a progress bar.

    Args:
        examples: Records with `sequence` `[length, 4]` and `target` `[bins, tracks]`.
        batch_size: Records per batch; the last batch can have fewer.
    """
    from senformer.model.compute import replicas

    bar = tqdm(examples, desc="evaluate", unit="seq", disable=not replicas.is_chief())
    records = iter(bar)
    while batch := list(islice(records, batch_size)):
        yield (
            np.stack([np.asarray(example["sequence"]) for example in batch]),
            np.stack([np.asarray(example["target"]) for example in batch]),
        )
