"""The model that predicts: a SavedModel, or a file of this package at a length."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from senformer.evaluation.predictions import Predict, predictor
from senformer.model import checkpoints
from senformer.prediction.saved_models import SavedEnformer, checksums, open_saved_model
from senformer.training.identity import digest_of_file, digest_of_values


@dataclass(frozen=True)
class LoadedModel:
    """A model at the length that it is used at.

    Attributes:
        sequence_length_bp: Length of its input.
        target_length: Bins that it predicts, the central ones of the input.
        tracks: Of each head.
        digest: Of its weights and, for a SavedModel, its program.
        head: One head as a function, `[batch, length, 4]` to `[batch, bins, tracks]`.
    """

    sequence_length_bp: int
    target_length: int
    tracks: Mapping[str, int]
    digest: str
    head: Callable[[str], Predict]


def load_model(path: str | Path, sequence_length_bp: int | None = None) -> LoadedModel:
    """Load a model to predict with.

    Args:
        path: A SavedModel's folder, exported by this package or TF-Hub's Enformer, or a
            `.safetensors` of `checkpoints.save`.
        sequence_length_bp: Length of its input; a SavedModel has one, and needs none here.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If it is damaged, or does not take this length.
    """
    path = Path(path)
    if path.is_dir():
        return _of_saved_model(path, sequence_length_bp)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such model, expected a SavedModel's folder or a .safetensors of this "
            "package; of other weights `senformer export` makes one"
        )
    return _of_checkpoint(path, sequence_length_bp)


def _of_saved_model(folder: Path, sequence_length_bp: int | None) -> LoadedModel:
    saved = open_saved_model(folder)
    if sequence_length_bp not in (None, saved.sequence_length_bp):
        raise ValueError(
            f"sequence_length_bp={sequence_length_bp}, expected the {saved.sequence_length_bp} "
            f"that {folder} was exported with"
        )
    return LoadedModel(
        saved.sequence_length_bp,
        saved.target_length,
        saved.tracks,
        digest_of_values(checksums(folder)),
        lambda head: _predictor_of(saved, head),
    )


def _predictor_of(saved: SavedEnformer, head: str) -> Predict:
    def predict(sequence: NDArray[np.float32]) -> NDArray[np.float32]:
        return saved.predict(sequence)[head]

    return predict


def _of_checkpoint(path: Path, sequence_length_bp: int | None) -> LoadedModel:
    model = checkpoints.restore(path)
    if sequence_length_bp is None:
        raise ValueError(
            f"{path}: takes sequences of several lengths, expected a length to be given"
        )
    model.config.num_tokens(sequence_length_bp)
    return LoadedModel(
        sequence_length_bp,
        model.config.target_length,
        model.config.tracks,
        digest_of_file(path),
        lambda head: predictor(model, head),
    )
