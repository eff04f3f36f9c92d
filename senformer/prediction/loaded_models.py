"""Load models to predict with: SavedModels, or files of this package.

A SavedModel is used like TF-Hub's Enformer: `model.predict_on_batch` returns the tracks of all
heads. A SavedModel is a program: loading and calling it can do all that its author wrote, such as
reading and writing files. Load only SavedModels whose source you trust.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

from senformer.evaluation.predictions import Predict, predictor
from senformer.model import checkpoints
from senformer.storage import atomic_files
from senformer.storage.checksums import checksum_file
from senformer.storage.text_files import read_json_object
from senformer.training.identity import digest_file, digest_values

DESCRIPTION_FILE = "export.json"
"""A file next to an exported SavedModel: its source, its comparisons and its files' checksums."""

_FINGERPRINT_FILE = "fingerprint.pb"
_SHOWN_DIGITS = 12  # of a checksum in a message


@dataclass(frozen=True)
class LoadedModel:
    """A model for inputs of one length.

    Attributes:
        sequence_length_bp: Length of the input.
        target_length: Number of predicted bins, the central ones of the input.
        tracks: Number of tracks of each head.
        digest: Digest of the weights and, for a SavedModel, of the program.
        is_repeatable: Whether the same sequences always get the same bits on this machine.
        head: Returns the function of one head, `[batch, length, 4]` to `[batch, bins, tracks]`.
    """

    sequence_length_bp: int
    target_length: int
    tracks: Mapping[str, int]
    digest: str
    is_repeatable: bool
    head: Callable[[str], Predict]


def load_model(path: str | Path, sequence_length_bp: int | None = None) -> LoadedModel:
    """Load a model to predict with.

    A SavedModel runs the program that it contains: load only those whose source you trust.

    Args:
        path: The folder of a SavedModel, exported by this package or TF-Hub's Enformer, or a
            `.safetensors` of `checkpoints.save`.
        sequence_length_bp: Length of the input; may be None for a SavedModel, which has one length.

    Raises:
        FileNotFoundError: If the model does not exist.
        ValueError: If the model is damaged, or does not take this length.
    """
    path = Path(path)
    if path.name:
        atomic_files.repair_folder(path)  # a killed export may have moved an earlier one aside
    if path.is_dir():
        is_repeatable = use_one_inter_op_thread()
        saved = open_saved_model(path)
        if sequence_length_bp not in (None, saved.sequence_length_bp):
            raise ValueError(
                f"sequence_length_bp={sequence_length_bp}, expected {saved.sequence_length_bp}, "
                f"the length that {path} was exported with"
            )
        return LoadedModel(
            saved.sequence_length_bp,
            saved.target_length,
            saved.tracks,
            digest_values(compute_checksums(path)),
            is_repeatable,
            lambda head: lambda sequence: saved.predict(sequence)[head],
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such model, expected the folder of a SavedModel or a .safetensors of this "
            "package; `senformer export` makes a SavedModel of other weights"
        )
    model = checkpoints.restore(path)
    if sequence_length_bp is None:
        raise ValueError(f"{path}: takes sequences of several lengths, expected a length")
    model.config.num_tokens(sequence_length_bp)
    return LoadedModel(
        sequence_length_bp,
        model.config.target_length,
        model.config.tracks,
        digest_file(path),
        True,
        lambda head: predictor(model, head),
    )


def use_one_inter_op_thread() -> bool:
    """Let TensorFlow run one operation at a time, and return whether it does.

    With several at a time, the last bits of a SavedModel's predictions differ from call to call.
    TensorFlow accepts the setting only before it computes for the first time in a process.
    """
    threading = tf.config.threading
    with contextlib.suppress(RuntimeError):  # it has computed already
        threading.set_inter_op_parallelism_threads(1)
    return bool(threading.get_inter_op_parallelism_threads() == 1)


@dataclass(frozen=True)
class SavedEnformer:
    """A SavedModel whose `model.predict_on_batch` returns `{head: [batch, bins, tracks]}`.

    Attributes:
        sequence_length_bp: Length of the input.
        target_length: Number of predicted bins, the central ones of the input.
        tracks: Number of tracks of each head.
    """

    sequence_length_bp: int
    target_length: int
    tracks: Mapping[str, int]
    _loaded: Any  # owns the variables

    def predict(self, sequence: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Predict every head's `[batch, bins, tracks]` from `[batch, length, 4]`."""
        predicted = self._loaded.model.predict_on_batch(tf.constant(sequence, tf.float32))
        return {head: array.numpy() for head, array in predicted.items()}


def open_saved_model(folder: str | Path) -> SavedEnformer:
    """Load a SavedModel: TF-Hub's Enformer, or one that was exported by this package.

    This runs the program that it contains: load only SavedModels whose source you trust.

    Raises:
        FileNotFoundError: If the folder has no SavedModel.
        ValueError: If the SavedModel is damaged or of another kind. Checksums find any damage of a
            model that this package exported.
    """
    folder = Path(folder)
    if not (folder / "saved_model.pb").is_file():
        raise FileNotFoundError(
            f"{folder}: no saved_model.pb, expected a SavedModel; `senformer export` makes one of "
            "other weights"
        )
    _check_exported_files(folder)
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises many kinds, and so does Python
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder}: damaged or no SavedModel ({reason})") from None
    function = getattr(getattr(loaded, "model", None), "predict_on_batch", None)
    programs = getattr(function, "concrete_functions", None)
    if not programs:
        raise ValueError(
            f"{folder}: a SavedModel without model.predict_on_batch, expected one like TF-Hub's "
            "Enformer"
        )
    inputs = tf.nest.flatten(programs[0].structured_input_signature)
    outputs = programs[0].structured_outputs
    if not _has_enformer_shapes(inputs, outputs):
        raise ValueError(
            f"{folder}: predict_on_batch takes {inputs} and returns {outputs}, expected "
            "[batch, length, 4] and [batch, bins, tracks] for each head"
        )
    return SavedEnformer(
        sequence_length_bp=inputs[0].shape[1],
        target_length=next(iter(outputs.values())).shape[1],
        tracks={head: output.shape[2] for head, output in outputs.items()},
        _loaded=loaded,
    )


def compute_checksums(folder: Path) -> dict[str, str]:
    """Compute the SHA-256 of each file of a SavedModel, by its path in the folder."""
    files = [folder / "saved_model.pb", *sorted((folder / "variables").iterdir())]
    return {path.relative_to(folder).as_posix(): checksum_file(path) for path in files}


def _has_enformer_shapes(inputs: list[tf.TensorSpec], outputs: Any) -> bool:
    """Tell whether a function takes one-hot sequences of one length, with equal bins per head."""
    if len(inputs) != 1 or not isinstance(outputs, Mapping) or not outputs:
        return False
    shapes = [spec.shape for spec in (*inputs, *outputs.values())]
    are_known = all(shape.rank == 3 and shape[1:].is_fully_defined() for shape in shapes)
    return are_known and shapes[0][2] == 4 and len({shape[1] for shape in shapes[1:]}) == 1


def _check_exported_files(folder: Path) -> None:
    """Compare a SavedModel's files with the checksums of its export, or else with its fingerprint.

    TensorFlow checks only the variables; a program with a flipped bit runs.
    """
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        _check_fingerprint(folder)
        return
    expected = read_json_object(path, "the description of an export").get("files")
    if not isinstance(expected, dict):
        raise ValueError(f"{path}: files={expected!r:.80}, expected the checksum of each file")
    found = compute_checksums(folder)
    for name in dict.fromkeys([*expected, *found]):
        before, now = str(expected.get(name, "none")), found.get(name, "none")
        if before != now:
            raise ValueError(
                f"{folder / name}: damaged, its checksum is {now[:_SHOWN_DIGITS]}, expected "
                f"{before[:_SHOWN_DIGITS]} as exported"
            )


def _check_fingerprint(folder: Path) -> None:
    """Compare a program with the fingerprint that TensorFlow 2.12 and later write next to it."""
    if not (folder / _FINGERPRINT_FILE).is_file():
        return
    stored, found = FingerprintDef(), FingerprintDef()
    try:
        stored.ParseFromString((folder / _FINGERPRINT_FILE).read_bytes())
        found.ParseFromString(fingerprinting.CreateFingerprintDef(str(folder)))
        is_same = found.saved_model_checksum == stored.saved_model_checksum
    except Exception:  # TensorFlow raises several kinds for a damaged file
        is_same = False
    if not is_same:
        raise ValueError(f"{folder}: damaged, saved_model.pb and {_FINGERPRINT_FILE} differ")
