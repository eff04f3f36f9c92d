"""A model for others to use: a SavedModel, and what it was compared with before it was written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from senformer.attention_kinds import KINDS, attention_kind
from senformer.config import BIN_SIZE_BP, ModelConfig
from senformer.evaluation.pearson import pearson_r, pearson_sums
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.prediction.saved_models import (
    DESCRIPTION_FILE,
    SavedEnformer,
    checksums,
    open_saved_model,
)
from senformer.prediction.weight_sources import Weights, find_weights
from senformer.storage import atomic_files

AGREEMENT = 1e-4
"""Largest difference over largest output up to which two programs compute the same function."""

EXPORT_AGREEMENT = 1e-5
"""The same for a model and its own SavedModel."""

_SEED = 0  # of the sequence that they are compared on

Outputs = Mapping[str, NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models on the same random sequence, one head.

    Attributes:
        model: What was compared.
        reference: With what.
        sequence_length_bp: Length of the input.
        head: Which head.
        largest_difference: Over the largest output of the reference.
        pearson_r: The mean over tracks of each one's r along the bins; none where none has one.
        agreement: What the difference must not exceed; none where they need not agree.
    """

    model: str
    reference: str
    sequence_length_bp: int
    head: str
    largest_difference: float
    pearson_r: float | None
    agreement: float | None

    def __str__(self) -> str:
        r = "no r" if self.pearson_r is None else f"r = {self.pearson_r:.6f}"
        return (
            f"{self.model} and {self.reference}, {self.sequence_length_bp:,} bp, {self.head}: "
            f"largest difference {self.largest_difference:.2g} of the largest output, {r}"
        )


def export(
    weights: str | Path,
    folder: str | Path,
    *,
    attention: str | None = None,
    sequence_length_bp: int,
    target_length: int | None = None,
    say: Callable[[str], None] = print,
) -> list[Comparison]:
    """Write Enformer's weights as a SavedModel, with another attention and for another length.

    It is used as TF-Hub's Enformer is, and loads where this package is not installed:
    `tf.saved_model.load(folder).model.predict_on_batch(sequence)["human"]`. All of its input
    counts; TF-Hub's takes 393,216 bp and reads the middle half.

    Before it is written the model is compared with what the weights were made for: with the
    authors' own program where it lies beside them, and with the weights' own attention. After it is
    written it is loaded and compared with the model.

    Args:
        weights: What `weights.find_weights` takes.
        folder: The SavedModel's; absent, empty, or written by this function.
        attention: A kind that has Enformer's parameters or a part of them; by default the weights'
            own.
        sequence_length_bp: Length of its input.
        target_length: 128-bp bins that it predicts; by default as many as the weights were made
            for.
        say: Is given a line for each thing that is found.

    Returns:
        What was compared; the same is kept in `export.json`.

    Raises:
        FileNotFoundError: If there are no such weights.
        FileExistsError: If the folder holds anything else.
        ValueError: If an argument is out of range, or what must agree does not; nothing is written.
        OSError: If there is no room for it.
    """
    folder = Path(folder)
    _expect_ours(folder)
    source = find_weights(weights, target_length=target_length)
    config = _config(source, attention or source.config.attention)
    config.num_tokens(sequence_length_bp)
    say(f"{source.path}: {source.kind}, {_described(source.config)}")
    reference = source.load(source.config)
    variables = reference.variables
    atomic_files.check_free_space(
        folder, sum(v.shape.num_elements() * v.dtype.size for v in variables)
    )
    compared = []
    if source.original is not None:
        compared += _said(_with_original(reference, source.original), say)
    model = reference
    if config.attention != source.config.attention:
        model = Enformer(config)
        checkpoints.copy_weights(reference, model)
        compared += _said(_with_reference(model, reference, sequence_length_bp), say)
    del reference
    with atomic_files.replace_folder(folder) as unfinished:
        checkpoints.export_saved_model(model, unfinished, sequence_length_bp)
        compared += _said(_with_saved(open_saved_model(unfinished), model), say)
        description = {
            "weights": str(source.path),
            "kind": source.kind,
            "sequence_length_bp": sequence_length_bp,
            "config": config.to_dict(),
            "files": checksums(unfinished),
            "compared": [dataclasses.asdict(comparison) for comparison in compared],
        }
        text = json.dumps(description, indent=1) + "\n"
        (unfinished / DESCRIPTION_FILE).write_text(text)
    return compared


def _expect_ours(folder: Path) -> None:
    """Refuse to replace what another program wrote."""
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / DESCRIPTION_FILE).is_file():
        raise FileExistsError(
            f"{folder}: exists and is no earlier export, expected a folder that is new or empty"
        )


def _config(source: Weights, attention: str) -> ModelConfig:
    own = source.config.attention
    if attention != own and not (
        attention_kind(attention).takes_enformers_weights
        and attention_kind(own).takes_enformers_weights
    ):
        possible = [name for name, kind in KINDS.items() if kind.takes_enformers_weights]
        if not attention_kind(own).takes_enformers_weights:
            possible = [own]
        raise ValueError(
            f"attention={attention!r} has parameters that {source.path} lacks, expected one of "
            f"{', '.join(possible)}"
        )
    return source.config.replace(attention=attention)


def _described(config: ModelConfig) -> str:
    tracks = ", ".join(f"{count:,} {head}" for head, count in config.tracks.items())
    return (
        f"{config.channels:,} channels, {config.num_transformer_layers} layers, "
        f"{config.num_heads} heads, {config.attention} attention, tracks: {tracks}"
    )


# ---------------------------------------------------------------------------------- comparisons


def _with_original(reference: Enformer, original: SavedEnformer) -> list[Comparison]:
    """The weights in this package, and in the program that they were saved with."""
    sequence = random_sequence(original.sequence_length_bp)
    expected = original.predict(sequence)
    what = "the SavedModel's own predictions"
    if _reads_middle_half(original, sequence, expected):
        sequence = _middle_half(sequence)
        what += f" (from the middle of {original.sequence_length_bp:,} bp)"
    ours = _outputs(reference, sequence)
    return _compared("the weights, read", ours, what, expected, sequence, AGREEMENT)


def _reads_middle_half(
    original: SavedEnformer, sequence: NDArray[np.float32], expected: Outputs
) -> bool:
    """Whether the rest of the sequence makes no difference, as it makes none to TF-Hub's."""
    middle = _middle_half(sequence)
    if middle.shape[1] < original.target_length * BIN_SIZE_BP:
        return False
    missing_bp = sequence.shape[1] - middle.shape[1]
    before = missing_bp // 2
    alone = np.pad(middle, [(0, 0), (before, missing_bp - before), (0, 0)])
    found = original.predict(alone)
    return all(
        _largest_difference(found[head], expected[head]) <= EXPORT_AGREEMENT for head in expected
    )


def _with_reference(
    model: Enformer, reference: Enformer, sequence_length_bp: int
) -> list[Comparison]:
    sequence = random_sequence(sequence_length_bp)
    attention, own = model.config.attention, reference.config.attention
    is_exact = attention_kind(attention).is_exact and attention_kind(own).is_exact
    return _compared(
        attention,
        _outputs(model, sequence),
        own,
        _outputs(reference, sequence),
        sequence,
        AGREEMENT if is_exact else None,
    )


def _with_saved(saved: SavedEnformer, model: Enformer) -> list[Comparison]:
    sequence = random_sequence(saved.sequence_length_bp)
    return _compared(
        "the SavedModel, loaded",
        saved.predict(sequence),
        "the model that it was made of",
        _outputs(model, sequence),
        sequence,
        EXPORT_AGREEMENT,
    )


def random_sequence(sequence_length_bp: int) -> NDArray[np.float32]:
    """Uniform DNA, the same each time: `[1, length, 4]`."""
    bases = np.random.default_rng(_SEED).integers(0, 4, sequence_length_bp)
    return np.eye(4, dtype=np.float32)[np.newaxis, bases]


def _outputs(model: Enformer, sequence: NDArray[np.float32]) -> Outputs:
    return {head: array.numpy() for head, array in model.predict_on_batch(sequence).items()}


def _middle_half(sequence: NDArray[np.float32]) -> NDArray[np.float32]:
    length_bp = sequence.shape[1] // 2 // BIN_SIZE_BP * BIN_SIZE_BP
    first = (sequence.shape[1] - length_bp) // 2
    return sequence[:, first : first + length_bp]


def _largest_difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Over the largest of what is expected."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _compared(
    model: str,
    found: Outputs,
    reference: str,
    expected: Outputs,
    sequence: NDArray[np.float32],
    agreement: float | None,
) -> list[Comparison]:
    """A comparison for each head, of the bins that both predict.

    Raises:
        ValueError: If they must agree and do not.
    """
    comparisons = []
    for head in expected:
        num_bins = min(found[head].shape[1], expected[head].shape[1])
        x, y = _central(expected[head], num_bins), _central(found[head], num_bins)
        r = pearson_r(pearson_sums(x, y))
        comparison = Comparison(
            model,
            reference,
            sequence.shape[1],
            head,
            _largest_difference(y, x),
            None if np.isnan(r).all() else float(np.nanmean(r)),
            agreement,
        )
        if agreement is not None and not comparison.largest_difference <= agreement:
            raise ValueError(f"not written: {comparison}, expected at most {agreement:g}")
        comparisons.append(comparison)
    return comparisons


def _central(x: NDArray[np.float32], num_bins: int) -> NDArray[np.float32]:
    first = (x.shape[1] - num_bins) // 2
    return x[:, first : first + num_bins]


def _said(compared: list[Comparison], say: Callable[[str], None]) -> list[Comparison]:
    for comparison in compared:
        say(str(comparison))
    return compared
