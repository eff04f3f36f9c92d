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


def num_replicas() -> int:
    """How many replicas there are, those of all workers together."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def num_workers() -> int:
    """How many processes work together."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    tasks = resolver.cluster_spec().as_dict().values() if resolver else ()
    return sum(map(len, tasks)) or 1


def worker() -> int:
    """The number of this process among the workers, from 0."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    return (resolver.task_id or 0) if resolver else 0


def is_chief() -> bool:
    """Whether this worker is the one that writes files and shows progress."""
    return worker() == 0


def replicas_here() -> int:
    """How many replicas this worker has."""
    return num_replicas() // num_workers()


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


def given_to_each(arguments: Callable[[int, int], Sequence[tf.Tensor]]) -> list[tf.Tensor]:
    """Arguments of `strategy.run` that differ from replica to replica.

    Args:
        arguments: Those of one of this worker's replicas, by its number within the worker and its
            number among all.
    """
    strategy = tf.distribute.get_strategy()
    first = worker() * replicas_here()
    of_replica = [arguments(number, first + number) for number in range(replicas_here())]
    return [
        strategy.experimental_distribute_values_from_function(
            lambda replica, values=values: values[replica.replica_id_in_sync_group - first]
        )
        for values in zip(*of_replica, strict=True)
    ]


def sum_over_workers(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of what each worker has, in every worker; of one alone, what it has.

    Args:
        array: Of the same shape in all workers, which all have to call this.
    """
    if num_workers() == 1:
        return array
    strategy = tf.distribute.get_strategy()
    [parts] = given_to_each(lambda number, _: [tf.constant(array if number == 0 else 0 * array)])
    return strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None).numpy()
