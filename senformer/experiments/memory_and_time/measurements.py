"""Peak memory and step time of one training step, each measured in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psutil
from tqdm import tqdm

from senformer import tf_environment
from senformer.experiments import child_process, provenance
from senformer.experiments.memory_and_time import rows
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.experiments.memory_and_time.rows import Row
from senformer.storage import atomic_files

if TYPE_CHECKING:
    from senformer.model.enformer import Enformer
    from senformer.training.train_step import TrainStep

_MODULE = "senformer.experiments.memory_and_time.measurements"  # its name is another when it is run

HEAD = "human"
"""The head that a measured step trains: the one with more tracks, so the larger of the two."""

LEARNING_RATE = 1e-4

BYTES_PER_GB = 1e9
CPU_BUDGET_LIMIT_GB = 22.0
"""The most that a measurement on a CPU takes unless it says otherwise, in 10^9 bytes."""

_SHARE_OF_MACHINE = 0.9
_LIKELIEST_TO_BE_KILLED = "1000"
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


def measure_all(measurements: Iterable[Measurement], folder: str | Path) -> pd.DataFrame:
    """Measure one after the other, and skip what `folder` already holds.

    One JSON file per measurement, written when it is done: a batch that is stopped goes on where
    it was. A measurement that runs out of memory is a result like any other; one that failed for
    another reason is a row too, and is tried again the next time.

    Args:
        measurements: What to measure, for instance from `grid.grid`.
        folder: Where the JSON files are kept; made when missing.

    Returns:
        One row per measurement, in the order given: the fields of `Measurement`, `status`
        (`ok`, `out_of_memory` or `failed`), `peak_memory_gb`, `resident_memory_gb`,
        `first_step_seconds`, `step_seconds`, `step_seconds_min`, `step_seconds_max`, `message`,
        `device`, and when and from which commit each was measured.
    """
    measured = []
    progress = tqdm(list(measurements), desc="measuring", unit="measurement")
    for measurement in progress:
        progress.set_postfix_str(measurement.name)
        measured.append(measure_once(measurement, folder))
    return pd.DataFrame(measured)


def measure_once(measurement: Measurement, folder: str | Path) -> Row:
    """Measure unless `folder` holds the result; one row of `measure_all`.

    Of several processes that ask for the same row one measures, and the others wait for it.
    """
    path = Path(folder) / f"{measurement.name}.json"
    atomic_files.remove_leftover(path.parent)
    with atomic_files.lock(path):
        row = rows.read(path, dataclasses.asdict(measurement))
        if row is None or row["status"] == "failed":
            row = measure(measurement)
            rows.write(path, row)
    return row


def measure(measurement: Measurement) -> Row:
    """Measure in a process of its own, which can run out of memory and take nothing with it.

    It ends when this process does, so that none of a batch that was killed lives on and slows down
    what is timed after it.

    Memory is what TensorFlow's allocator has given out, on a CPU as on a GPU: the counting
    allocator of the CPU has to be chosen before TensorFlow starts.

    Returns:
        A row as in `measure_all`, whatever becomes of the process.
    """
    argument = json.dumps(dataclasses.asdict(measurement))
    child = child_process.run(["-m", _MODULE, argument], _allocator_environment(measurement))
    if child.returncode == 0:
        row = json.loads(child.stdout.splitlines()[-1])
    else:
        row = _row_of_the_dead(measurement, child.returncode, child.stderr)
    return row | provenance.origin()


def measure_here(measurement: Measurement) -> Row:
    """Measure in this process; `measure` starts one for it.

    The step is the study's: Poisson loss of one head, gradients clipped to a norm of 1 each, Adam.
    Peak memory is the most that the allocator had given out during the steps; resident memory is
    what it had given out when weights and optimiser existed and no step had begun.

    Raises:
        RuntimeError: If this process does not count the memory of its CPU.
        tf.errors.ResourceExhaustedError: If the budget is too small.
    """
    import tensorflow as tf

    device = _device_with_budget(measurement.budget_gb)
    model, step = make_step(measurement)
    resident_bytes = tf.config.experimental.get_memory_info(device)["current"]
    tf.config.experimental.reset_memory_stats(device)
    seconds = _time_steps(model, step, measurement)
    peak_bytes = tf.config.experimental.get_memory_info(device)["peak"]
    return _row(
        measurement,
        status="ok",
        peak_memory_gb=peak_bytes / BYTES_PER_GB,
        resident_memory_gb=resident_bytes / BYTES_PER_GB,
        first_step_seconds=seconds[0],
        step_seconds=statistics.median(seconds[1:]) if seconds[1:] else None,
        step_seconds_min=min(seconds[1:], default=None),
        step_seconds_max=max(seconds[1:], default=None),
    )


def make_step(measurement: Measurement) -> tuple[Enformer, TrainStep]:
    """The model that is measured, and a step that trains it."""
    from senformer.model.enformer import Enformer
    from senformer.training import train_step

    model = Enformer(measurement.config)
    optimizer = train_step.make_optimizer(model, measurement.trainable, LEARNING_RATE)
    step = train_step.make_train_step(model, optimizer, head=HEAD, trainable=measurement.trainable)
    return model, step


def default_cpu_budget_gb() -> float:
    """What a measurement on the CPU may take unless it says otherwise, in 10^9 bytes."""
    machine_gb = psutil.virtual_memory().total / BYTES_PER_GB
    return min(CPU_BUDGET_LIMIT_GB, _SHARE_OF_MACHINE * machine_gb)


def _time_steps(model: Enformer, step: Any, measurement: Measurement) -> list[float]:
    """Seconds of the first step and of each one after it."""
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


def _allocator_environment(measurement: Measurement) -> dict[str, str]:
    budget_gb = measurement.budget_gb or default_cpu_budget_gb()
    return tf_environment.settings(budget_gb * BYTES_PER_GB)


def _device_with_budget(budget_gb: float | None) -> str:
    """The device to measure, `GPU:0` where there is one."""
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
            "memory of the CPU is not counted in this process: use senformer.measure, "
            f"or start Python with {tf_environment.KEEP}=1"
        )
    return "CPU:0"


def _row(
    measurement: Measurement, *, status: str, message: str = "", **measured: float | None
) -> Row:
    numbers: Row = dict.fromkeys(
        (
            "peak_memory_gb",
            "resident_memory_gb",
            "first_step_seconds",
            "step_seconds",
            "step_seconds_min",
            "step_seconds_max",
        )
    )
    return {
        **dataclasses.asdict(measurement),
        **numbers,
        **measured,
        "status": status,
        "message": message,
        "device": provenance.device(),
    }


def _row_of_the_dead(measurement: Measurement, returncode: int, stderr: str) -> Row:
    """What a process that ended badly says: killed and out of memory are the same answer."""
    if returncode in _KILLED:
        return _row(measurement, status="out_of_memory", message="killed by the operating system")
    for line in reversed(stderr.splitlines()):
        if any(phrase in line for phrase in _OUT_OF_MEMORY_PHRASES):
            return _row(measurement, status="out_of_memory", message=line.strip())
    return _row(measurement, status="failed", message=rows.last_error_line(stderr, returncode))


def _measure_in_this_new_process(argument: str) -> None:
    child_process.end_with_parent()
    adjustment = Path("/proc/self/oom_score_adj")
    if adjustment.exists():
        # If memory does run out, the kernel is to end this process and not the one that waits.
        adjustment.write_text(_LIKELIEST_TO_BE_KILLED)
    print(json.dumps(measure_here(Measurement(**json.loads(argument)))))


if __name__ == "__main__":
    _measure_in_this_new_process(sys.argv[1])
