"""Find out whose weights a path holds, which model they belong to, and how to load them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from senformer.config import ModelConfig, expect_integer
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.model.weights import enformer_pytorch, saved_model, sonnet
from senformer.prediction.loaded_models import (
    DESCRIPTION_FILE,
    SavedEnformer,
    open_saved_model,
)
from senformer.storage.text_files import read_json_object

_EXPECTED = (
    "expected DeepMind's Sonnet checkpoint (its path without .index), a SavedModel such as "
    "TF-Hub's Enformer, enformer-pytorch's safetensors, or a .safetensors of this package"
)


@dataclass(frozen=True)
class WeightSource:
    """Weights that were found and not yet read.

    Attributes:
        path: The path of the weights.
        kind: The format, for messages.
        config: Configuration of the weights' model.
        load: Creates the model of a configuration, which may differ in `target_length`.
        original: The authors' own program with these weights, or None if there is none.
    """

    path: Path
    kind: str
    config: ModelConfig
    load: Callable[[ModelConfig], Enformer]
    original: SavedEnformer | None = None


def find_weights(path: str | Path, *, target_length: int | None = None) -> WeightSource:
    """Find out which weights a path holds.

    Args:
        path: A Sonnet checkpoint without `.index`; a folder with a SavedModel; a `.safetensors` of
            enformer-pytorch, with its `config.json` in the same folder, or of `checkpoints.save`.
        target_length: Number of 128-bp bins that the model predicts; by default as many as the
            weights' model, and for a Sonnet checkpoint, which does not store it, as many as the
            published Enformer.

    Raises:
        FileNotFoundError: If the path holds no weights; the message names what was found and what
            was expected.
        ValueError: If the weights are damaged or belong to another model.
    """
    path = Path(path)
    if Path(f"{path}.index").is_file():
        source = WeightSource(
            path,
            "a Sonnet checkpoint",
            sonnet.read_sonnet_config(path),
            lambda config: sonnet.load_sonnet(path, config),
        )
    elif (path / "saved_model.pb").is_file():
        source = _find_saved_model(path)
    elif path.is_file():
        source = _find_safetensors(path)
    elif path.is_dir():
        files = ", ".join(sorted(file.name for file in path.iterdir())[:3]) or "nothing"
        raise FileNotFoundError(f"{path}: a folder that holds {files}, {_EXPECTED}")
    else:
        raise FileNotFoundError(f"{path}: no such file or folder, {_EXPECTED}")
    if target_length is None:
        return source
    expect_integer("target_length", target_length, 1)
    return dataclasses.replace(source, config=source.config.replace(target_length=target_length))


def _find_saved_model(path: Path) -> WeightSource:
    if (path / DESCRIPTION_FILE).is_file():
        exported = read_json_object(path / DESCRIPTION_FILE, "the description of an export")
        raise ValueError(f"{path}: an export of {exported.get('weights')}, expected those weights")
    original = open_saved_model(path)
    config = saved_model.read_saved_model_config(path)
    return WeightSource(
        path,
        "a SavedModel",
        config.replace(target_length=original.target_length),
        lambda config: saved_model.load_saved_model(path, config),
        original,
    )


def _find_safetensors(path: Path) -> WeightSource:
    try:
        with safe_open(str(path), "np") as file:
            names, metadata = set(file.keys()), file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: no safetensors file ({error}), {_EXPECTED}") from None
    if "stem.0.weight" in names:
        return _find_enformer_pytorch(path)
    if metadata.get("format") != checkpoints.FORMAT:
        some = ", ".join(sorted(names)[:3])
        raise ValueError(f"{path}: a safetensors file of other arrays ({some}), {_EXPECTED}")

    def load(config: ModelConfig) -> Enformer:
        model = Enformer(config)
        checkpoints.restore_into(model, path)
        return model

    with checkpoints.open_checkpoint(path) as checkpoint:
        return WeightSource(path, "of this package", checkpoint.config, load)


def _find_enformer_pytorch(path: Path) -> WeightSource:
    config = enformer_pytorch.read_enformer_pytorch_config(path)
    described = path.with_name("config.json")
    description = read_json_object(described, "enformer-pytorch's config of the weights")
    use_tf_gamma = description.get("use_tf_gamma")
    if not isinstance(use_tf_gamma, bool):
        raise ValueError(
            f"{described}: use_tf_gamma={use_tf_gamma}, expected true for weights that were "
            "converted from DeepMind's, false for others"
        )
    if "target_length" in description:
        expect_integer(f"{described}: target_length", description["target_length"], 1)
        config = config.replace(target_length=description["target_length"])
    return WeightSource(
        path,
        "of enformer-pytorch",
        config.replace(gamma_scaling="per_feature" if use_tf_gamma else "per_position"),
        lambda config: enformer_pytorch.load_enformer_pytorch(
            path, config, use_tf_gamma=use_tf_gamma
        ),
    )
