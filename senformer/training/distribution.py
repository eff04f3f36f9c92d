"""Training on several devices: which there are, and what holds for all who train together."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow as tf

# Nothing public sets how long a silent worker is waited for, nor expands SLURM's lists of hosts.
from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver
from tensorflow.python.eager import context

from senformer.model.compute import replicas
from senformer.model.enformer import Enformer
from senformer.storage import atomic_files

_FIRST_PORT, _NUM_PORTS = 20_000, 10_000  # below those that systems give out themselves

ClusterResolver: TypeAlias = "tf.distribute.cluster_resolver.ClusterResolver"

_LONGEST_SILENCE_S = 60

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)
"""What TensorFlow's collective operations end with when a process they wait for is gone."""


def all_devices() -> tf.distribute.Strategy:
    """The strategy that trains on all that there is, to be asked for before TensorFlow computes.

    Several workers where `TF_CONFIG` names them, or where a step of SLURM has several tasks, each
    with the GPUs that it sees; otherwise the GPUs of the machine. With one GPU, or none, it is
    TensorFlow's default, which changes nothing. Several workers wait here until all have started.

    Raises:
        ValueError: If `TF_CONFIG` or SLURM's variables do not name the workers.
        OSError: If a worker cannot listen at its address or is not reached.
    """
    if "TF_CONFIG" in os.environ:
        return _of_workers(tf.distribute.cluster_resolver.TFConfigClusterResolver, "TF_CONFIG")
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return _of_workers(_workers_of_slurm, "SLURM's step")
    has_several_gpus = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if has_several_gpus else tf.distribute.get_strategy()


def _of_workers(resolve: Callable[[], ClusterResolver], named_by: str) -> tf.distribute.Strategy:
    try:
        resolver = resolve()
        addresses = resolver.cluster_spec().as_dict()["worker"]
        mine = f"worker {resolver.task_id} of {len(addresses)}, {addresses[resolver.task_id]}"
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{named_by} does not name the workers ({error!r}), expected a cluster of `worker`s by "
            "their addresses, and a task with the number of this one"
        ) from None
    print(f"{mine}: waiting for the others", file=sys.stderr)
    _miss_signs_of_life_for(_LONGEST_SILENCE_S, len(addresses))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.OpError as error:
        raise OSError(f"{mine}: {_first_line(error)}") from None


def _miss_signs_of_life_for(seconds: int, num_workers: int) -> None:
    """Let a worker be silent for so long: the ten seconds that TensorFlow grants end busy ones."""
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        coordinated_jobs=[CoordinatedJob(name="worker", num_tasks=num_workers)],
        heartbeat_timeout_in_ms=seconds * 1000,
    )


def _workers_of_slurm() -> ClusterResolver:
    """The tasks of a SLURM step, in their order, block by block.

    TensorFlow's own resolver puts hosts into the order of their names, `n10` before `n9`, in which
    a task takes another's address, and wants at least one GPU for each. Ports follow from the job,
    so that two jobs on a machine do not meet.
    """
    hosts = slurm_cluster_resolver.expand_hostlist(os.environ["SLURM_STEP_NODELIST"])
    tasks = slurm_cluster_resolver.expand_tasks_per_node(os.environ["SLURM_STEP_TASKS_PER_NODE"])
    first = _FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) * max(tasks) % _NUM_PORTS
    addresses = [
        f"{host}:{first + task}"
        for host, number in zip(hosts, tasks, strict=True)
        for task in range(number)
    ]
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=int(os.environ["SLURM_PROCID"]),
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )


def wait_for_all() -> None:
    """Wait until all workers have come as far as this."""
    replicas.sum_over_workers(np.zeros(1))


@contextlib.contextmanager
def held_by_chief(path: Path | None) -> Iterator[None]:
    """`atomic_files.lock` for all workers together: the chief holds it, the others wait for it.

    Args:
        path: What is held; none holds nothing.
    """
    with atomic_files.lock(path) if path and replicas.is_chief() else contextlib.nullcontext():
        wait_for_all()
        yield


@contextlib.contextmanager
def naming_lost_workers(checkpoint: Path | None) -> Iterator[None]:
    """End in one line where another worker has ended, be it killed.

    The others notice when they next wait for it: at once, where a connection breaks, or after some
    time without a sign of life, a minute where `all_devices` made the strategy.

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
        kept = f", and the training goes on from {checkpoint}" if checkpoint else ""
        raise ConnectionError(
            f"worker {replicas.worker()} of {replicas.num_workers()}: another worker has ended; "
            f"start all of them again{kept} ({_first_line(error)})"
        ) from error


def _first_line(error: tf.errors.OpError) -> str:
    return re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", error.message).strip().splitlines()[0]


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
