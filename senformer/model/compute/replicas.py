"""Communicate between the devices that train one model.

Each device holds a replica of the model. The TensorFlow strategy in whose scope a model is made
creates and runs the replicas of one process. A worker is a process, on one machine or on several.
Without a strategy there is one worker with one replica, and nothing is communicated.

Source: `tf.distribute`; `mean_over_replicas` corresponds to Sonnet's cross-replica statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Tensors: TypeAlias = "tf.Tensor | Sequence[tf.Tensor]"

Arguments: TypeAlias = "Sequence[Sequence[tf.Tensor | np.ndarray]]"
"""Arguments of a function for each replica of this worker."""

OnEach = Callable[[Arguments], list[tf.Tensor]]
"""Function from the arguments of this worker's replicas to their results."""


def num_replicas() -> int:
    """Return the number of replicas of all workers."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def num_workers() -> int:
    """Return the number of processes that train together."""
    return sum(_count_tasks().values()) or 1


def worker() -> int:
    """Return the number of this process among the workers, from 0; a `chief` task comes first."""
    tasks = _count_tasks()
    if not tasks:
        return 0
    resolver = tf.distribute.get_strategy().cluster_resolver
    return resolver.task_id + (tasks.get("chief", 0) if resolver.task_type == "worker" else 0)


def is_chief() -> bool:
    """Return whether this worker writes files and shows progress."""
    return worker() == 0


def local_replicas() -> range:
    """Return the numbers of this worker's replicas among all."""
    replicas_per_worker = num_replicas() // num_workers()
    return range(worker() * replicas_per_worker, (worker() + 1) * replicas_per_worker)


def mean_over_replicas(x: Tensors) -> Tensors:
    """Compute the mean over all replicas, with its gradient.

    Call it in functions that `strategy.run` runs on every replica. With one replica, or outside of
    `strategy.run`, it returns `x`.

    Args:
        x: One or several tensors, of the same shapes on all replicas.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return x
    return replica.all_reduce(tf.distribute.ReduceOp.MEAN, x)


def assign(variable: tf.Variable, value: tf.Tensor) -> None:
    """Assign a value to a variable on this replica only.

    Call it where all replicas assign the same value. `variable.assign` would communicate with the
    other replicas to merge different values.
    """
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


def assign_add(variable: tf.Variable, value: tf.Tensor) -> None:
    """Add a value to a variable on this replica only; see `assign`."""
    tf.raw_ops.AssignAddVariableOp(resource=variable.handle, value=value)


def run_on_each(function: Callable[..., tf.Tensor]) -> OnEach:
    """Return a function that all devices of this worker run in parallel on their own arguments.

    Args:
        function: Function of tensors.
    """
    strategy = tf.distribute.get_strategy()
    run = tf.function(lambda *args: strategy.run(function, args=args), autograph=False)
    return lambda arguments: list(strategy.experimental_local_results(run(*_distribute(arguments))))


def mean_of_each(function: Callable[..., tf.Tensor]) -> Callable[[Arguments], tf.Tensor]:
    """Return a function as `run_on_each`, but to the mean result over all workers' replicas.

    Args:
        function: Function from tensors to a scalar.
    """
    strategy = tf.distribute.get_strategy()

    def run(*args: tf.Tensor) -> tf.Tensor:
        results = strategy.run(function, args=args)
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, results, axis=None)

    run_on_all = tf.function(run, autograph=False)
    return lambda arguments: run_on_all(*_distribute(arguments))


def sum_over_workers(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the sum of an array over all workers, each of which must call this function.

    Args:
        array: Array of the same shape in all workers.
    """
    if num_workers() == 1:
        return array
    strategy = tf.distribute.get_strategy()
    first = local_replicas()[0]
    [parts] = _distribute([[array if n == first else 0 * array] for n in local_replicas()])
    return strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None).numpy()


def _count_tasks() -> dict[str, int]:
    """Return the number of tasks of each training job in the cluster; empty without a cluster."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    jobs = resolver.cluster_spec().as_dict() if resolver else {}
    return {job: len(jobs[job]) for job in ("chief", "worker") if job in jobs}


def _distribute(arguments: Arguments) -> list[tf.Tensor]:
    """Convert the arguments of this worker's replicas to the strategy's distributed values."""
    strategy = tf.distribute.get_strategy()
    first = local_replicas()[0]
    return [
        strategy.experimental_distribute_values_from_function(
            lambda replica, values=values: tf.convert_to_tensor(
                values[replica.replica_id_in_sync_group - first]
            )
        )
        for values in zip(*arguments, strict=True)
    ]
