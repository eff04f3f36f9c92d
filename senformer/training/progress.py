"""Store the progress of a training in its checkpoint, and resume it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.storage import atomic_files
from senformer.training.optimizer import Adam

_NAME = "progress"


@dataclasses.dataclass
class Progress:
    """Hold the progress of a run, besides its weights and its optimiser.

    Attributes:
        run: Result of `train.describe_run`.
        step: Number of completed steps.
        history: Rows of `Training.history`.
        validation: Rows of `Training.validation`.
        evaluated: Steps after which the model was evaluated.
    """

    run: dict[str, Any]
    step: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    validation: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    evaluated: list[int] = dataclasses.field(default_factory=list)


def begin_or_resume(
    model: Enformer, optimizer: Adam, checkpoint: Path, run: Mapping[str, Any], steps: int
) -> Progress:
    """Resume a run from its checkpoint, with its weights and moments, or begin it.

    Args:
        model: The initial model, which receives the checkpoint's weights.
        optimizer: The optimiser, which receives the checkpoint's moments.
        checkpoint: File of the run, which need not exist.
        run: Result of `train.describe_run`; may be nested.
        steps: Total number of steps of the run.

    Raises:
        ValueError: If the checkpoint is damaged, of another run, or has more steps; the model is
            unchanged. The message names all differences.
        OSError: If there is no room for a checkpoint.
    """
    atomic_files.remove_leftover(checkpoint.parent)
    state = _list_state(optimizer)
    if not checkpoint.exists():
        variables = [*model.variables, *state.values()]
        num_bytes = sum(v.shape.num_elements() * v.dtype.size for v in variables)
        atomic_files.check_free_space(checkpoint, num_bytes)
        return Progress(dict(run))
    with checkpoints.open_checkpoint(checkpoint) as stored:
        extra = stored.read_extra()
        if _NAME not in extra:
            raise ValueError(f"{checkpoint} holds only weights, expected a training's checkpoint")
        progress = Progress(**json.loads(extra[_NAME].tobytes()))
        before, now = _flatten(progress.run), _flatten(run)
        differences = [
            f"{name}={before.get(name)}, not {name}={now.get(name)}"
            for name in dict.fromkeys([*now, *before])
            if before.get(name) != now.get(name)
        ]
        if differences:
            raise ValueError(f"{checkpoint} was trained with {'; '.join(differences)}")
        if progress.step > steps:
            raise ValueError(f"{checkpoint} has {progress.step} steps, expected at most {steps}")
        stored.restore_into(model)
    for name, variable in state.items():
        variable.assign(extra[name].reshape(variable.shape))
    return progress


def save(model: Enformer, optimizer: Adam, checkpoint: Path, progress: Progress) -> None:
    """Write a checkpoint for `begin_or_resume`.

    Raises:
        ValueError: If a weight is not finite. An earlier checkpoint is unchanged.
        OSError: If the checkpoint cannot be written. An earlier checkpoint is unchanged.
    """
    text = json.dumps(dataclasses.asdict(progress))
    extra = {_NAME: np.frombuffer(text.encode(), dtype=np.uint8)}
    extra |= {name: variable.numpy() for name, variable in _list_state(optimizer).items()}
    try:
        checkpoints.save(model, checkpoint, extra)
    except ValueError as error:
        raise ValueError(f"step {progress.step}: {error}") from None


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by their path, such as `model.attention`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _list_state(optimizer: Adam) -> dict[str, tf.Variable]:
    """Return the optimiser's variables by their names in a checkpoint."""
    state = {"optimizer/step": optimizer.step}
    for moment in ("m", "v"):
        for index, variable in enumerate(getattr(optimizer, moment)):
            state[f"optimizer/{moment}/{index}"] = variable
    return state
