"""A model on disk: save it with its config, make it anew, export it as a SavedModel."""

from __future__ import annotations

import contextlib
import json
import os
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
    with open_safetensors(path) as (read, names):
        assign(model, {name: name for name in named_variables(model)}, read, names, path)
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
    with open_safetensors(path) as (read, names):
        return {name.removeprefix(_EXTRA): read(name) for name in names if name.startswith(_EXTRA)}


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


def assign(
    model: Enformer,
    names: Mapping[str, str],
    read: ReadArray,
    stored: set[str],
    path: str | Path,
) -> None:
    """Give a model the arrays of a file, all or none; a loader adds the names of its format.

    Args:
        model: The model that gets them.
        names: For each variable's own name (see `named_variables`), the one in the file.
        read: Gives the array of a name in the file. Its axes of size one do not matter.
        stored: All names in the file.
        path: The file, for messages.

    Raises:
        ValueError: If an array is missing or has another shape; the message names it, and the
            model is left as it was.
    """
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


def _same_but_ones(stored: tuple[int, ...], expected: tf.TensorShape) -> bool:
    return [n for n in stored if n != 1] == [n for n in expected if n != 1]


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
def open_safetensors(path: str | Path) -> Iterator[tuple[ReadArray, set[str]]]:
    """A safetensors file while it is open: a function that reads one array, and all names.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no readable safetensors file.
    """
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
