"""The devices that train one model together: what each has to ask about the others, and to tell.

Each device holds a replica of the model. The replicas of one process are made and run by the
TensorFlow strategy in whose scope the model is made; a worker is a process, on one machine or on
several. On one device, without a strategy, there is one worker with one replica, and nothing is
sent anywhere.

Source: `tf.distribute`; Sonnet's modules run in it and add nothing of their own but cross-replica
statistics, as `mean_over_replicas` makes them here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Tensors: TypeAlias = "tf.Tensor | Sequence[tf.Tensor]"

Arguments: TypeAlias = "Sequence[Sequence[tf.Tensor | np.ndarray]]"
"""Those of each replica of this worker."""

OnEach = Callable[[Arguments], list[tf.Tensor]]
"""From the arguments of each replica of this worker to the result of each."""


def num_replicas() -> int:
    """How many replicas there are, those of all workers together."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def num_workers() -> int:
    """How many processes work together."""
    return sum(_tasks().values()) or 1


def worker() -> int:
    """The number of this process among the workers, from 0, a task that is called chief first."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    if not _tasks():
        return 0
    return resolver.task_id + (_tasks().get("chief", 0) if resolver.task_type == "worker" else 0)


def is_chief() -> bool:
    """Whether this worker is the one that writes files and shows progress."""
    return worker() == 0


def numbers_here() -> range:
    """The numbers of this worker's replicas among all."""
    of_each_worker = num_replicas() // num_workers()
    return range(worker() * of_each_worker, (worker() + 1) * of_each_worker)


def mean_over_replicas(x: Tensors) -> Tensors:
    """The mean of what each replica has, with its gradient; of one alone, what it has.

    For functions that `strategy.run` runs on every replica. Outside of that there is nobody to ask,
    and `x` comes back.

    Args:
        x: A tensor, or several, of the same shapes on all replicas.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return x
    return replica.all_reduce(tf.distribute.ReduceOp.MEAN, x)


def assign(variable: tf.Variable, value: tf.Tensor) -> None:
    """Assign a variable on this replica, where the others assign the same value to theirs.

    `variable.assign` wants to know how values that differ become one, and asks the other replicas.
    """
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


def assign_add(variable: tf.Variable, value: tf.Tensor) -> None:
    """Add to a variable on this replica, as `assign`, or to what each replica has of its own."""
    tf.raw_ops.AssignAddVariableOp(resource=variable.handle, value=value)


def run_on_each(function: Callable[..., tf.Tensor]) -> OnEach:
    """A function that every device of this worker runs on arguments of its own, all at once.

    Args:
        function: Of tensors.

    Returns:
        From the arguments of each replica of this worker to the result of each.
    """
    strategy = tf.distribute.get_strategy()
    run = tf.function(lambda *given: strategy.run(function, args=given), autograph=False)
    return lambda arguments: list(strategy.experimental_local_results(run(*_by_replica(arguments))))


def mean_of_each(function: Callable[..., tf.Tensor]) -> Callable[[Arguments], tf.Tensor]:
    """As `run_on_each`, to the mean of the results of all workers' replicas.

    Args:
        function: Of tensors to a scalar.
    """
    strategy = tf.distribute.get_strategy()

    def run(*given: tf.Tensor) -> tf.Tensor:
        results = strategy.run(function, args=given)
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, results, axis=None)

    run_on_all = tf.function(run, autograph=False)
    return lambda arguments: run_on_all(*_by_replica(arguments))


def sum_over_workers(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of what each worker has, in every worker; of one alone, what it has.

    Args:
        array: Of the same shape in all workers, which all have to call this.
    """
    if num_workers() == 1:
        return array
    strategy = tf.distribute.get_strategy()
    first = numbers_here()[0]
    [parts] = _by_replica([[array if n == first else 0 * array] for n in numbers_here()])
    return strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None).numpy()


def _tasks() -> dict[str, int]:
    """How many tasks a cluster has of each kind that trains; none where there is no cluster."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    jobs = resolver.cluster_spec().as_dict() if resolver else {}
    return {job: len(jobs[job]) for job in ("chief", "worker") if job in jobs}


def _by_replica(arguments: Arguments) -> list[tf.Tensor]:
    strategy = tf.distribute.get_strategy()
    first = numbers_here()[0]
    return [
        strategy.experimental_distribute_values_from_function(
            lambda replica, values=values: tf.convert_to_tensor(
                values[replica.replica_id_in_sync_group - first]
            )
        )
        for values in zip(*arguments, strict=True)
    ]
