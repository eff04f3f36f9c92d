"""Where a training stands: kept in its checkpoint, and taken from it if that is of this run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from senformer.model import checkpoints
from senformer.model.checkpoints import Checkpoint
from senformer.model.enformer import Enformer
from senformer.storage import atomic_files
from senformer.training.optimizer import Adam

_NAME = "progress"


@dataclasses.dataclass
class Progress:
    """Where a run stands, beside its weights and its optimiser.

    Attributes:
        run: All that decides the run but for its number of steps, by name; plain values.
        step: Steps that are done.
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
    """Begin a run, or go on where its checkpoint says, with the weights and moments it holds.

    Args:
        model: At its start; it gets the checkpoint's weights.
        optimizer: Likewise.
        checkpoint: The run's file, which need not exist.
        run: All that decides the run, by name; may be nested.
        steps: How many it is to have.

    Raises:
        ValueError: If the checkpoint is damaged or of another run, or has more steps; the model is
            left as it was. The message names all that differs.
        OSError: If there is no room for a checkpoint.
    """
    atomic_files.remove_leftover(checkpoint.parent)
    if not checkpoint.exists():
        _expect_room(model, optimizer, checkpoint)
        return Progress(json.loads(json.dumps(run)))
    with checkpoints.open_checkpoint(checkpoint) as stored:
        extra = stored.read_extra()
        progress = _stored_progress(stored, extra)
        _expect_same_run(checkpoint, progress.run, run)
        if progress.step > steps:
            raise ValueError(f"{checkpoint} has {progress.step} steps, expected at most {steps}")
        stored.restore_into(model)
    for name, slot in _state(optimizer).items():
        slot.assign(extra[name].reshape(slot.shape))
    return progress


def save(model: Enformer, optimizer: Adam, checkpoint: Path, progress: Progress) -> None:
    """Write what `begin_or_resume` takes up.

    Raises:
        ValueError: If a weight is not finite; the checkpoint is left as it was.
        OSError: If it cannot be written; likewise.
    """
    text = json.dumps(dataclasses.asdict(progress))
    extra = {_NAME: np.frombuffer(text.encode(), dtype=np.uint8)}
    extra |= {name: slot.numpy() for name, slot in _state(optimizer).items()}
    try:
        checkpoints.save(model, checkpoint, extra)
    except ValueError as error:
        raise ValueError(f"step {progress.step}: {error}") from None


def _stored_progress(checkpoint: Checkpoint, extra: Mapping[str, np.ndarray]) -> Progress:
    if _NAME not in extra:
        raise ValueError(
            f"{checkpoint.path} holds weights alone, expected a training run's checkpoint"
        )
    return Progress(**json.loads(extra[_NAME].tobytes()))


def _expect_same_run(checkpoint: Path, stored: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    before, now = _flat(stored), _flat(run)
    differing = [
        f"{name}={before.get(name)}, not {name}={now.get(name)}"
        for name in dict.fromkeys([*now, *before])
        if before.get(name) != now.get(name)
    ]
    if differing:
        raise ValueError(f"{checkpoint} was trained with {'; '.join(differing)}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their path: `model.attention`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _expect_room(model: Enformer, optimizer: Adam, checkpoint: Path) -> None:
    kept = [*model.variables, *_state(optimizer).values()]
    atomic_files.check_free_space(
        checkpoint, sum(v.shape.num_elements() * v.dtype.size for v in kept)
    )


def _state(optimizer: Adam) -> dict[str, tf.Variable]:
    state = {"optimizer/step": optimizer.step}
    for moment in ("m", "v"):
        for index, slot in enumerate(getattr(optimizer, moment)):
            state[f"optimizer/{moment}/{index}"] = slot
    return state
