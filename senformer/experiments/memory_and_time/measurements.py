"""Measure peak memory and time of training steps, each in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import pandas as pd
import psutil
from pydantic import model_validator
from tqdm import tqdm

from senformer import tf_environment
from senformer.config import PositiveNumber, accept_only
from senformer.experiments import child_process, provenance
from senformer.experiments.memory_and_time import rows
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.experiments.memory_and_time.rows import Row, StepRow
from senformer.storage import atomic_files

if TYPE_CHECKING:
    from senformer.model.enformer import Enformer
    from senformer.training.train_step import TrainStep

_MODULE = "senformer.experiments.memory_and_time.measurements"  # `__name__` differs in the child

HEAD = "human"
"""The head that a measured step trains; it has more tracks than the other."""

LEARNING_RATE = 1e-4

BYTES_PER_GB = 1e9
CPU_BUDGET_LIMIT_GB = 22.0
"""Largest default memory limit of a measurement on a CPU, in 10^9 bytes."""

_SHARE_OF_MACHINE = 0.9
_HIGHEST_OOM_SCORE = "1000"
_KILLED = (-9, 137)
_OUT_OF_MEMORY_PHRASES = (
    "ResourceExhaustedError",
    "RESOURCE_EXHAUSTED",
    "OOM when allocating",
    "ran out of memory trying to allocate",
    "std::bad_alloc",
    "MemoryError",
    "CUDA_ERROR_OUT_OF_MEMORY",
)


class MeasuredRow(StepRow):
    """A measured training step.

    Attributes:
        status: `ok`, `out_of_memory` or `failed`. Only `ok` has numbers.
        peak_memory_gb: Largest memory of the device during the steps.
        resident_memory_gb: Memory of weights and optimiser, before the first step.
        first_step_seconds: Time of the first step, which traces and compiles.
        step_seconds: Median time of the further steps, None if there are none.
        step_seconds_min: Their shortest time.
        step_seconds_max: Their longest time.
    """

    status: Annotated[str, accept_only(["ok", "out_of_memory", "failed"])]
    peak_memory_gb: PositiveNumber | None = None
    resident_memory_gb: PositiveNumber | None = None
    first_step_seconds: PositiveNumber | None = None
    step_seconds: PositiveNumber | None = None
    step_seconds_min: PositiveNumber | None = None
    step_seconds_max: PositiveNumber | None = None

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        self.check_numbers(("peak_memory_gb", "resident_memory_gb", "first_step_seconds"), ("ok",))
        times = [self.step_seconds_min, self.step_seconds, self.step_seconds_max]
        known = [time for time in times if time is not None]
        if len(known) != (3 if self.status == "ok" and self.steps else 0) or known != sorted(known):
            raise ValueError(
                f"step_seconds={self.step_seconds} from {times[0]} to {times[2]}, expected the "
                f"median and the range of {self.steps} steps"
            )
        return self


def measure_all(measurements: Iterable[Measurement], folder: str | Path) -> pd.DataFrame:
    """Measure training steps one after the other, except those that `folder` already has.

    Each measurement writes one JSON file when it ends, so a stopped batch can continue. Running
    out of memory is a result. A measurement that fails for another reason also gives a row, and
    the next call measures it again.

    Args:
        measurements: Steps to measure, for instance from `grid.grid`.
        folder: Folder of the JSON files, which this function creates if needed.

    Returns:
        One row per measurement, in the given order: the fields of `Measurement`, `status`
        (`ok`, `out_of_memory` or `failed`), `peak_memory_gb`, `resident_memory_gb`,
        `first_step_seconds`, `step_seconds`, `step_seconds_min`, `step_seconds_max`, `message`,
        `device`, and the time and the commit of the measurement.
    """
    measured = []
    progress = tqdm(list(measurements), desc="measuring", unit="measurement")
    for measurement in progress:
        progress.set_postfix_str(measurement.name)
        measured.append(measure_once(measurement, folder))
    return pd.DataFrame(measured)


def measure_once(measurement: Measurement, folder: str | Path) -> Row:
    """Return the row of a measurement from `folder`, or measure it and write the row.

    If several processes need the same row, one of them measures and the others wait for it.
    """
    path = Path(folder) / f"{measurement.name}.json"
    atomic_files.remove_leftover(path.parent)
    with atomic_files.lock(path):
        row = rows.read(path, MeasuredRow, dict(measurement))
        if row is None:
            row = measure(measurement)
            rows.write(path, row)
    return row


def measure(measurement: Measurement) -> Row:
    """Measure a training step in a child process, which may run out of memory.

    The child ends when this process does, so it cannot slow down later measurements. Memory is
    what TensorFlow's allocator has given out, on a CPU as on a GPU. The CPU's counting allocator
    has to be chosen before TensorFlow starts.

    Returns:
        A row as in `measure_all`, also if the child fails.
    """
    argument = measurement.model_dump_json()
    budget_gb = measurement.budget_gb or default_cpu_budget_gb()
    environment = tf_environment.settings(budget_gb * BYTES_PER_GB)
    child = child_process.run(["-m", _MODULE, argument], environment)
    if child.returncode == 0:
        row: Row = json.loads(child.stdout.splitlines()[-1])
        return row
    status, message = _failure(child.returncode, child.stderr)
    return _row(measurement, status=status, message=message)


def default_cpu_budget_gb() -> float:
    """Return the default memory limit of a measurement on the CPU, in 10^9 bytes."""
    machine_gb = psutil.virtual_memory().total / BYTES_PER_GB
    return min(CPU_BUDGET_LIMIT_GB, _SHARE_OF_MACHINE * machine_gb)


def _failure(returncode: int, stderr: str) -> tuple[str, str]:
    """Return the status and the message of a child that failed; SIGKILL means out of memory."""
    if returncode in _KILLED:
        return "out_of_memory", "killed by the operating system"
    for line in reversed(stderr.splitlines()):
        if any(phrase in line for phrase in _OUT_OF_MEMORY_PHRASES):
            return "out_of_memory", line.strip()
    return "failed", rows.last_error_line(stderr, returncode)


def measure_here(measurement: Measurement) -> Row:
    """Measure a training step in this process; `measure` calls it in a child process.

    The step is that of the study: Poisson loss of one head, each gradient clipped to a norm of 1,
    Adam. Peak memory is the largest amount that the allocator gave out during the steps. Resident
    memory is the amount before the first step, for weights and optimiser.

    Raises:
        RuntimeError: If this process does not count the memory of its CPU.
        tf.errors.ResourceExhaustedError: If the memory limit is too low.
    """
    import tensorflow as tf

    device = _device_with_budget(measurement.budget_gb)
    model, step = make_step(measurement)
    resident_bytes = tf.config.experimental.get_memory_info(device)["current"]
    tf.config.experimental.reset_memory_stats(device)
    first_seconds, *seconds = _time_steps(model, step, measurement)
    peak_bytes = tf.config.experimental.get_memory_info(device)["peak"]
    return _row(
        measurement,
        status="ok",
        peak_memory_gb=peak_bytes / BYTES_PER_GB,
        resident_memory_gb=resident_bytes / BYTES_PER_GB,
        first_step_seconds=first_seconds,
        step_seconds=statistics.median(seconds) if seconds else None,
        step_seconds_min=min(seconds, default=None),
        step_seconds_max=max(seconds, default=None),
    )


def make_step(measurement: Measurement) -> tuple[Enformer, TrainStep]:
    """Make the measured model and a step that trains it."""
    from senformer.model.enformer import Enformer
    from senformer.training import train_step

    model = Enformer(measurement.config)
    optimizer = train_step.make_optimizer(model, measurement.trainable, LEARNING_RATE)
    step = train_step.make_train_step(model, optimizer, head=HEAD, trainable=measurement.trainable)
    return model, step


def _device_with_budget(budget_gb: float | None) -> str:
    """Limit the memory of a GPU if there is one, and return the name of the measured device."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if budget_gb is not None:
            limit_mb = int(budget_gb * BYTES_PER_GB / tf_environment.BYTES_PER_MB)
            tf.config.set_logical_device_configuration(
                gpus[0], [tf.config.LogicalDeviceConfiguration(memory_limit=limit_mb)]
            )
        return "GPU:0"
    if os.environ.get(tf_environment.KEEP) != "1":
        raise RuntimeError(
            "this process does not count the memory of its CPU: use senformer.measure, "
            f"or start Python with {tf_environment.KEEP}=1"
        )
    return "CPU:0"


def _time_steps(model: Enformer, step: Any, measurement: Measurement) -> list[float]:
    """Run the first step and the steps to time on random data; return their times in seconds."""
    import tensorflow as tf

    config = model.config
    random = tf.random.Generator.from_seed(0)
    bases = random.uniform(
        [measurement.batch_size, measurement.sequence_length_bp], maxval=4, dtype=tf.int32
    )
    sequence = tf.one_hot(bases, 4)  # [batch, length, 4]
    target = random.uniform(
        [measurement.batch_size, config.target_length, config.tracks[HEAD]]
    )  # [batch, bins, tracks]
    seconds = []
    for number in range(measurement.steps + 1):
        start = time.perf_counter()
        step(sequence, target, tf.constant([0, number], tf.int32)).numpy()
        seconds.append(time.perf_counter() - start)
    return seconds


def _row(measurement: Measurement, **columns: Any) -> Row:
    origin = {"device": provenance.device(), **provenance.origin()}
    return MeasuredRow(**dict(measurement), **{"message": "", **columns, **origin}).model_dump()


def _run_as_child(argument: str) -> None:
    child_process.end_with_parent()
    adjustment = Path("/proc/self/oom_score_adj")
    if adjustment.exists():
        # When memory runs out, the kernel should end this process and not its parent.
        adjustment.write_text(_HIGHEST_OOM_SCORE)
    print(json.dumps(measure_here(Measurement(**json.loads(argument)))))


if __name__ == "__main__":
    _run_as_child(sys.argv[1])
