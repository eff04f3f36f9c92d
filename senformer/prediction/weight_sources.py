"""What weights a path holds: whose they are, of which model, and how that is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from senformer.config import ModelConfig, expect_integer
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.model.weights import foreign_weights
from senformer.prediction.saved_models import (
    DESCRIPTION_FILE,
    SavedEnformer,
    open_saved_model,
)
from senformer.storage.text_files import read_json_object

EXPECTED = (
    "expected DeepMind's Sonnet checkpoint (its path without .index), a SavedModel such as "
    "TF-Hub's Enformer, enformer-pytorch's safetensors, or a .safetensors of this package"
)


@dataclass(frozen=True)
class Weights:
    """Weights that were found, not yet read.

    Attributes:
        path: As it was given.
        kind: Whose they are, for people.
        config: Of their model.
        load: Makes the model that a config describes, which may differ in `target_length`.
        original: What the authors' own program predicts with them, where it lies beside them.
    """

    path: Path
    kind: str
    config: ModelConfig
    load: Callable[[ModelConfig], Enformer]
    original: SavedEnformer | None = None


def find_weights(path: str | Path, *, target_length: int | None = None) -> Weights:
    """Find out what a path holds.

    Args:
        path: A Sonnet checkpoint without `.index`; a folder with a SavedModel; a `.safetensors`
            of enformer-pytorch, with its `config.json` beside it, or of `checkpoints.save`.
        target_length: 128-bp bins that the model predicts; by default as many as it was made for,
            and for a Sonnet checkpoint, which does not say, as many as the published Enformer.

    Raises:
        FileNotFoundError: If nothing of the kind is there; the message says what was found and what
            was expected.
        ValueError: If it is damaged, or holds another model; likewise.
    """
    path = Path(path)
    if Path(f"{path}.index").is_file():
        found = _sonnet(path)
    elif (path / "saved_model.pb").is_file():
        found = _saved_model(path)
    elif path.is_file():
        found = _safetensors(path)
    elif path.is_dir():
        files = ", ".join(sorted(file.name for file in path.iterdir())[:3]) or "nothing"
        raise FileNotFoundError(f"{path}: a folder that holds {files}, {EXPECTED}")
    else:
        raise FileNotFoundError(f"{path}: no such file or folder, {EXPECTED}")
    if target_length is None:
        return found
    expect_integer("target_length", target_length, 1)
    return dataclasses.replace(found, config=found.config.replace(target_length=target_length))


def _sonnet(path: Path) -> Weights:
    return Weights(
        path,
        "a Sonnet checkpoint",
        foreign_weights.sonnet_config(path),
        lambda config: foreign_weights.load_sonnet(path, config),
    )


def _saved_model(path: Path) -> Weights:
    if (path / DESCRIPTION_FILE).is_file():
        exported = read_json_object(path / DESCRIPTION_FILE, "the description of an export")
        raise ValueError(f"{path}: an export of {exported.get('weights')}, expected those weights")
    original = open_saved_model(path)
    config = foreign_weights.saved_model_config(path)
    return Weights(
        path,
        "a SavedModel",
        config.replace(target_length=original.target_length),
        lambda config: foreign_weights.load_saved_model(path, config),
        original,
    )


def _safetensors(path: Path) -> Weights:
    try:
        with safe_open(str(path), "np") as file:
            names, metadata = set(file.keys()), file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: no safetensors file ({error}), {EXPECTED}") from None
    if "format" in metadata and metadata["format"] == checkpoints.FORMAT:
        with checkpoints.opened(path) as checkpoint:
            config = checkpoint.config
        return Weights(path, "of this package", config, lambda config: _restored(path, config))
    if "stem.0.weight" in names:
        return _enformer_pytorch(path)
    some = ", ".join(sorted(names)[:3])
    raise ValueError(f"{path}: a safetensors file of other arrays ({some}), {EXPECTED}")


def _enformer_pytorch(path: Path) -> Weights:
    config = foreign_weights.enformer_pytorch_config(path)
    described = path.with_name("config.json")
    description = read_json_object(described, "enformer-pytorch's config beside its weights")
    use_tf_gamma = description.get("use_tf_gamma")
    if not isinstance(use_tf_gamma, bool):
        raise ValueError(
            f"{described}: use_tf_gamma={use_tf_gamma}, expected true for weights that were "
            "converted from DeepMind's, false for any other"
        )
    if "target_length" in description:
        expect_integer(f"{described}: target_length", description["target_length"], 1)
        config = config.replace(target_length=description["target_length"])
    return Weights(
        path,
        "of enformer-pytorch",
        config.replace(gamma_scaling="per_feature" if use_tf_gamma else "per_position"),
        lambda config: foreign_weights.load_enformer_pytorch(
            path, config, use_tf_gamma=use_tf_gamma
        ),
    )


def _restored(path: Path, config: ModelConfig) -> Enformer:
    model = Enformer(config)
    checkpoints.restore_into(model, path)
    return model
