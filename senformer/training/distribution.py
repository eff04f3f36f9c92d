"""Train on several devices: find the devices, and coordinate the processes."""

from __future__ import annotations

import contextlib
import os
import re
import reprlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow as tf

# No public interface sets the heartbeat timeout or expands SLURM's lists of hosts.
from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver
from tensorflow.python.eager import context

from senformer.model.compute import replicas
from senformer.model.enformer import Enformer
from senformer.storage import atomic_files

_FIRST_PORT, _NUM_PORTS = 20_000, 10_000  # below the ports that systems assign themselves

ClusterResolver: TypeAlias = "tf.distribute.cluster_resolver.ClusterResolver"

_HEARTBEAT_TIMEOUT_S = 60

_LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)
"""Errors of TensorFlow's collective operations when another process is lost."""


def all_devices() -> tf.distribute.Strategy:
    """Make the strategy that trains on all devices; call it before TensorFlow computes.

    There are several workers if `TF_CONFIG` names them or if a step of SLURM has several tasks;
    each uses its visible GPUs. Otherwise the strategy uses the GPUs of the machine; with one GPU or
    none it is TensorFlow's default. Several workers wait here until all have started.

    Raises:
        ValueError: If `TF_CONFIG` or SLURM's variables do not name the workers.
        OSError: If a worker cannot listen at its address or is not reached.
    """
    if "TF_CONFIG" in os.environ:
        return _make_strategy(tf.distribute.cluster_resolver.TFConfigClusterResolver, "TF_CONFIG")
    if _slurm_integer("SLURM_STEP_NUM_TASKS", default=1) > 1:
        return _make_strategy(find_slurm_workers, "SLURM's step")
    has_several_gpus = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if has_several_gpus else tf.distribute.get_strategy()


def _slurm_integer(name: str, *, default: int | None = None) -> int:
    """Return the integer in one of SLURM's variables.

    Raises:
        KeyError: If the variable is not set and has no default.
        ValueError: If it holds something else.
    """
    text = os.environ[name] if default is None else os.environ.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"{name}={reprlib.repr(text)}, expected an integer of at least 0")
    return int(text)


def _make_strategy(resolve: Callable[[], ClusterResolver], source: str) -> tf.distribute.Strategy:
    """Make the strategy of several workers, and wait for them.

    Args:
        resolve: Function that finds the workers.
        source: Where their names come from, for messages.
    """
    try:
        resolver = resolve()
        addresses = resolver.cluster_spec().as_dict()["worker"]
        if resolver.task_id < 0:
            raise ValueError(f"task {resolver.task_id}")
        this_worker = (
            f"worker {resolver.task_id} of {len(addresses)}, {addresses[resolver.task_id]}"
        )
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{source} does not name the workers ({error!r}), expected a cluster with the "
            "addresses of its `worker`s, and a task with the number of this worker"
        ) from None
    print(f"{this_worker}: waiting for the others", file=sys.stderr)
    # TensorFlow's default timeout, ten seconds, ends workers that are busy.
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        coordinated_jobs=[CoordinatedJob(name="worker", num_tasks=len(addresses))],
        heartbeat_timeout_in_ms=_HEARTBEAT_TIMEOUT_S * 1000,
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.OpError as error:
        raise OSError(f"{this_worker}: {_first_line(error)}") from None


def find_slurm_workers() -> ClusterResolver:
    """Find the tasks of a SLURM step, in their order, host by host.

    TensorFlow's own resolver sorts hosts by name, `n10` before `n9`, so that tasks take the address
    of another task, and it requires a GPU for each. The ports depend on the job, so that two jobs
    on one machine do not use the same.
    """
    names = ("SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE")
    host_list, task_list = (os.environ[name] for name in names)
    for name, text in zip(names, (host_list, task_list), strict=True):
        if re.search(r"[-(\[x,][0-9]{7}|^[0-9]{7}", text):  # would fill the memory
            raise ValueError(f"{name}={reprlib.repr(text)}, expected fewer than 10^6 of each")
    hosts = slurm_cluster_resolver.expand_hostlist(host_list)
    tasks = slurm_cluster_resolver.expand_tasks_per_node(task_list)
    first = _FIRST_PORT + _slurm_integer("SLURM_JOB_ID") * max(tasks) % _NUM_PORTS
    addresses = [
        f"{host}:{first + task}"
        for host, number in zip(hosts, tasks, strict=True)
        for task in range(number)
    ]
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=_slurm_integer("SLURM_PROCID"),
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )


def wait_for_all() -> None:
    """Wait until all workers have called this function."""
    replicas.sum_over_workers(np.zeros(1))


@contextlib.contextmanager
def lock_by_chief(path: Path | None) -> Iterator[None]:
    """Lock a file for all workers together: the chief locks it, the others wait for the chief.

    Args:
        path: File to lock, or None for no lock.
    """
    with atomic_files.lock(path) if path and replicas.is_chief() else contextlib.nullcontext():
        wait_for_all()
        yield


@contextlib.contextmanager
def name_lost_workers(checkpoint: Path | None) -> Iterator[None]:
    """Convert TensorFlow's errors about a lost worker to one line.

    Workers notice a lost worker when they next wait for it: immediately if the connection breaks,
    otherwise after the heartbeat timeout, one minute with the strategy of `all_devices`.

    Args:
        checkpoint: Checkpoint of the training, if any.

    Raises:
        ConnectionError: If another worker is lost.
    """
    try:
        yield
    except _LOST_WORKER_ERRORS as error:
        if replicas.num_workers() == 1:
            raise
        resumed = f"; the training resumes from {checkpoint}" if checkpoint else ""
        raise ConnectionError(
            f"worker {replicas.worker()} of {replicas.num_workers()}: another worker has ended; "
            f"start all workers again{resumed} ({_first_line(error)})"
        ) from error


def _first_line(error: tf.errors.OpError) -> str:
    return re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", error.message).strip().splitlines()[0]


def check_strategy(model: Enformer) -> None:
    """Check that a model was made in the scope of the current strategy.

    Raises:
        ValueError: If it was made in the scope of another strategy, or in none.
    """
    own = getattr(model.variables[0], "distribute_strategy", None)
    current = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
    if own is not current:
        names = [
            type(strategy).__name__ if strategy else "no strategy" for strategy in (own, current)
        ]
        raise ValueError(
            f"the model was made with {names[0]} and is trained with {names[1]}, expected both in "
            "one `with strategy.scope():`"
        )
