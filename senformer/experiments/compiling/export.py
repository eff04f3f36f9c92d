"""Export a training step as the program for a GPU, which need not be present.

Run as a module with a measurement as JSON and a file, it writes the program in a process of its
own.
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
    """Export the step that `measure` runs as StableHLO in text.

    Args:
        measurement: The step; its number of timed steps and its memory limit are ignored.
    """
    with device.traced_for("gpu"):
        _model, step = make_step(measurement)  # the step's variables need the model alive
        return program_of(step, step_arguments(measurement))


def step_arguments(measurement: Measurement) -> list[tf.TensorSpec]:
    """Return the types of a step's arguments: sequence, coverage, seed of the dropout."""
    config, batch = measurement.config, measurement.batch_size
    return [
        tf.TensorSpec([batch, measurement.sequence_length_bp, 4], tf.float32),
        tf.TensorSpec([batch, config.target_length, config.tracks[HEAD]], tf.float32),
        tf.TensorSpec([2], tf.int32),
    ]


def program_of(step: Callable[..., Any], arguments: Sequence[tf.TensorSpec]) -> str:
    """Return a compiled function, for arguments of these types, as StableHLO in text.

    Source: the operations, openxla/stablehlo `docs/spec.md`.
    """
    text: str = step.experimental_get_compiler_ir(*arguments)(stage="stablehlo")  # type: ignore[attr-defined]
    text = re.sub(r"^#loc.*\n", "", text, flags=re.MULTILINE)  # lines of this package's source
    text = re.sub(r" loc\((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*\)", "", text)
    # TensorFlow marks arguments that it returns unchanged by an operation outside of StableHLO.
    return re.sub(
        r"mhlo\.copy (%[\w#]+)(?: \{.*?\})? : (tensor<.*?>)",
        r"stablehlo.reshape \1 : (\2) -> \2",
        text,
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(export_step(Measurement(**json.loads(sys.argv[1]))))
