"""Find out whose weights a path holds, which model they belong to, and how to load them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from senformer.config import BIN_SIZE_BP, ModelConfig, expect_integer
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

_ADVICE = {
    r".*\.(bin|pt|pth|ckpt)": "a file of PyTorch: load it there and write it with "
    'safetensors.torch.save_model(model, "model.safetensors")',
    r".*\.(h5|hdf5|keras)": "a file of Keras: load it there and write a SavedModel with "
    "tf.saved_model.save",
    r"\w+:/.*|[\w.-]+/[\w.-]+": "a path is needed, nothing is downloaded: download these weights "
    "first, for instance with `hf download NAME --local-dir FOLDER`, and give the FOLDER",
}
"""What a user can do about a path that is not read, by a regular expression of the path."""


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


def find_weights(
    path: str | Path,
    *,
    target_length: int | None = None,
    sequence_length_bp: int | None = None,
) -> WeightSource:
    """Find out which weights a path holds.

    A SavedModel is loaded. Loading it runs the program that it contains: load only SavedModels
    whose source you trust.

    Args:
        path: A Sonnet checkpoint without `.index`; a folder with a SavedModel; a `.safetensors` of
            enformer-pytorch, with its `config.json` in the same folder, or of `checkpoints.save`;
            a folder with one of these, such as a snapshot of Hugging Face.
        target_length: Number of 128-bp bins that the model predicts; by default as many as the
            weights' model, and for a Sonnet checkpoint, which does not store it, as many as the
            published Enformer.
        sequence_length_bp: Length of the input; needed for weights whose model predicts all bins
            of its input (`target_length` -1 in the `config.json` of enformer-pytorch).

    Raises:
        FileNotFoundError: If the path holds no weights; the message names what was found and what
            was expected.
        ValueError: If the weights are damaged or belong to another model.
    """
    if target_length is not None:
        expect_integer("target_length", target_length, 1)
    found = _find_file(Path(path))
    if Path(f"{found}.index").is_file():
        source = WeightSource(
            found,
            "a Sonnet checkpoint",
            sonnet.read_sonnet_config(found),
            lambda config: sonnet.load_sonnet(found, config),
        )
    elif found.is_dir():
        source = _find_saved_model(found)
    else:
        source = _find_safetensors(found, target_length, sequence_length_bp)
    if target_length is None:
        return source
    return dataclasses.replace(source, config=source.config.replace(target_length=target_length))


def _find_file(path: Path) -> Path:
    """Return the path of a SavedModel, a Sonnet checkpoint without ending, or another file."""
    if Path(f"{path}.index").is_file() or (path / "saved_model.pb").is_file():
        return path
    prefix = Path(re.sub(r"\.(index|data-\d+-of-\d+)$", "", str(path)))
    if path.is_file() and Path(f"{prefix}.index").is_file():
        return prefix
    if path.is_file():
        return path.parent if path.name == "saved_model.pb" else path
    files = sorted(path.iterdir()) if path.is_dir() else []
    weights = [file for file in files if file.suffix in (".safetensors", ".index")]
    if len(weights) == 1:
        return weights[0] if weights[0].suffix == ".safetensors" else weights[0].with_suffix("")
    if len(weights) > 1:
        names = ", ".join(file.name for file in weights[:3])
        raise ValueError(f"{path}: {len(weights)} files of weights ({names}), expected one's path")
    if path.is_dir():
        names = ", ".join(file.name for file in files[:3]) or "nothing"
        problem = f"a folder that holds {names}, {_EXPECTED}"
    else:
        problem = f"no such file or folder, {_EXPECTED}"
    raise FileNotFoundError(f"{path}: {problem}{_advise(*files, path)}")


def _advise(*paths: Path) -> str:
    for pattern, advice in _ADVICE.items():
        if any(re.fullmatch(pattern, str(path)) for path in paths):
            return f"; {advice}"
    return ""


def _find_saved_model(path: Path) -> WeightSource:
    if (path / DESCRIPTION_FILE).is_file():
        exported = read_json_object(path / DESCRIPTION_FILE, "the description of an export")
        raise ValueError(f"{path}: an export of {exported.get('weights')}, expected those weights")
    original = open_saved_model(path)
    config = saved_model.read_saved_model_config(path)
    if config.tracks != original.tracks:
        raise ValueError(
            f"{path}: variables of the heads {dict(config.tracks)}, expected those of its "
            f"predictions, {dict(original.tracks)}"
        )
    return WeightSource(
        path,
        "a SavedModel",
        config.replace(target_length=original.target_length),
        lambda config: saved_model.load_saved_model(path, config),
        original,
    )


def _find_safetensors(
    path: Path, target_length: int | None, sequence_length_bp: int | None
) -> WeightSource:
    try:
        with safe_open(str(path), "np") as file:
            names, metadata = set(file.keys()), file.metadata() or {}
    except SafetensorError as error:
        advice = _advise(path)
        raise ValueError(f"{path}: no safetensors file ({error}), {_EXPECTED}{advice}") from None
    if any(map(enformer_pytorch.FIRST_WEIGHT.fullmatch, names)):
        return _find_enformer_pytorch(path, target_length, sequence_length_bp)
    if metadata.get("format") != checkpoints.FORMAT:
        some = ", ".join(sorted(names)[:3])
        raise ValueError(f"{path}: a safetensors file of other arrays ({some}), {_EXPECTED}")

    def load(config: ModelConfig) -> Enformer:
        model = Enformer(config)
        checkpoints.restore_into(model, path)
        return model

    with checkpoints.open_checkpoint(path) as checkpoint:
        return WeightSource(path, "of this package", checkpoint.config, load)


def _find_enformer_pytorch(
    path: Path, target_length: int | None, sequence_length_bp: int | None
) -> WeightSource:
    config = enformer_pytorch.read_enformer_pytorch_config(path)
    described = path.with_name("config.json")
    description = read_json_object(described, "enformer-pytorch's config of the weights")
    use_tf_gamma = description.get("use_tf_gamma")
    if not isinstance(use_tf_gamma, bool):
        raise ValueError(
            f"{described}: use_tf_gamma={use_tf_gamma!r:.80}, expected true for weights that were "
            "converted from DeepMind's, false for others"
        )
    stored_length = description.get("target_length", config.target_length)
    if target_length is None:
        if stored_length == -1 and sequence_length_bp:  # all bins of the input
            stored_length = sequence_length_bp // BIN_SIZE_BP
        expect_integer(f"{described}: target_length", stored_length, 1)
        config = config.replace(target_length=stored_length)
    return WeightSource(
        path,
        "of enformer-pytorch",
        config.replace(gamma_scaling="per_feature" if use_tf_gamma else "per_position"),
        lambda config: enformer_pytorch.load_enformer_pytorch(
            path, config, use_tf_gamma=use_tf_gamma
        ),
    )
