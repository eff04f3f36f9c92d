"""Estimate the memory that each job of the batch needs from its machine.

Snakemake passes the numbers to its executor on a cluster. On one machine it ignores them unless
`--resources` states what the machine has.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from pathlib import Path
from typing import Any

from senformer.experiments.memory_and_time import measurements, planner
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.experiments.memory_and_time.planner import MemoryModel
from senformer.experiments.parameters import EnformerParameters, NotebookParameters
from senformer.report import results
from senformer.workflow.notebooks import ROOT

MEASURED = ROOT / "book" / "results" / "data" / "memory.csv"
"""Published measurements that the plan is fitted to."""

PROCESS_GB = 3.0
"""Memory of a process with TensorFlow but no model yet, and of Snakemake's own process. The
allocator's statistics do not include it."""

HOST_OF_GPU_GB = 32.0
"""Host memory of a process whose model is on a GPU: CUDA's libraries, records and predictions.
Not measured."""

_MB_PER_GB = 1000


def memory_of_measurement_mb(
    measurement: Measurement, *, on_gpu: bool = False, attempt: int = 1
) -> int:
    """Estimate the memory of the machine that one measured step needs, in 10^6 bytes.

    Args:
        measurement: The step. Its budget counts if it has one, otherwise the plan plus the
            plan's largest error.
        on_gpu: Whether the step runs on a GPU; plan and budget then describe the GPU's memory.
        attempt: Number of the attempt. The second requests twice the memory, and so on, because a
            cluster kills a job that requested too little.
    """
    if on_gpu:
        return _megabytes(HOST_OF_GPU_GB * attempt)
    if measurement.budget_gb is not None:
        return _megabytes(measurement.budget_gb + PROCESS_GB)
    step_gb = _planned_gb(
        [measurement.attention],
        trainable=measurement.trainable,
        sequence_length_bp=measurement.sequence_length_bp,
        num_transformer_layers=measurement.num_transformer_layers,
        channels=measurement.channels,
        batch_size=measurement.batch_size,
    )
    return _megabytes(min(step_gb * attempt, measurements.CPU_BUDGET_LIMIT_GB) + PROCESS_GB)


def memory_of_notebook_mb(
    parameters: NotebookParameters, *, on_gpu: bool = False, attempt: int = 1
) -> int:
    """Estimate the memory of the machine that a notebook needs, in 10^6 bytes.

    Args:
        parameters: The notebook's parameters. A notebook with models needs the planned memory of
            its longest step, with all weights trained and the attention that needs most. The
            others only show what earlier jobs measured.
        on_gpu: Whether the notebook runs on a GPU.
        attempt: Number of the attempt; see `memory_of_measurement_mb`.
    """
    if on_gpu:
        return _megabytes(HOST_OF_GPU_GB * attempt)
    if not isinstance(parameters, EnformerParameters):
        return _megabytes(PROCESS_GB * attempt)
    config = parameters.enformer_config
    step_gb = _planned_gb(
        {kind for kind, trainable in plan() if trainable == "all"},
        trainable="all",
        sequence_length_bp=parameters.longest_input_bp,
        num_transformer_layers=config.num_transformer_layers,
        channels=config.channels,
        batch_size=parameters.batch_size,
    )
    return _megabytes(step_gb * attempt + PROCESS_GB)


@functools.cache
def plan(measured: Path = MEASURED) -> MemoryModel:
    """Fit the peak memory of a training step on a CPU to the published measurements.

    The plan is empty if the table has too few steps, as after a short run.

    Raises:
        FileNotFoundError: If there is no such table.
        ValueError: If the table is damaged.
    """
    table = results.read(measured)
    try:
        return planner.fit_memory(table)
    except ValueError:
        return {}


def _planned_gb(kinds: Collection[str], *, trainable: str, **step: Any) -> float:
    """Return the largest planned peak memory over kinds of attention, in 10^9 bytes.

    It includes the plan's largest error and is at most a measurement's limit, which also applies
    to a kind without a plan.
    """
    model = plan()
    if not kinds or any((kind, trainable) not in model for kind in kinds):
        return measurements.CPU_BUDGET_LIMIT_GB
    planned_gb = max(
        planner.predict_peak_gb(
            model, planner.PlannedStep(attention=kind, trainable=trainable, **step)
        )
        * (1 + model[kind, trainable].largest_error)
        for kind in kinds
    )
    return min(planned_gb, measurements.CPU_BUDGET_LIMIT_GB)


def _megabytes(gb: float) -> int:
    return round(gb * _MB_PER_GB)
