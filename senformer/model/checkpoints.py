"""A model on disk: save it with its config, make it anew, export it as a SavedModel."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open

from senformer.config import ModelConfig
from senformer.model.compute import xla
from senformer.model.enformer import Enformer
from senformer.storage import checked_arrays
from senformer.storage.checked_arrays import CheckedArrays

FORMAT = "senformer-2"
"""Of a checkpoint; raise it when the same file would make another model."""

_RANDOM_BLOCKS = "random_blocks/"
_EXTRA = "extra/"

ReadArray = Callable[[str], np.ndarray]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint while it is open, found whole.

    Attributes:
        path: The file.
        config: Of its model.
    """

    path: Path
    config: ModelConfig
    _stored: CheckedArrays

    def extra(self) -> dict[str, np.ndarray]:
        """The arrays that `save` was given beside the model, such as an optimiser's state."""
        read, names = self._stored.read, self._stored.names
        return {name.removeprefix(_EXTRA): read(name) for name in names if name.startswith(_EXTRA)}

    def restore_into(self, model: Enformer) -> None:
        """Give a model its weights, all or none.

        Raises:
            ValueError: If it lacks a variable or has another shape; the model is left as it was.
        """
        read, names = self._stored.read, self._stored.names
        assign(model, {name: name for name in named_variables(model)}, read, names, self.path)
        _set_fixed_random_blocks(model, read, names)


def save(model: Enformer, path: str | Path, extra: Mapping[str, np.ndarray] | None = None) -> None:
    """Write a model to one safetensors file, config and checksum included, whole or not at all.

    Args:
        model: Any model of this package.
        path: The file, conventionally `*.safetensors`. Its folder is made.
        extra: More arrays to keep in the same file, such as an optimiser's state.

    Raises:
        ValueError: If a weight is not finite; what was there is there still.
        OSError: If there is no room for the file, or it cannot be written; likewise.
    """
    arrays = dict(named_arrays(model))
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite; {path} is left as it was")
    arrays |= {f"{_EXTRA}{name}": array for name, array in (extra or {}).items()}
    metadata = {"format": FORMAT, "config": json.dumps(model.config.to_dict())}
    checked_arrays.write(path, arrays, metadata)


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[Checkpoint]:
    """Open what `save` wrote; it is compared with its checksum first, once for all that is read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or no checkpoint of this package.
    """
    with checked_arrays.open_arrays(path) as stored:
        if stored.metadata.get("format") != FORMAT:
            raise ValueError(f"{path} is no {FORMAT} checkpoint")
        config = ModelConfig.from_dict(json.loads(stored.metadata["config"]))
        yield Checkpoint(Path(path), config, stored)


def restore(path: str | Path) -> Enformer:
    """Make the model that `save` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, no checkpoint of this package, or does not fit its own config.
    """
    with opened(path) as checkpoint:
        model = Enformer(checkpoint.config)
        checkpoint.restore_into(model)
    return model


def restore_into(model: Enformer, path: str | Path) -> None:
    """Give an existing model the weights of a checkpoint of the same shape.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, no checkpoint of this package, lacks a variable or has another
            shape; the model is left as it was.
    """
    with opened(path) as checkpoint:
        checkpoint.restore_into(model)


def export_saved_model(model: Enformer, folder: str | Path, sequence_length_bp: int) -> None:
    """Write a SavedModel that is used as the Enformer of TF-Hub is.

    `tf.saved_model.load(folder).model.predict_on_batch(sequence)['human']`, at this one length. It
    loads where neither this package nor Sonnet is installed, and asks nothing of XLA; a server of
    TensorFlow's finds the same function as `serving_default`.

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
    with xla.as_written():
        served = root.model.predict_on_batch.get_concrete_function()
        tf.saved_model.save(root, str(folder), signatures={"serving_default": served})


def named_variables(model: Enformer) -> dict[str, tf.Variable]:
    """Every variable by its path in the model: `transformer_0/attention/query/w`."""
    prefix = f"{model.name}/"
    return {
        variable.name.removesuffix(":0").removeprefix(prefix): variable
        for variable in model.variables
    }


def copy_weights(
    source: Enformer, destination: Enformer, *, kept: Sequence[tf.Variable] = ()
) -> None:
    """Give a model the weights of another.

    Args:
        source: The model that has them.
        destination: The model that gets them.
        kept: Variables of the destination that keep their values.

    Raises:
        ValueError: If a variable is missing in `source` or has another shape; nothing is copied.
    """
    own = {id(variable) for variable in kept}
    given = named_variables(source)
    copies = []
    for name, variable in named_variables(destination).items():
        if id(variable) in own:
            continue
        if name not in given or given[name].shape != variable.shape:
            found = given[name].shape if name in given else "nothing"
            raise ValueError(f"{name}: {found} to copy, expected {variable.shape}")
        copies.append((variable, given[name]))
    for variable, value in copies:
        variable.assign(value)


def named_arrays(model: Enformer) -> Iterator[tuple[str, np.ndarray]]:
    """All that decides a model beside its config: each variable, and random blocks that are given.

    One after the other, so that who asks for them in turn holds one copy at a time.
    """
    for name, variable in named_variables(model).items():
        yield name, variable.numpy()
    for layer, block in enumerate(model.transformer):
        blocks = getattr(block.attention, "fixed_random_blocks", None)
        if blocks is not None:
            yield f"{_RANDOM_BLOCKS}{layer}", blocks


def assign(
    model: Enformer,
    names: Mapping[str, str],
    read: ReadArray,
    stored: Collection[str],
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


def _set_fixed_random_blocks(model: Enformer, read: ReadArray, names: Collection[str]) -> None:
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
