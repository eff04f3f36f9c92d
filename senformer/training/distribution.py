"""Training on several devices: which there are, and what holds for all who train together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from senformer.model.enformer import Enformer
from senformer.model.speed import replicas
from senformer.storage import whole_files

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
"""What TensorFlow's collective operations end with when a process they wait for is gone."""


def wait_for_all() -> None:
    """Wait until all workers have come as far as this."""
    replicas.sum_over_workers(np.zeros(1))


@contextlib.contextmanager
def held_by_chief(path: Path | None) -> Iterator[None]:
    """`whole_files.exclusive` for all workers together: the chief holds it, the others wait for it.

    Args:
        path: What is held; none holds nothing.
    """
    with whole_files.exclusive(path) if path and replicas.is_chief() else contextlib.nullcontext():
        wait_for_all()
        yield


@contextlib.contextmanager
def naming_lost_workers(checkpoint: Path | None) -> Iterator[None]:
    """End in one line where another worker has ended, be it killed.

    The others notice when they next wait for it, at once or after some ten seconds without a sign
    of life, which TensorFlow's processes give each other.

    Args:
        checkpoint: Where the training is kept, if it is.

    Raises:
        ConnectionError: In place of TensorFlow's errors.
    """
    try:
        yield
    except _LOST as error:
        if replicas.num_workers() == 1:
            raise
        kept = f" and the training goes on from {checkpoint}" if checkpoint else ""
        raise ConnectionError(
            f"worker {replicas.worker()} of {replicas.num_workers()}: another worker has ended; "
            f"start all of them again,{kept} ({error.message.splitlines()[0]})"
        ) from error


def expect_same_strategy(model: Enformer) -> None:
    """Refuse a model that is not spread over the devices that are to train it.

    Raises:
        ValueError: If it was made in the scope of another strategy, or in none.
    """
    of_model = getattr(model.variables[0], "distribute_strategy", None)
    in_charge = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
    if of_model is not in_charge:
        names = [type(one).__name__ if one else "no strategy" for one in (of_model, in_charge)]
        raise ValueError(
            f"a model of {names[0]} is trained with {names[1]}, expected both in the scope of one: "
            "`with strategy.scope():` around making the model and training it"
        )
