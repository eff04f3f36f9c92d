"""What a run will take, by notebook: hours, memory and disk, from one measured step and prediction.

Work is counted in sequences of the length that the profile's models take; longer and shorter inputs
count in proportion. That is near enough to tell hours from weeks, which is what it is for.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from senformer.config import ModelConfig, preset
from senformer.data import record_folders
from senformer.data.simulation import simulate
from senformer.evaluation.pearson import PearsonSums
from senformer.experiments.finetuning import ablations
from senformer.experiments.memory_and_time import measurements
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.experiments.memory_and_time.measurements import BYTES_PER_GB
from senformer.experiments.reproduction import protocol_comparison
from senformer.experiments.run_data import HEAD, TEST_SPLIT, VALIDATION_SPLIT
from senformer.model.enformer import Enformer
from senformer.study import published
from senformer.training.trunk_cache import bytes_of_tokens
from senformer.workflow import notebooks
from senformer.workflow.parameters import measurements_of
from senformer.workflow.readiness import Need

_SPLITS = ("train", VALIDATION_SPLIT, TEST_SPLIT)
_BYTES_PER_VALUE = 4  # float32
_SECONDS_PER_HOUR = 3600.0
_MOMENTS = 2  # of Adam
_SEQUENCES_FOR_ATTENTION_LOST = 8
_GRADIENT_BINS = 3
_PREDICTIONS_PER_GRADIENT = 3  # forward, again, backward


class Work(NamedTuple):
    """What a notebook does that takes time or room.

    Attributes:
        trained_all: Sequences, in steps of all variables.
        trained: Sequences, in steps of the attention alone.
        predicted: Sequences.
        models: How many it holds at once.
        kept_bytes: What it leaves on the disk.
    """

    trained_all: float = 0.0
    trained: float = 0.0
    predicted: float = 0.0
    models: int = 1
    kept_bytes: float = 0.0

    def hours(self, units: Units) -> float:
        """How long it takes where a sequence takes so long."""
        seconds = (
            self.trained_all * units.all_step_seconds
            + self.trained * units.step_seconds
            + self.predicted * units.prediction_seconds
        )
        return seconds / _SECONDS_PER_HOUR


class Units(NamedTuple):
    """What one sequence takes on this device.

    Attributes:
        step_seconds: A training step of the attention.
        all_step_seconds: One of all variables.
        prediction_seconds: A prediction.
        peak_memory_gb: Of the larger step that the run takes.
    """

    step_seconds: float
    all_step_seconds: float
    prediction_seconds: float
    peak_memory_gb: float


def check(profile: str, data: str | Path | None = None) -> Iterator[Need]:
    """What each notebook of a profile will take here, and whether there is room for it.

    A step and a prediction are measured, which takes minutes at the study's sizes. What is there
    already of an earlier run is counted all the same.

    Args:
        profile: A folder of `profiles/`.
        data: Folder of real records; simulated data when absent.

    Raises:
        ValueError: If the profile or one of its parameters is unknown.
    """
    parameters = notebooks.parameters_of_profile(profile)
    measured = {name: p for name, p in parameters.items() if name in notebooks.MEASURING}
    of_models = {name: p for name, p in parameters.items() if name not in notebooks.MEASURING}
    try:
        num_records = _num_records(of_models, data)
    except (FileNotFoundError, ValueError) as error:
        yield Need("the run takes", False, f"what cannot be said without its records: {error}")
        return
    total_hours = 0.0
    for name, (hours, number) in hours_of_measurements(measured).items():
        total_hours += hours
        yield Need(f"{name} takes", True, f"{_time(hours)} for {number} measurements of its own")
    model = Enformer(_config(next(iter(of_models.values()))))
    weights_bytes = _BYTES_PER_VALUE * sum(v.shape.num_elements() for v in model.variables)
    works = works_of(of_models, num_records, weights_bytes)
    units = _units(model, of_models, trains_all=any(work.trained_all for work in works.values()))
    for name, work in works.items():
        hours = work.hours(units)
        total_hours += hours
        memory_gb = units.peak_memory_gb + (work.models - 1) * weights_bytes / BYTES_PER_GB
        room = f", {work.kept_bytes / BYTES_PER_GB:.3g} GB of disk" if work.kept_bytes else ""
        yield Need(f"{name} takes", True, f"{_time(hours)}, {memory_gb:.2g} GB of memory{room}")
    kept_gb = sum(work.kept_bytes for work in works.values()) / BYTES_PER_GB
    free_gb = shutil.disk_usage(notebooks.ROOT).free / BYTES_PER_GB
    yield Need(
        "the run takes",
        kept_gb <= free_gb,
        f"{_time(total_hours)} and {kept_gb:.3g} GB of disk, of which {free_gb:.3g} GB are free",
    )


def works_of(
    parameters: Mapping[str, Mapping[str, Any]],
    num_records: Mapping[str, int],
    weights_bytes: int,
) -> dict[str, Work]:
    """What the notebooks with models do, each model where it is made first.

    Args:
        parameters: Of each of these notebooks, by name.
        num_records: Of the evaluated organism, by split.
        weights_bytes: Of a model.
    """
    return {
        name: _WORK[name](values, num_records, weights_bytes) for name, values in parameters.items()
    }


def hours_of_measurements(
    parameters: Mapping[str, Mapping[str, Any]],
) -> dict[str, tuple[float, int]]:
    """How long each notebook's measurements take, from one, and how many are its own.

    Args:
        parameters: Of the notebooks that measure; what one of them has measured, the next finds.
    """
    grids = {name: {m.name: m for m in measurements_of(p)} for name, p in parameters.items()}
    shortest = min(next(iter(grids.values())).values(), key=lambda m: m.sequence_length_bp)
    start = time.perf_counter()
    row = measurements.measure(dataclasses.replace(shortest, steps=1))
    step_seconds = row["step_seconds"] or row["first_step_seconds"]
    beside_seconds = time.perf_counter() - start - step_seconds
    taken: set[str] = set()
    hours = {}
    for name, asked in grids.items():
        own = [m for key, m in asked.items() if key not in taken]
        taken |= set(asked)
        steps = sum(
            m.batch_size * (m.steps or 1) * m.sequence_length_bp / shortest.sequence_length_bp
            for m in own
        )
        seconds = len(own) * beside_seconds + steps * step_seconds
        hours[name] = (seconds / _SECONDS_PER_HOUR, len(own))
    return hours


def _reproduction(p: Mapping[str, Any], num_records: Mapping[str, int], weights_bytes: int) -> Work:
    trained = 0.0 if p["enformer_checkpoint"] else 2.0 * p["batch_size"]  # both organisms
    return Work(
        trained_all=trained * p["enformer_steps"],
        trained=trained * p["enformer_attention_steps"],
        predicted=protocol_comparison.predictions_per_record() * _num_test(p, num_records),
        models=2,  # one computes in bfloat16
        kept_bytes=bool(trained) * (1 + _MOMENTS + 2) * weights_bytes,
    )


def _finetuning(p: Mapping[str, Any], num_records: Mapping[str, int], weights_bytes: int) -> Work:
    config = _config(p)
    compared = ablations.steps_to_senformer(config)
    for name in p["compared_further"]:
        compared += ablations.further_changes(name, config)
    variants = (1 + len(compared)) * p["num_seeds"]  # and Enformer
    length = p["compared_length_bp"] / p["sequence_length_bp"]
    num_test = _num_test(p, num_records)
    num_valid = min(p["num_validation_sequences"] or math.inf, num_records[VALIDATION_SPLIT])
    evaluations = 1 + 2 * (1 + p["num_evaluations"])
    return Work(
        trained=2 * 2 * p["senformer_steps"] * p["batch_size"]
        + variants * p["compared_steps"] * p["batch_size"] * length,
        predicted=evaluations * num_valid
        + 5 * num_test
        + (2 * variants * num_test + _SEQUENCES_FOR_ATTENTION_LOST) * length,
        models=6,
        kept_bytes=_bytes_of_tokens(p, num_records, p["sequence_length_bp"], organisms=2)
        + _bytes_of_tokens(p, num_records, p["compared_length_bp"])
        + (2 + variants) * 2 * weights_bytes
        + 2 * variants * num_test * _bytes_of_score(config),
    )


def _correlation(p: Mapping[str, Any], num_records: Mapping[str, int], weights_bytes: int) -> Work:
    return Work(predicted=2 * (_num_test(p, num_records) + 1), models=2)


def _receptive_field(
    p: Mapping[str, Any], num_records: Mapping[str, int], weights_bytes: int
) -> Work:
    config = _config(p)
    num_test = _num_test(p, num_records)
    trainings = p["num_seeds"] * len(p["compared_attention"])
    lengths = sum(p["compared_lengths_bp"]) / p["sequence_length_bp"]
    trained_lengths = {*p["compared_lengths_bp"], p["compared_length_bp"]}
    own = p["compared_length_bp"] / p["sequence_length_bp"]
    scanned = 2 * 2 * p["num_sequences"] * (1 + p["num_positions"])  # models; effects and noise
    slopes = 2 * p["num_gradient_sequences"] * _GRADIENT_BINS * _PREDICTIONS_PER_GRADIENT
    predictions = 2 * trainings * len(p["compared_lengths_bp"]) * num_test
    return Work(
        trained=trainings
        * p["compared_steps"]
        * p["batch_size"]
        * sum(trained_lengths)
        / p["sequence_length_bp"],
        predicted=scanned + slopes + 2 * trainings * num_test * lengths + p["num_sequences"] * own,
        models=4,
        kept_bytes=sum(_bytes_of_tokens(p, num_records, bp) for bp in trained_lengths)
        + predictions * _bytes_of_score(config)
        + trainings * len(trained_lengths) * 2 * weights_bytes,
    )


_WORK = {
    "reproduction": _reproduction,
    "finetuning": _finetuning,
    "correlation": _correlation,
    "receptive_field": _receptive_field,
}


def _config(p: Mapping[str, Any]) -> ModelConfig:
    return preset(p["enformer_preset"], target_length=p["target_length"])


def _num_test(p: Mapping[str, Any], num_records: Mapping[str, int]) -> int:
    return min(p["num_test_sequences"] or num_records[TEST_SPLIT], num_records[TEST_SPLIT])


def _bytes_of_score(config: ModelConfig) -> int:
    """What is kept of a variant's prediction of a record."""
    return len(PearsonSums._fields) * np.dtype(np.float64).itemsize * config.tracks[HEAD]


def _bytes_of_tokens(
    p: Mapping[str, Any], num_records: Mapping[str, int], length_bp: int, organisms: int = 1
) -> float:
    """The frozen trunk's tokens of all training records, where they are kept."""
    num_bytes = organisms * num_records["train"] * bytes_of_tokens(_config(p), length_bp)
    return num_bytes if num_bytes <= p["largest_trunk_cache_gb"] * BYTES_PER_GB else 0.0


def _num_records(
    parameters: Mapping[str, Mapping[str, Any]], data: str | Path | None
) -> dict[str, int]:
    """Of the organism that is evaluated, by split: those that are there, or will be."""
    if data is not None:
        paths = record_folders.find_folders(data)
        if HEAD not in paths:
            raise FileNotFoundError(f"{data}: no {HEAD} records")
        folder = record_folders.open_folder(HEAD, paths[HEAD])
        return {split: len(folder.intervals_of(split)) for split in _SPLITS}
    if any(values["enformer_checkpoint"] for values in parameters.values()):
        return {split: int(published.value(f"data.{HEAD}_{split}")) for split in _SPLITS}
    return dict(simulate.DEFAULT_NUM_SEQUENCES[HEAD])


def _units(
    model: Enformer, parameters: Mapping[str, Mapping[str, Any]], *, trains_all: bool
) -> Units:
    """Take a step and a prediction at the length of the profile's models."""
    length_bp = next(iter(parameters.values()))["sequence_length_bp"]
    config = model.config
    step = Measurement(
        attention=config.attention,
        num_transformer_layers=config.num_transformer_layers,
        channels=config.channels,
        num_heads=config.num_heads,
        sequence_length_bp=length_bp,
    )
    steps = {"attention": step}
    if trains_all:
        steps["all"] = dataclasses.replace(step, trainable="all")
    rows = {trainable: _measured(step) for trainable, step in steps.items()}
    return Units(
        step_seconds=rows["attention"]["step_seconds"],
        all_step_seconds=rows["all"]["step_seconds"] if trains_all else 0.0,
        prediction_seconds=_prediction_seconds(model, length_bp),
        peak_memory_gb=max(row["peak_memory_gb"] for row in rows.values()),
    )


def _measured(step: Measurement) -> dict[str, Any]:
    row = measurements.measure(step)
    if row["status"] != "ok":
        raise ValueError(f"a step of the models ends with {row['status']}: {row['message']}")
    return row


def _prediction_seconds(model: Enformer, length_bp: int) -> float:
    """The second prediction; the first also compiles."""
    sequence = np.zeros([1, length_bp, 4], np.float32)
    for _ in range(2):
        start = time.perf_counter()
        model.predict_on_batch(sequence)[HEAD].numpy()
    return time.perf_counter() - start


def _time(hours: float) -> str:
    minutes = 60 * hours
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if hours < 1 else f"{hours:.1f} h"
