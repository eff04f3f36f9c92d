"""What a job of the batch asks a cluster for: memory of the machine, and a machine for itself.

Snakemake hands the numbers to its executor, and counts none of them on one machine unless it is
told what that machine has.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from senformer.config import preset
from senformer.experiments.memory_and_time import measurements, planner
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.experiments.memory_and_time.planner import MemoryModel
from senformer.report import results
from senformer.workflow.notebooks import ROOT
from senformer.workflow.parameters import longest_input_bp

MEASURED = ROOT / "book" / "results" / "data" / "memory.csv"
"""The published measurements, to which the plan is fitted."""

PROCESS_GB = 3.0
"""What a process with TensorFlow and its libraries takes before a model is there, and Snakemake's
own beside it; the allocator's statistics do not count them."""

HOST_OF_GPU_GB = 32.0
"""What a process takes of the machine when its model is on a GPU: CUDA's libraries, and records
and predictions on their way. Not measured."""

_MB_PER_GB = 1000


def memory_of_measurement_mb(
    measurement: Measurement, *, on_gpu: bool = False, attempt: int = 1
) -> int:
    """What the machine has to have for one measured step, in 10^6 bytes.

    Args:
        measurement: Of which the budget counts where it has one, else the plan, with as much on
            top as the plan was ever wrong by.
        on_gpu: Whether the step runs on a GPU; the plan and the budget are then of the GPU.
        attempt: Twice as much is asked for at the second, and so on: a job that got too little is
            ended by the cluster, and says nothing about the step.
    """
    if on_gpu:
        return _mb(HOST_OF_GPU_GB * attempt)
    if measurement.budget_gb is not None:
        return _mb(measurement.budget_gb + PROCESS_GB)
    step_gb = _planned_gb(
        [measurement.attention],
        trainable=measurement.trainable,
        sequence_length_bp=measurement.sequence_length_bp,
        num_transformer_layers=measurement.num_transformer_layers,
        channels=measurement.channels,
        batch_size=measurement.batch_size,
    )
    return _mb(min(step_gb * attempt, measurements.CPU_BUDGET_LIMIT_GB) + PROCESS_GB)


def memory_of_notebook_mb(
    parameters: Mapping[str, Any], *, on_gpu: bool = False, attempt: int = 1
) -> int:
    """What the machine has to have for a notebook, in 10^6 bytes.

    Args:
        parameters: As `notebooks.parameters_for` gives them. Where models are trained, the plan of
            the longest step counts, with all weights trained,
            and whichever attention takes the most; the others show what jobs before them measured.
        on_gpu: As for `memory_of_measurement_mb`.
        attempt: Likewise.
    """
    if on_gpu:
        return _mb(HOST_OF_GPU_GB * attempt)
    if "enformer_preset" not in parameters:
        return _mb(PROCESS_GB * attempt)
    config = preset(parameters["enformer_preset"])
    step_gb = _planned_gb(
        {kind for kind, trainable in plan() if trainable == "all"},
        trainable="all",
        sequence_length_bp=longest_input_bp(parameters),
        num_transformer_layers=config.num_transformer_layers,
        channels=config.channels,
        batch_size=parameters["batch_size"],
    )
    return _mb(step_gb * attempt + PROCESS_GB)


@functools.cache
def plan(measured: Path = MEASURED) -> MemoryModel:
    """Peak memory of a training step on a CPU, fitted to what the book shows.

    Empty where the book shows fewer than three steps of a kind, as when a short run was published.

    Raises:
        FileNotFoundError: If there is no such table.
        ValueError: If it is damaged.
    """
    table = results.read(measured)
    try:
        return planner.fit_memory(table)
    except ValueError:
        return {}


def _planned_gb(kinds: Collection[str], *, trainable: str, **step: Any) -> float:
    """The most that a step of these kinds of attention takes, in 10^9 bytes.

    By the plan, with as much on top as the plan was ever wrong by, up to what a measurement may
    take; all of that for a kind that has no plan.
    """
    model = plan()
    if not kinds or any((kind, trainable) not in model for kind in kinds):
        return measurements.CPU_BUDGET_LIMIT_GB
    planned_gb = max(
        planner.predict_peak_gb(model, attention=kind, trainable=trainable, **step)
        * (1 + model[kind, trainable].largest_error)
        for kind in kinds
    )
    return min(planned_gb, measurements.CPU_BUDGET_LIMIT_GB)


def _mb(gb: float) -> int:
    return round(gb * _MB_PER_GB)
