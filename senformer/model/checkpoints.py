"""Weights on disk: our own file, DeepMind's, enformer-pytorch's, the published S-Enformer's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from senformer.config import ModelConfig
from senformer.model.enformer import Enformer

_FORMAT = "senformer-1"
_RANDOM_BLOCKS = "random_blocks/"
_EXTRA = "extra/"

ReadArray = Callable[[str], np.ndarray]


def save(model: Enformer, path: str | Path, extra: Mapping[str, np.ndarray] | None = None) -> None:
    """Write a model to one safetensors file, config included, atomically.

    Args:
        model: Any model of this package.
        path: The file, conventionally `*.safetensors`. Its folder is made.
        extra: More arrays to keep in the same file, such as an optimiser's state.
    """
    arrays = {name: variable.numpy() for name, variable in named_variables(model).items()}
    arrays |= _fixed_random_blocks(model)
    arrays |= {f"{_EXTRA}{name}": array for name, array in (extra or {}).items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"format": _FORMAT, "config": json.dumps(model.config.to_dict())}
    with _atomic(path) as temporary:
        save_file(
            {name: np.asarray(array, order="C") for name, array in arrays.items()},
            temporary,
            metadata=metadata,
        )


def restore(path: str | Path) -> Enformer:
    """Make the model that `save` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of this package, or does not fit its own config.
    """
    model = Enformer(read_config(path))
    restore_into(model, path)
    return model


def restore_into(model: Enformer, path: str | Path) -> None:
    """Give an existing model the weights of a checkpoint of the same shape.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of this package, lacks a variable or has another shape;
            the model is left as it was.
    """
    read_config(path)  # says clearly what is wrong with a foreign file
    with _open_safetensors(path) as (read, names):
        _assign(model, {name: name for name in named_variables(model)}, read, names, path)
        _set_fixed_random_blocks(model, read, names)


def read_config(path: str | Path) -> ModelConfig:
    """The config of a checkpoint, without its weights.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of this package.
    """
    metadata = _read_metadata(path)
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"{path} is no {_FORMAT} checkpoint")
    return ModelConfig.from_dict(json.loads(metadata["config"]))


def read_extra(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays that `save` was given beside the model, such as an optimiser's state.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of this package.
    """
    read_config(path)  # says clearly what is wrong with a foreign file
    with _open_safetensors(path) as (read, names):
        return {name.removeprefix(_EXTRA): read(name) for name in names if name.startswith(_EXTRA)}


def load_sonnet(prefix: str | Path, config: ModelConfig) -> Enformer:
    """A model with the weights of DeepMind's Enformer, from its Sonnet checkpoint.

    Use it to start from the published Enformer. `config` may name any attention kind with
    Enformer's own parameters.

    Args:
        prefix: Path of the TensorFlow checkpoint without `.index`; written by
            `tf.train.Checkpoint(module=model)`.
        config: The model's sizes.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If a variable is missing or has another shape; the message names it.

    Source: google-deepmind/deepmind-research, `enformer/README.md`.
    """
    if not Path(f"{prefix}.index").exists():
        raise FileNotFoundError(f"{prefix}.index does not exist, expected a Sonnet checkpoint")
    reader = tf.train.load_checkpoint(str(prefix))
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    stored = {name.removesuffix(suffix) for name in reader.get_variable_to_shape_map()}
    model = Enformer(config)
    names = {name: _sonnet_name(name) for name in named_variables(model)}
    _assign(model, names, lambda name: reader.get_tensor(name + suffix), stored, prefix)
    return model


def load_enformer_pytorch(
    safetensors: str | Path, config: ModelConfig, *, use_tf_gamma: bool = False
) -> Enformer:
    """A model with the weights of an enformer-pytorch model.

    Args:
        safetensors: File with its `state_dict`.
        config: The model's sizes: `dim` is channels, `depth` layers, `heads` heads.
        use_tf_gamma: As in enformer-pytorch: whether the weights expect Enformer's gamma features
            (those converted from DeepMind's do) or the ones that package computes itself.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a variable is missing or has another shape; the message names it.

    Source: lucidrains/enformer-pytorch, `enformer_pytorch/modeling_enformer.py`.
    """
    scaling = "per_feature" if use_tf_gamma else "per_position"
    model = Enformer(config.replace(gamma_scaling=scaling))
    names = {name: _enformer_pytorch_name(name) for name in named_variables(model)}
    with _open_safetensors(safetensors) as (read, stored):

        def read_as_tensorflow(name: str) -> np.ndarray:
            if name.endswith("num_batches_tracked"):
                return np.asarray(read(name), dtype=np.int64)
            return _from_pytorch_layout(read(name))

        own = {ours: theirs for ours, theirs in names.items() if theirs is not None}
        _assign(model, own, read_as_tensorflow, stored, safetensors)
    for name, variable in named_variables(model).items():
        if names[name] is None:  # the sums behind the averages, which PyTorch does not keep
            variable.assign(named_variables(model)[name.replace("/hidden", "/average")])
    return model


def load_published_senformer(folder: str | Path) -> Enformer:
    """A model with the weights of the published S-Enformer, and its random blocks.

    Args:
        folder: Holds `config.json` (sizes, and each variable's name in order),
            `variables.npz` (arrays `v000`, `v001`, ... in that order) and `forward.npz` with
            `rand_attn` `[layers, heads, blocks - 2, random]`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a variable is missing or has another shape; the message names it.
    """
    folder = Path(folder)
    for name in ("config.json", "variables.npz", "forward.npz"):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} does not exist")
    description = json.loads((folder / "config.json").read_text())
    config = ModelConfig(
        channels=description["channels"],
        num_transformer_layers=description["num_transformer_layers"],
        num_heads=description["num_heads"],
        pooling=description["pooling_type"],
        target_length=description["target_length"],
        tracks=description["heads"],
        attention="bigbird",
        block_size=description["block_size"],
        num_random_blocks=description["num_rand_blocks"],
    )
    model = Enformer(config)
    indices = _published_senformer_indices(description["variables"])
    with np.load(folder / "variables.npz") as arrays:
        names = {name: f"v{indices.get(name, -1):03d}" for name in named_variables(model)}
        _assign(model, names, lambda name: arrays[name], set(arrays.files), folder)
    with np.load(folder / "forward.npz") as arrays:
        for block, random_blocks in zip(model.transformer, arrays["rand_attn"], strict=True):
            attention: Any = block.attention
            attention.fixed_random_blocks = random_blocks.astype(np.int32)
    return model


def export_saved_model(model: Enformer, folder: str | Path, sequence_length_bp: int) -> None:
    """Write a SavedModel that is used as the Enformer of TF-Hub is.

    `tf.saved_model.load(folder).model.predict_on_batch(sequence)['human']`, at this one length.

    Args:
        model: The model.
        folder: Where to write; replaced if there.
        sequence_length_bp: Length that the exported function takes.

    Raises:
        ValueError: If the model does not take this length.
    """
    model.config.num_tokens(sequence_length_bp)
    root = tf.Module()
    root.model = tf.Module()
    root.model.variables_of_model = model.variables
    root.model.predict_on_batch = tf.function(
        lambda sequence: model(sequence),
        input_signature=[tf.TensorSpec([None, sequence_length_bp, 4], tf.float32)],
    )
    tf.saved_model.save(root, str(folder))


def named_variables(model: Enformer) -> dict[str, tf.Variable]:
    """Every variable by its path in the model: `transformer_0/attention/query/w`."""
    prefix = f"{model.name}/"
    return {
        variable.name.removesuffix(":0").removeprefix(prefix): variable
        for variable in model.variables
    }


def _assign(
    model: Enformer,
    names: Mapping[str, str],
    read: ReadArray,
    stored: set[str],
    path: str | Path,
) -> None:
    """Assign to each variable the array stored under its foreign name, all or none."""
    variables = named_variables(model)
    arrays = {}
    for name, foreign in names.items():
        shape = variables[name].shape
        if foreign not in stored:
            raise ValueError(f"{path} has no {foreign!r}, expected {name} of shape {shape}")
        array = read(foreign)
        if array.size != shape.num_elements() or not _same_but_ones(array.shape, shape):
            raise ValueError(
                f"{path}: {foreign!r} has shape {list(array.shape)}, expected {list(shape)} "
                f"for {name}"
            )
        arrays[name] = array.reshape(shape)
    for name, array in arrays.items():
        variables[name].assign(array)


def _same_but_ones(one: tuple[int, ...], other: tf.TensorShape) -> bool:
    return [n for n in one if n != 1] == [n for n in other if n != 1]


def _substitute(name: str, rules: Mapping[str, str]) -> str:
    for pattern, replacement in rules.items():
        name = re.sub(pattern, replacement, name)
    return name


_SONNET_RULES = {
    r"^head_(\w+)/": r"module/_heads/\1/_layers/0/",
    r"^stem/conv/": "module/_trunk/_layers/0/_layers/0/",
    r"^stem/pointwise/": "module/_trunk/_layers/0/_layers/1/_module/",
    r"^stem/pool/": "module/_trunk/_layers/0/_layers/2/_logit_linear/",
    r"^tower_(\d+)/conv_block/": r"module/_trunk/_layers/1/_layers/\1/_layers/0/",
    r"^tower_(\d+)/pointwise/": r"module/_trunk/_layers/1/_layers/\1/_layers/1/_module/",
    r"^tower_(\d+)/pool/": r"module/_trunk/_layers/1/_layers/\1/_layers/2/_logit_linear/",
    r"^transformer_(\d+)/(attention|mlp)_norm/": r"transformer_\1/\2/_layers/0/",
    r"^transformer_(\d+)/attention/(?!_layers)": r"transformer_\1/attention/_layers/1/",
    r"^transformer_(\d+)/mlp_in/": r"transformer_\1/mlp/_layers/1/",
    r"^transformer_(\d+)/mlp_out/": r"transformer_\1/mlp/_layers/4/",
    r"^transformer_(\d+)/attention/": r"module/_trunk/_layers/2/_layers/\1/_layers/0/_module/",
    r"^transformer_(\d+)/mlp/": r"module/_trunk/_layers/2/_layers/\1/_layers/1/_module/",
    r"^final_pointwise/": "module/_trunk/_layers/4/_layers/0/",
    r"/batch_norm/": "/_layers/0/",
    r"/conv/": "/_layers/2/",
    r"/(counter|hidden)$": r"/_\1",
    r"/query/": "/_q_layer/",
    r"/key/": "/_k_layer/",
    r"/value/": "/_v_layer/",
    r"/relative_key/": "/_r_k_layer/",
    r"/output/": "/_embedding_layer/",
    r"/content_bias$": "/_r_w_bias",
    r"/position_bias$": "/_r_r_bias",
}


def _sonnet_name(name: str) -> str:
    return _substitute(name, _SONNET_RULES)


_PYTORCH_RULES = {
    r"^head_(\w+)/": r"_heads.\1.0/",
    r"^stem/conv/": "stem.0/",
    r"^stem/pointwise/": "stem.1.fn/",
    r"^stem/pool/w": "stem.2.to_attn_logits/w",
    r"^tower_(\d+)/conv_block/": r"conv_tower.\1.0/",
    r"^tower_(\d+)/pointwise/": r"conv_tower.\1.1.fn/",
    r"^tower_(\d+)/pool/": r"conv_tower.\1.2.to_attn_logits/",
    r"^transformer_(\d+)/attention_norm/": r"transformer.\1.0.fn.0/",
    r"^transformer_(\d+)/attention/": r"transformer.\1.0.fn.1/",
    r"^transformer_(\d+)/mlp_norm/": r"transformer.\1.1.fn.0/",
    r"^transformer_(\d+)/mlp_in/": r"transformer.\1.1.fn.1/",
    r"^transformer_(\d+)/mlp_out/": r"transformer.\1.1.fn.4/",
    r"^final_pointwise/": "final_pointwise.1/",
    r"/batch_norm/": ".0/",
    r"/conv/": ".2/",
    r"/moving_mean/average$": "/running_mean",
    r"/moving_variance/average$": "/running_var",
    r"/moving_(mean|variance)/counter$": "/num_batches_tracked",
    r"/query/": ".to_q/",
    r"/key/": ".to_k/",
    r"/value/": ".to_v/",
    r"/relative_key/": ".to_rel_k/",
    r"/output/": ".to_out/",
    r"/content_bias$": "/rel_content_bias",
    r"/position_bias$": "/rel_pos_bias",
    r"/(w|scale)$": "/weight",
    r"/(b|offset)$": "/bias",
    r"/": ".",
}


def _enformer_pytorch_name(name: str) -> str | None:
    return None if name.endswith("/hidden") else _substitute(name, _PYTORCH_RULES)


def _from_pytorch_layout(array: np.ndarray) -> np.ndarray:
    """Reverse a weight's axes: `[out, in]`, `[out, in, width]` and `[out, in, 1, 1]` alike."""
    return array if array.ndim == 4 and array.shape[0] == 1 else array.T


_PUBLISHED_SENFORMER_RULES = {
    r"^enformer/": "",
    r"^(heads|trunk)/": "",
    r"([^/]+)/\1/": r"\1/",  # each scope stands twice
    r"^conv_tower/conv_tower_block_(\d+)/": r"tower_\1/",
    r"^transformer/transformer_block_(\d+)/mha/layer_norm/": r"transformer_\1/attention_norm/",
    r"^transformer/transformer_block_(\d+)/mlp/layer_norm/": r"transformer_\1/mlp_norm/",
    r"^final_pointwise/conv_block/": "final_pointwise/",
    r"/pointwise_conv_block/": "/pointwise/",
    r"/conv1_d/": "/conv/",
    r"/softmax_pooling/linear/": "/pool/",
    r"^(head_\w+?)/linear/": r"\1/",
}
_PUBLISHED_ATTENTION = {"q_layer": "query", "k_layer": "key", "v_layer": "value", "dense": "output"}
_PUBLISHED_MLP = r"^transformer/transformer_block_(\d+)/mlp/linear/([wb])$"


def _published_senformer_indices(variables: list[dict]) -> dict[str, int]:
    """Our name to the index of each variable.

    The attention's variables carry no layer and the MLP's two layers share a name: both are told
    apart by their order.
    """
    indices: dict[str, int] = {}
    for variable in variables:
        name = variable["name"].removesuffix(":0")
        scope, _, leaf = name.rpartition("/")
        if scope in _PUBLISHED_ATTENTION:
            part = f"attention/{_PUBLISHED_ATTENTION[scope]}/{'w' if leaf == 'kernel' else 'b'}"
            layer = sum(known.endswith(part) for known in indices)
            indices[f"transformer_{layer}/{part}"] = variable["index"]
            continue
        name = _substitute(name, _PUBLISHED_SENFORMER_RULES)
        mlp = re.match(_PUBLISHED_MLP, name)
        if mlp:
            name = f"transformer_{mlp[1]}/mlp_in/{mlp[2]}"
            if name in indices:
                name = f"transformer_{mlp[1]}/mlp_out/{mlp[2]}"
        indices[name] = variable["index"]
    return indices


def _fixed_random_blocks(model: Enformer) -> dict[str, np.ndarray]:
    drawn = {
        f"{_RANDOM_BLOCKS}{layer}": getattr(block.attention, "fixed_random_blocks", None)
        for layer, block in enumerate(model.transformer)
    }
    return {name: blocks for name, blocks in drawn.items() if blocks is not None}


def _set_fixed_random_blocks(model: Enformer, read: ReadArray, names: set[str]) -> None:
    for layer, block in enumerate(model.transformer):
        if f"{_RANDOM_BLOCKS}{layer}" in names:
            attention: Any = block.attention
            attention.fixed_random_blocks = read(f"{_RANDOM_BLOCKS}{layer}")


@contextlib.contextmanager
def _open_safetensors(path: str | Path) -> Iterator[tuple[ReadArray, set[str]]]:
    """A function that reads one array, and the names of all."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist, expected a safetensors file")
    try:
        with safe_open(str(path), "np") as stored:
            yield stored.get_tensor, set(stored.keys())
    except SafetensorError as error:
        raise ValueError(f"{path} is no readable safetensors file: {error}") from None


def _read_metadata(path: str | Path) -> Mapping[str, str]:
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist, expected a checkpoint")
    try:
        with safe_open(str(path), "np") as stored:
            return stored.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is no readable safetensors file: {error}") from None


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[str]:
    """A temporary file beside `path` that takes its place once it is whole."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        yield temporary
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
