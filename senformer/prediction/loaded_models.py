"""Load the model that predicts: a SavedModel, or a file of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from senformer.evaluation.predictions import Predict, predictor
from senformer.model import checkpoints
from senformer.prediction.saved_models import compute_checksums, open_saved_model
from senformer.training.identity import digest_file, digest_values


@dataclass(frozen=True)
class LoadedModel:
    """A model for inputs of one length.

    Attributes:
        sequence_length_bp: Length of the input.
        target_length: Number of predicted bins, the central ones of the input.
        tracks: Number of tracks of each head.
        digest: Digest of the weights and, for a SavedModel, of the program.
        head: Returns the function of one head, `[batch, length, 4]` to `[batch, bins, tracks]`.
    """

    sequence_length_bp: int
    target_length: int
    tracks: Mapping[str, int]
    digest: str
    head: Callable[[str], Predict]


def load_model(path: str | Path, sequence_length_bp: int | None = None) -> LoadedModel:
    """Load a model to predict with.

    Args:
        path: The folder of a SavedModel, exported by this package or TF-Hub's Enformer, or a
            `.safetensors` of `checkpoints.save`.
        sequence_length_bp: Length of the input; may be None for a SavedModel, which has one length.

    Raises:
        FileNotFoundError: If the model does not exist.
        ValueError: If the model is damaged, or does not take this length.
    """
    path = Path(path)
    if path.is_dir():
        return _load_saved_model(path, sequence_length_bp)
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
        lambda head: predictor(model, head),
    )


def _load_saved_model(folder: Path, sequence_length_bp: int | None) -> LoadedModel:
    saved = open_saved_model(folder)
    if sequence_length_bp not in (None, saved.sequence_length_bp):
        raise ValueError(
            f"sequence_length_bp={sequence_length_bp}, expected {saved.sequence_length_bp}, the "
            f"length that {folder} was exported with"
        )
    return LoadedModel(
        saved.sequence_length_bp,
        saved.target_length,
        saved.tracks,
        digest_values(compute_checksums(folder)),
        lambda head: lambda sequence: saved.predict(sequence)[head],
    )
