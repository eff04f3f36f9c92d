"""Save models with their configuration, restore them, copy weights and export SavedModels."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open

from senformer.config import ModelConfig
from senformer.model.compute import xla
from senformer.model.enformer import Enformer
from senformer.storage import checked_arrays
from senformer.storage.checked_arrays import CheckedArrays
from senformer.storage.text_files import parse_json_object

FORMAT = "senformer-2"
"""Version of the checkpoint format. Raise it when the same file would make another model."""

_RANDOM_BLOCKS = "random_blocks/"
_EXTRA = "extra/"


class ArrayFile(NamedTuple):
    """Give access to the named arrays of an open file.

    Attributes:
        path: Path of the file, for messages.
        names: Names of all arrays.
        read: Function that reads the array of a name.
    """

    path: str | Path
    names: Collection[str]
    read: Callable[[str], np.ndarray]


@dataclass(frozen=True)
class Checkpoint:
    """Give access to an open checkpoint whose checksum is correct.

    Attributes:
        path: Path of the file.
        config: Configuration of its model.
    """

    path: Path
    config: ModelConfig
    _stored: CheckedArrays

    def read_extra(self) -> dict[str, np.ndarray]:
        """Read the extra arrays that `save` stored with the model, such as an optimiser's state."""
        return {
            name.removeprefix(_EXTRA): self._stored.read(name)
            for name in self._stored.names
            if name.startswith(_EXTRA)
        }

    def restore_into(self, model: Enformer) -> None:
        """Assign the weights and the fixed random blocks to a model, all or none.

        Raises:
            ValueError: If the model does not fit, or an array has impossible values, see `assign`;
                the model is then unchanged.
        """
        attentions: dict[str, Any] = {
            f"{_RANDOM_BLOCKS}{layer}": block.attention
            for layer, block in enumerate(model.transformer)
            if hasattr(block.attention, "fixed_random_blocks")
        }
        stored = ArrayFile(self.path, self._stored.names, self._stored.read)
        fixed = {name: stored.read(name) for name in attentions if name in stored.names}
        for name, blocks in fixed.items():
            num_heads = model.config.num_heads
            is_draw = blocks.dtype.kind == "i" and blocks.ndim == 3 and len(blocks) == num_heads
            if not is_draw or not ((blocks >= 0) & (blocks < blocks.shape[1] + 2)).all():
                raise ValueError(
                    f"{self.path}: {name!r} of shape {list(blocks.shape)}, {blocks.dtype}, "
                    f"expected key blocks, integers [{num_heads}, blocks - 2, random]"
                )
        weights = {name for name in stored.names if not name.startswith(_EXTRA)} - fixed.keys()
        assign(model, stored, {name: name for name in named_variables(model)}, weights)
        for name, blocks in fixed.items():
            attentions[name].fixed_random_blocks = blocks


def save(model: Enformer, path: str | Path, extra: Mapping[str, np.ndarray] | None = None) -> None:
    """Write a model, its configuration and a checksum to one safetensors file, atomically.

    Args:
        model: Any model of this package.
        path: The file, conventionally `*.safetensors`. Missing folders are created.
        extra: More arrays for the same file, such as an optimiser's state.

    Raises:
        ValueError: If a weight is not finite. An earlier file is unchanged.
        OSError: If the file cannot be written, such as on a full disk. An earlier file is
            unchanged.
    """
    arrays = dict(named_arrays(model))
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite; {path} is unchanged")
    arrays |= {f"{_EXTRA}{name}": array for name, array in (extra or {}).items()}
    metadata = {"format": FORMAT, "config": json.dumps(model.config.model_dump())}
    checked_arrays.write(path, arrays, metadata)


@contextlib.contextmanager
def open_checkpoint(path: str | Path) -> Iterator[Checkpoint]:
    """Open a checkpoint of `save` after its checksum has been verified.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is damaged, or no checkpoint of this package.
    """
    with checked_arrays.open_arrays(path) as stored:
        if stored.metadata.get("format") != FORMAT:
            raise ValueError(f"{path}: no {FORMAT} checkpoint, expected a file of `senformer.save`")
        described = "the configuration of a model in the file's metadata"
        values = parse_json_object(stored.metadata.get("config", ""), path, described)
        try:
            config = ModelConfig(**values)
        except ValueError as error:
            raise ValueError(f"{path}: {'; '.join(str(error).splitlines())}") from None
        yield Checkpoint(Path(path), config, stored)


def restore(path: str | Path) -> Enformer:
    """Construct the model of a checkpoint.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is damaged, no checkpoint of this package, or if its weights do not match
            its configuration.
    """
    with open_checkpoint(path) as checkpoint:
        model = Enformer(checkpoint.config)
        checkpoint.restore_into(model)
    return model


def restore_into(model: Enformer, path: str | Path) -> None:
    """Assign the weights of a checkpoint to an existing model of the same shapes.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is damaged, no checkpoint of this package, lacks a variable or has another
            shape; the model is then unchanged.
    """
    with open_checkpoint(path) as checkpoint:
        checkpoint.restore_into(model)


def export_saved_model(model: Enformer, folder: str | Path, sequence_length_bp: int) -> None:
    """Write a SavedModel that programs use in the same way as TF-Hub's Enformer.

    `tf.saved_model.load(folder).model.predict_on_batch(sequence)['human']` predicts sequences of
    this one length. It needs neither this package nor Sonnet nor XLA. TensorFlow Serving finds the
    same function as `serving_default`.

    Args:
        model: The model.
        folder: Output folder; an existing one is replaced.
        sequence_length_bp: Length of the exported function's sequences.

    Raises:
        ValueError: If the model does not accept this length.
    """
    model.config.num_tokens(sequence_length_bp)
    root = tf.Module()
    root.model = tf.Module()
    root.model.variables_of_model = model.variables
    root.model.predict_on_batch = tf.function(
        lambda sequence: model(sequence),
        input_signature=[tf.TensorSpec([None, sequence_length_bp, 4], tf.float32)],
    )
    with xla.uncompiled():
        served = root.model.predict_on_batch.get_concrete_function()
        tf.saved_model.save(root, str(folder), signatures={"serving_default": served})


def named_variables(model: Enformer) -> dict[str, tf.Variable]:
    """Return every variable by its path in the model, such as `transformer_0/attention/query/w`."""
    prefix = f"{model.name}/"
    return {
        variable.name.removesuffix(":0").removeprefix(prefix): variable
        for variable in model.variables
    }


def named_arrays(model: Enformer) -> Iterator[tuple[str, np.ndarray]]:
    """Yield all arrays that determine a model besides its configuration.

    These are the variables and, if fixed, the random blocks. They are copied one at a time.
    """
    for name, variable in named_variables(model).items():
        yield name, variable.numpy()
    for layer, block in enumerate(model.transformer):
        blocks = getattr(block.attention, "fixed_random_blocks", None)
        if blocks is not None:
            yield f"{_RANDOM_BLOCKS}{layer}", blocks


def copy_weights(
    source: Enformer, destination: Enformer, *, kept: Sequence[tf.Variable] = ()
) -> None:
    """Copy the weights of one model to another.

    Args:
        source: The model to copy from.
        destination: The model to copy to.
        kept: Variables of the destination that keep their values.

    Raises:
        ValueError: If a variable is missing in `source` or has another shape; nothing is copied.
    """
    kept_ids = {id(variable) for variable in kept}
    values = named_variables(source)
    copies = []
    for name, variable in named_variables(destination).items():
        if id(variable) in kept_ids:
            continue
        if name not in values or values[name].shape != variable.shape:
            found = values[name].shape if name in values else "nothing"
            raise ValueError(f"{name}: {found} to copy, expected {variable.shape}")
        copies.append((variable, values[name]))
    for variable, value in copies:
        variable.assign(value)


def assign(
    model: Enformer, file: ArrayFile, names: Mapping[str, str], required: Collection[str] = ()
) -> None:
    """Assign the arrays of a file to a model, all or none.

    Args:
        model: The model that receives the arrays.
        file: The stored arrays; axes of size one do not matter.
        names: Name in the file of each variable name (see `named_variables`).
        required: Names in the file that the model must have, so that a larger model is not loaded
            in part.

    Raises:
        ValueError: If an array is missing, has another shape or type, is not finite, is a negative
            variance, or if the model lacks a required one. The message names it, and the model is
            unchanged.
    """
    variables = named_variables(model)
    arrays = {}
    for name, stored in names.items():
        shape = variables[name].shape.as_list()
        dtype = np.dtype(variables[name].dtype.as_numpy_dtype)
        if stored not in file.names:
            raise ValueError(f"{file.path} has no {stored!r}, expected {name} of shape {shape}")
        array = np.asarray(file.read(stored))
        where = f"{file.path}: {stored!r}"
        if array.dtype.kind != dtype.kind:
            raise ValueError(f"{where} is {array.dtype}, expected {dtype} for {name}")
        if [n for n in array.shape if n != 1] != [n for n in shape if n != 1]:
            raise ValueError(f"{where} has shape {list(array.shape)}, expected {shape} for {name}")
        with np.errstate(over="ignore"):  # too large for float32: infinite
            arrays[name] = array.reshape(shape).astype(dtype, copy=False)
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{where} holds a value that is not finite in {dtype}")
        if "moving_variance/" in name and (array < 0).any():
            raise ValueError(f"{where} holds a negative variance")
    if unknown := sorted(set(required) - set(names.values())):
        raise ValueError(f"{file.path} has {unknown[0]!r}, which the model does not have")
    for name, array in arrays.items():
        variables[name].assign(array)


@contextlib.contextmanager
def open_safetensors(path: str | Path) -> Iterator[ArrayFile]:
    """Open a safetensors file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is no readable safetensors file, or an array has a type that NumPy lacks.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist, expected a safetensors file")
    try:
        stored = safe_open(str(path), "np")
    except SafetensorError as error:
        raise ValueError(f"{path}: no readable safetensors file ({error})") from None
    with stored:

        def read(name: str) -> np.ndarray:
            try:
                array: np.ndarray = stored.get_tensor(name)
            except Exception as error:  # the library raises several kinds for unknown types
                reason = " ".join(str(error).split())
                raise ValueError(
                    f"{path}: {name!r} cannot be read ({reason}), expected float32"
                ) from None
            return array

        yield ArrayFile(path, set(stored.keys()), read)
