"""A training step as the program that a GPU would run: traced for it, whether or not one is there.

Run as a module with a measurement as JSON and a file, it exports in a process of its own.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from senformer.experiments.memory_and_time.grid import Measurement
from senformer.experiments.memory_and_time.measurements import HEAD, make_step
from senformer.model.compute import device


def export_step(measurement: Measurement) -> str:
    """The step that `measure` would measure, as StableHLO in text.

    Args:
        measurement: The step; how often it would be timed, and within which memory, is no matter.
    """
    with device.traced_for("gpu"):
        _model, step = make_step(measurement)  # whose variables live as long as it
        return program_of(step, step_arguments(measurement))


def step_arguments(measurement: Measurement) -> list[tf.TensorSpec]:
    """What a step takes: a sequence, its coverage, the seed of its dropout."""
    config, batch = measurement.config, measurement.batch_size
    return [
        tf.TensorSpec([batch, measurement.sequence_length_bp, 4], tf.float32),
        tf.TensorSpec([batch, config.target_length, config.tracks[HEAD]], tf.float32),
        tf.TensorSpec([2], tf.int32),
    ]


def program_of(step: Callable[..., Any], arguments: Sequence[tf.TensorSpec]) -> str:
    """A compiled function, for arguments of these shapes, as StableHLO in text.

    Source: the operations, openxla/stablehlo `docs/spec.md`.
    """
    text: str = step.experimental_get_compiler_ir(*arguments)(stage="stablehlo")  # type: ignore[attr-defined]
    text = re.sub(r"^#loc.*\n", "", text, flags=re.MULTILINE)  # lines of this package's source
    text = re.sub(r" loc\((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*\)", "", text)
    # What TensorFlow returns as it got it, it marks by an operation that is not of StableHLO.
    return re.sub(
        r"mhlo\.copy (%[\w#]+)(?: \{.*?\})? : (tensor<.*?>)",
        r"stablehlo.reshape \1 : (\2) -> \2",
        text,
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(export_step(Measurement(**json.loads(sys.argv[1]))))
