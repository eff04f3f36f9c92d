"""Enformer's weights as others keep them: DeepMind's Sonnet and SavedModel, enformer-pytorch's.

For each of Enformer's formats a function tells the sizes of the model, and another loads it.
"""

from __future__ import annotations

import contextlib
import glob
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from senformer.config import ModelConfig
from senformer.model.checkpoints import ReadArray, assign, named_variables, open_safetensors
from senformer.model.enformer import Enformer
from senformer.model.weights import foreign_sizes, saved_model_names

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"  # of each variable's name in a checkpoint of objects
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def sonnet_config(prefix: str | Path) -> ModelConfig:
    """The sizes of the model whose Sonnet checkpoint this is; see `load_sonnet`.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is damaged, or not Enformer's.
    """
    _, shapes = _open_tensorflow(prefix)
    tracks = _tracks(r"module/_heads/(\w+)/_layers/0/b", shapes)
    with _naming(prefix):
        return foreign_sizes.config_of(lambda name: shapes.get(_sonnet_name(name)), tracks)


def load_sonnet(prefix: str | Path, config: ModelConfig) -> Enformer:
    """A model with the weights of DeepMind's Enformer, from its Sonnet checkpoint.

    Use it to start from the published Enformer. `config` may name any attention kind whose
    parameters are Enformer's own. For one that has a part of them, as a Performer has, load
    `dense` and give its weights on with `checkpoints.copy_weights`.

    Args:
        prefix: Path of the TensorFlow checkpoint without `.index`; written by
            `tf.train.Checkpoint(module=model)`.
        config: The model's sizes.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If a variable is missing or has another shape; the message names it.

    Source: google-deepmind/deepmind-research, `enformer/README.md`.
    """
    read, shapes = _open_tensorflow(prefix)
    stored = shapes.keys()
    model = Enformer(config)
    names = {name: _sonnet_name(name) for name in named_variables(model)}
    assign(model, names, checked(read, names, model, prefix), stored, prefix)
    of_trunk = {name for name in stored if name.startswith("module/_trunk/")}
    expect_nothing_more(of_trunk, names, prefix)
    return model


def save_sonnet(model: Enformer, prefix: str | Path) -> None:
    """Write a model as DeepMind's Sonnet checkpoint has it, for programs that read that one.

    Args:
        model: With Enformer's own attention.
        prefix: Path of the checkpoint without `.index`.
    """
    variables = named_variables(model)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[_sonnet_name(name) + _SUFFIX for name in variables],
        shape_and_slices=[""] * len(variables),
        tensors=[variable.read_value() for variable in variables.values()],
    )


def saved_model_config(folder: str | Path) -> ModelConfig:
    """The sizes of the Enformer whose SavedModel this is; see `load_saved_model`.

    Raises:
        FileNotFoundError: If there is no such SavedModel.
        ValueError: If it is damaged, or not Enformer's.
    """
    _, shapes, keys = _open_saved_model(folder)
    of_ours = {name: shapes[key] for name, key in keys.items()}
    tracks = _tracks(r"head_(\w+)/b", of_ours)
    with _naming(folder):
        return foreign_sizes.config_of(of_ours.get, tracks)


def load_saved_model(folder: str | Path, config: ModelConfig) -> Enformer:
    """A model with the weights of DeepMind's Enformer, from its SavedModel, such as TF-Hub's.

    Variables are told by their names, which a SavedModel keeps.

    Args:
        folder: Holds `saved_model.pb` and `variables`.
        config: The model's sizes.

    Raises:
        FileNotFoundError: If there is no such SavedModel.
        ValueError: If a variable is missing or has another shape; the message names it.

    Source: tfhub.dev/deepmind/enformer/1, as github.com/Currie32/s-enformer and
        lucidrains/enformer-pytorch, `scripts/tf_to_torch.py`, read it.
    """
    read, _, keys = _open_saved_model(folder)
    model = Enformer(config)
    names = {name: keys.get(name, name) for name in named_variables(model)}
    assign(model, names, checked(read, names, model, folder), keys.values(), folder)
    of_trunk = {key for name, key in keys.items() if not name.startswith("head_")}
    expect_nothing_more(of_trunk, names, folder)
    return model


def enformer_pytorch_config(safetensors: str | Path) -> ModelConfig:
    """The sizes of an enformer-pytorch model; see `load_enformer_pytorch`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a model's.
    """
    with open_safetensors(safetensors) as (read, stored):

        def shape_of(name: str) -> Sequence[int] | None:
            theirs = _enformer_pytorch_name(name)
            return _from_pytorch_layout(read(theirs)).shape if theirs in stored else None

        biases = {name: read(name).shape for name in stored if name.startswith("_heads.")}
        tracks = _tracks(r"_heads\.(\w+)\.0\.bias", biases)
        with _naming(safetensors):
            return foreign_sizes.config_of(shape_of, tracks)


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
    with open_safetensors(safetensors) as (read, stored):

        def read_as_tensorflow(name: str) -> np.ndarray:
            if name.endswith("num_batches_tracked"):
                return np.asarray(read(name), dtype=np.int64)
            return _from_pytorch_layout(read(name))

        own = {ours: theirs for ours, theirs in names.items() if theirs is not None}
        read_checked = checked(read_as_tensorflow, own, model, safetensors)
        assign(model, own, read_checked, stored, safetensors)
        # `_trunk.` are second names of the same arrays; an organism that is not asked for may stay.
        of_trunk = {name for name in stored if not name.startswith(("_heads.", "_trunk."))}
        expect_nothing_more(of_trunk, own, safetensors)
    for name, variable in named_variables(model).items():
        if names[name] is None:  # the sums behind the averages, which PyTorch does not keep
            variable.assign(named_variables(model)[name.replace("/hidden", "/average")])
    return model


def _num_bytes(reader: Any) -> int:
    """What a checkpoint's index says that its values take; of texts it does not say it."""
    shapes = reader.get_variable_to_shape_map()
    types = reader.get_variable_to_dtype_map()
    return sum(
        dtype.size * math.prod(shapes[name]) for name, dtype in types.items() if dtype != tf.string
    )


def _expect_bytes(num_bytes: int, prefix: Path) -> None:
    """Refuse values that a broken download cut off, with both sizes.

    TensorFlow would read them up to the first that is missing, and speak of that one's bytes.
    """
    files = list(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))
    num_found = sum(file.stat().st_size for file in files)
    if num_found < num_bytes:
        named = files[0] if len(files) == 1 else f"{prefix}.data-*"
        raise ValueError(
            f"{named}: truncated ({num_found:,} of {num_bytes:,} bytes), download it again"
        )


def _open_tensorflow(prefix: str | Path) -> tuple[ReadArray, dict[str, Sequence[int]]]:
    """A checkpoint of objects: a function that reads one array, and the shapes by name."""
    index = Path(f"{prefix}.index")
    if not index.is_file():
        raise FileNotFoundError(f"{index} does not exist, expected a Sonnet checkpoint")
    with _naming_what_tensorflow_finds(prefix):
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        num_bytes = _num_bytes(reader)
    _expect_bytes(num_bytes, Path(prefix))

    def read(name: str) -> np.ndarray:
        with _naming_what_tensorflow_finds(prefix):
            array: np.ndarray = reader.get_tensor(name + _SUFFIX)
        return array

    return read, {name.removesuffix(_SUFFIX): shape for name, shape in shapes.items()}


def _open_saved_model(
    folder: str | Path,
) -> tuple[ReadArray, dict[str, Sequence[int]], dict[str, str]]:
    """Its checkpoint, as `_open_tensorflow`, and the name there of each variable of ours."""
    prefix = Path(folder) / "variables" / "variables"
    read, shapes = _open_tensorflow(prefix)
    with _naming_what_tensorflow_finds(prefix):
        graph = TrackableObjectGraph()
        graph.ParseFromString(tf.train.load_checkpoint(str(prefix)).get_tensor(_OBJECT_GRAPH))
    with _naming(folder):
        keys = saved_model_names.keys_of_variables(graph, {k + _SUFFIX: shapes[k] for k in shapes})
    return read, shapes, {name: key.removesuffix(_SUFFIX) for name, key in keys.items()}


def _tracks(head: str, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Tracks of each head, from the shapes of the heads' biases, whose names a pattern tells."""
    found = {name: re.fullmatch(head, name) for name in sorted(shapes)}
    return {match[1]: shapes[name][0] for name, match in found.items() if match}


@contextlib.contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@contextlib.contextmanager
def _naming_what_tensorflow_finds(prefix: str | Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged file raises errors of TensorFlow's, and of Python's own
        reason = " ".join(str(error).split())
        raise ValueError(f"{prefix}: damaged or no Sonnet checkpoint ({reason})") from None


def checked(
    read: ReadArray, names: Mapping[str, str], model: Enformer, path: str | Path
) -> ReadArray:
    """A reader of a file's arrays that refuses what no weight can be.

    Args:
        read: The reader.
        names: The name in the file for each of the model's own.
        model: The model that gets the arrays.
        path: The file, for messages.
    """
    variables = named_variables(model)
    ours = {foreign: name for name, foreign in names.items()}

    def read_checked(foreign: str) -> np.ndarray:
        array, name = read(foreign), ours[foreign]
        expected = variables[name].dtype.as_numpy_dtype
        if array.dtype.kind != np.dtype(expected).kind:
            raise ValueError(
                f"{path}: {foreign!r} is {array.dtype}, expected {np.dtype(expected)} for {name}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: {foreign!r} holds a value that is not finite")
        if "moving_variance/" in name and (array < 0).any():
            raise ValueError(f"{path}: {foreign!r} holds a negative variance")
        return array

    return read_checked


def expect_nothing_more(
    stored: Collection[str], names: Mapping[str, str], path: str | Path
) -> None:
    """Refuse a file of a larger model, of which a part alone would be read."""
    unread = sorted(set(stored) - set(names.values()))
    if unread:
        raise ValueError(f"{path} has {unread[0]!r}, expected nothing that the model does not have")


def substitute(name: str, rules: Mapping[str, str]) -> str:
    """A name after replacements, by regular expression, one after the other."""
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
    return substitute(name, _SONNET_RULES)


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
    return None if name.endswith("/hidden") else substitute(name, _PYTORCH_RULES)


def _from_pytorch_layout(array: np.ndarray) -> np.ndarray:
    """Reverse a weight's axes: `[out, in]`, `[out, in, width]` and `[out, in, 1, 1]` alike."""
    return array if array.ndim == 4 and array.shape[0] == 1 else array.T
