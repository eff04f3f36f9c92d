"""Models as SavedModels, used as the Enformer of TF-Hub is: opened, and asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from senformer.storage.text_files import read_json_object

DESCRIPTION_FILE = "export.json"
"""In the folder of a SavedModel that this package wrote: what it was made of, what it was compared
with, and its files' checksums."""

_SHOWN = 12  # digits of a checksum in a message


@dataclass(frozen=True)
class SavedEnformer:
    """A SavedModel whose `model.predict_on_batch` gives `{head: [batch, bins, tracks]}`.

    Attributes:
        sequence_length_bp: Length of the input that it takes.
        target_length: Bins that it predicts, the central ones of the input.
        tracks: Of each head.
    """

    sequence_length_bp: int
    target_length: int
    tracks: Mapping[str, int]
    _loaded: Any  # with the variables: they live as long as it does

    def predict(self, sequence: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """`[batch, length, 4]` to every head's `[batch, bins, tracks]`."""
        predicted = self._loaded.model.predict_on_batch(tf.constant(sequence, tf.float32))
        return {head: array.numpy() for head, array in predicted.items()}


def open_saved_model(folder: str | Path) -> SavedEnformer:
    """Load a SavedModel of TF-Hub's Enformer, or one that was exported like it.

    Raises:
        FileNotFoundError: If there is none in the folder.
        ValueError: If it is damaged, which is told of one that this package wrote, or of another
            kind; the message says what was expected.
    """
    folder = Path(folder)
    if not (folder / "saved_model.pb").is_file():
        raise FileNotFoundError(f"{folder}: no saved_model.pb in it, expected a SavedModel")
    _expect_as_exported(folder)
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # of TensorFlow's kinds and of Python's
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder}: damaged or no SavedModel ({reason})") from None
    function = getattr(getattr(loaded, "model", None), "predict_on_batch", None)
    programs = getattr(function, "concrete_functions", None)
    if not programs:
        raise ValueError(
            f"{folder}: a SavedModel without model.predict_on_batch, expected one that is used as "
            "TF-Hub's Enformer is"
        )
    inputs = tf.nest.flatten(programs[0].structured_input_signature)
    outputs = programs[0].structured_outputs
    if not _are_enformers(inputs, outputs):
        raise ValueError(
            f"{folder}: predict_on_batch takes {inputs} and gives {outputs}, expected "
            "[batch, length, 4] and [batch, bins, tracks] for each head"
        )
    return SavedEnformer(
        sequence_length_bp=inputs[0].shape[1],
        target_length=next(iter(outputs.values())).shape[1],
        tracks={head: output.shape[2] for head, output in outputs.items()},
        _loaded=loaded,
    )


def _are_enformers(inputs: list[tf.TensorSpec], outputs: Any) -> bool:
    """Whether a function takes one-hot sequences of one length and gives as many bins by head."""
    if len(inputs) != 1 or not isinstance(outputs, Mapping) or not outputs:
        return False
    shapes = [spec.shape for spec in (*inputs, *outputs.values())]
    are_known = all(shape.rank == 3 and shape[1:].is_fully_defined() for shape in shapes)
    return are_known and shapes[0][2] == 4 and len({shape[1] for shape in shapes[1:]}) == 1


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that a SavedModel is, by its path in the folder."""
    files = [folder / "saved_model.pb", *sorted((folder / "variables").iterdir())]
    found = {}
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        found[path.relative_to(folder).as_posix()] = digest.hexdigest()
    return found


def _expect_as_exported(folder: Path) -> None:
    """TensorFlow looks at checksums of variables alone, and a flipped bit of a program runs."""
    description = folder / DESCRIPTION_FILE
    if not description.is_file():
        return
    expected = read_json_object(description, "the description of an export").get("files", {})
    found = checksums(folder)
    for name in dict.fromkeys([*expected, *found]):
        before, now = expected.get(name, "none"), found.get(name, "none")
        if before != now:
            raise ValueError(
                f"{folder / name}: damaged, its checksum is {now[:_SHOWN]}, expected the "
                f"{before[:_SHOWN]} that it was exported with"
            )
