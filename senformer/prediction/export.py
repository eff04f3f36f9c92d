"""Export a model as a SavedModel, after comparisons with the model of the original weights."""

from __future__ import annotations

import dataclasses
import errno
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from senformer.attention_kinds import KINDS, attention_kind
from senformer.config import BIN_SIZE_BP
from senformer.evaluation.pearson import pearson_r, pearson_sums
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.prediction.loaded_models import (
    DESCRIPTION_FILE,
    SavedEnformer,
    compute_checksums,
    open_saved_model,
    use_one_inter_op_thread,
)
from senformer.prediction.weight_sources import WeightSource, find_weights
from senformer.storage import atomic_files
from senformer.storage.output_paths import check_output

AGREEMENT = 1e-4
"""Largest difference, relative to the largest output, of two programs of the same function."""

EXPORT_AGREEMENT = 1e-5
"""Largest difference, relative to the largest output, of a model and its SavedModel."""

_SEED = 0  # of the random sequence

Outputs = Mapping[str, NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A comparison of two models on the same random sequence, for one head.

    Attributes:
        model: Name of the model.
        reference: Name of the reference.
        sequence_length_bp: Length of the input.
        head: Name of the head.
        largest_difference: Largest difference, relative to the reference's largest output.
        pearson_r: Mean over tracks of r along the bins, or None if no track has an r.
        agreement: Largest accepted difference, or None if the models may differ.
    """

    model: str
    reference: str
    sequence_length_bp: int
    head: str
    largest_difference: float
    pearson_r: float | None
    agreement: float | None

    def __str__(self) -> str:
        """Describe the comparison in one line."""
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
    """Export Enformer's weights as a SavedModel, with any compatible attention and length.

    The SavedModel is used like TF-Hub's Enformer and loads without this package:
    `tf.saved_model.load(folder).model.predict_on_batch(sequence)["human"]`. The model reads its
    entire input; TF-Hub's takes 393,216 bp and reads the middle half.

    Weights that are a SavedModel run the program that it contains: export only those whose source
    you trust.

    Before the export, the model is compared with the authors' own program, if the weights come with
    it, and with the weights' own attention. Afterwards, the SavedModel is loaded and compared with
    the model.

    Args:
        weights: Path of the weights, see `weight_sources.find_weights`.
        folder: The SavedModel's folder: absent, empty, or an earlier export.
        attention: An attention whose parameters are Enformer's or a part of them; by default the
            weights' own.
        sequence_length_bp: Length of the input.
        target_length: Number of predicted 128-bp bins; by default that of the weights' model.
        say: Function that receives a line for each result.

    Returns:
        The comparisons, which `export.json` keeps too.

    Raises:
        FileNotFoundError: If there are no such weights.
        FileExistsError: If the folder holds anything else, or is a link.
        ValueError: If an argument is out of range, or two programs of the same function differ;
            nothing is written.
        OSError: If the disk has too little room.
    """
    folder = Path(folder)
    check_output(folder)
    if folder.is_symlink():
        raise FileExistsError(f"{folder}: is a link, expected a new or empty folder")
    atomic_files.repair_folder(folder)  # a killed export may have moved an earlier one aside
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / DESCRIPTION_FILE).is_file():
        raise FileExistsError(
            f"{folder}: exists and is no earlier export, expected a new or empty folder"
        )
    use_one_inter_op_thread()  # the same command compares the same numbers
    source = find_weights(
        weights, target_length=target_length, sequence_length_bp=sequence_length_bp
    )
    config = source.config.replace(attention=attention or source.config.attention)
    _check_attention(config.attention, source)
    config.num_tokens(sequence_length_bp)
    tracks = ", ".join(f"{count:,} {head}" for head, count in config.tracks.items())
    say(
        f"{source.path}: {source.kind}, {config.channels:,} channels, "
        f"{config.num_transformer_layers} layers, {config.num_heads} heads, "
        f"{source.config.attention} attention, tracks: {tracks}"
    )
    reference = source.load(source.config)
    num_bytes = sum(v.shape.num_elements() * v.dtype.size for v in reference.variables)
    atomic_files.check_free_space(folder, num_bytes)
    compared: list[Comparison] = []

    def add(comparisons: Iterable[Comparison]) -> None:
        for comparison in comparisons:
            say(str(comparison))
            compared.append(comparison)

    if source.original is not None:
        add(_compare_with_original(reference, source.original))
    model, sequence = reference, draw_sequence(sequence_length_bp)
    if config.attention != source.config.attention:
        model = Enformer(config)
        checkpoints.copy_weights(reference, model)
        names = (config.attention, source.config.attention)
        are_exact = all(attention_kind(name).is_exact for name in names)
        outputs = (_predict(model, sequence), _predict(reference, sequence))
        add(_compare(names, *outputs, sequence_length_bp, AGREEMENT if are_exact else None))
    del reference
    with atomic_files.replace_folder(folder) as unfinished:
        _write_saved_model(model, unfinished, sequence_length_bp)
        names = ("the SavedModel, loaded", "the model that it was made of")
        outputs = (open_saved_model(unfinished).predict(sequence), _predict(model, sequence))
        add(_compare(names, *outputs, sequence_length_bp, EXPORT_AGREEMENT))
        description = {
            "weights": str(source.path),
            "kind": source.kind,
            "sequence_length_bp": sequence_length_bp,
            "config": config.model_dump(),
            "files": compute_checksums(unfinished),
            "compared": [dataclasses.asdict(comparison) for comparison in compared],
        }
        (unfinished / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1) + "\n")
    return compared


def draw_sequence(sequence_length_bp: int) -> NDArray[np.float32]:
    """Draw uniform DNA, `[1, length, 4]`, from a fixed seed."""
    bases = np.random.default_rng(_SEED).integers(0, 4, sequence_length_bp)
    return np.eye(4, dtype=np.float32)[np.newaxis, bases]


def _check_attention(attention: str, source: WeightSource) -> None:
    """Check that weights fit an attention."""
    own = source.config.attention
    kinds = (attention_kind(attention), attention_kind(own))
    if attention != own and not all(kind.takes_enformers_weights for kind in kinds):
        compatible = [name for name, kind in KINDS.items() if kind.takes_enformers_weights]
        expected = compatible if own in compatible else [own]
        raise ValueError(
            f"attention={attention!r} has parameters that {source.path} lacks, expected one of "
            f"{', '.join(expected)}"
        )


def _write_saved_model(model: Enformer, folder: Path, sequence_length_bp: int) -> None:
    try:
        checkpoints.export_saved_model(model, folder, sequence_length_bp)
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, " ".join(error.message.split()), str(folder)) from None


# ----------------------------------------------------------------------------------- comparisons


def _predict(model: Enformer, sequence: NDArray[np.float32]) -> Outputs:
    predicted = model.predict_on_batch(sequence)
    return {head: array.numpy() for head, array in predicted.items()}


def _compare_with_original(reference: Enformer, original: SavedEnformer) -> list[Comparison]:
    """Compare the weights in this package with the authors' own program.

    The program reads the middle half of its input if the rest of the sequence has no effect, as
    in TF-Hub's Enformer.
    """
    sequence = draw_sequence(original.sequence_length_bp)
    name = "the SavedModel's own predictions"
    expected = original.predict(sequence)
    length_bp = sequence.shape[1] // 2 // BIN_SIZE_BP * BIN_SIZE_BP
    first = (sequence.shape[1] - length_bp) // 2
    middle = sequence[:, first : first + length_bp]
    if length_bp >= original.target_length * BIN_SIZE_BP:
        after = sequence.shape[1] - length_bp - first
        found = original.predict(np.pad(middle, [(0, 0), (first, after), (0, 0)]))
        differences = [_relative_difference(found[head], expected[head]) for head in expected]
        if max(differences) <= EXPORT_AGREEMENT:
            name += f" (from the middle of {original.sequence_length_bp:,} bp)"
            sequence = middle
    names = ("the weights, read", name)
    return _compare(names, _predict(reference, sequence), expected, sequence.shape[1], AGREEMENT)


def _compare(
    names: tuple[str, str],
    found: Outputs,
    expected: Outputs,
    sequence_length_bp: int,
    agreement: float | None,
) -> list[Comparison]:
    """Compare the bins that two models both predict, for each head.

    Raises:
        ValueError: If the difference is larger than `agreement`.
    """
    comparisons = []
    for head in expected:
        num_bins = min(found[head].shape[1], expected[head].shape[1])
        x, y = _crop(expected[head], num_bins), _crop(found[head], num_bins)
        r = pearson_r(pearson_sums(x, y))
        comparison = Comparison(
            *names,
            sequence_length_bp,
            head,
            _relative_difference(y, x),
            None if np.isnan(r).all() else float(np.nanmean(r)),
            agreement,
        )
        if agreement is not None and not comparison.largest_difference <= agreement:
            raise ValueError(f"not written: {comparison}, expected at most {agreement:g}")
        comparisons.append(comparison)
    return comparisons


def _crop(x: NDArray[np.float32], num_bins: int) -> NDArray[np.float32]:
    """Crop `[batch, bins, tracks]` to the central bins."""
    first = (x.shape[1] - num_bins) // 2
    return x[:, first : first + num_bins]


def _relative_difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference, relative to the largest expected value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())
