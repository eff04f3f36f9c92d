"""Infer a model's sizes from the weights of another program, check them and assign them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.checkpoints import ArrayFile, assign, named_variables
from senformer.model.enformer import Enformer

ShapeOf = Callable[[str], Sequence[int] | None]
"""Function from this package's name of a variable to its shape, or to None if it is missing."""


def infer_config(shape_of: ShapeOf, tracks: Mapping[str, int], path: str | Path) -> ModelConfig:
    """Infer an Enformer's configuration from the shapes of its weights.

    The shapes determine neither the number of predicted bins nor the gamma features; these and all
    other options are those of the published Enformer.

    Args:
        shape_of: Function from this package's variable names to shapes in this package's layout.
        tracks: Number of tracks of each head.
        path: File of the weights, for messages.

    Raises:
        ValueError: If a variable that determines a size is missing, or if no Enformer has such
            sizes.
    """

    def find_shape(name: str) -> Sequence[int]:
        shape = shape_of(name)
        if shape is None:
            raise ValueError(f"no {name}, expected Enformer's weights")
        return shape

    bias = "transformer_{}/attention/content_bias"
    try:
        [stem_channels] = find_shape("stem/conv/b")
        sizes = [size for size in find_shape(bias.format(0)) if size != 1]
        if len(sizes) != 2:
            raise ValueError(f"{bias.format(0)} has shape {sizes}, expected [heads, key size]")
        layers = itertools.takewhile(
            lambda layer: shape_of(bias.format(layer)) is not None, itertools.count()
        )
        return ModelConfig(
            channels=2 * stem_channels,
            num_transformer_layers=len(list(layers)),
            num_heads=sizes[0],
            key_size=sizes[1],
            pooling="max" if shape_of("stem/pool/w") is None else "attention",
            tracks=tracks,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def find_tracks(head_pattern: str, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the number of tracks of each head.

    Args:
        head_pattern: Regular expression of the name of a head's bias; its group is the head.
        shapes: Shape of each stored variable.
    """
    found = {name: re.fullmatch(head_pattern, name) for name in sorted(shapes)}
    return {match[1]: shapes[name][0] for name, match in found.items() if match}


def rename(name: str, rules: Mapping[str, str]) -> str:
    """Apply replacements, from regular expression to text, to a name in their order."""
    for pattern, replacement in rules.items():
        name = re.sub(pattern, replacement, name)
    return name


def load_weights(
    model: Enformer, file: ArrayFile, names: Mapping[str, str], required: Collection[str]
) -> None:
    """Assign the weights of another program to a model.

    Args:
        model: The model that receives the weights.
        file: The stored arrays.
        names: Name in the file of each variable name of the model.
        required: Names in the file that the model must have, so that a larger model is not loaded
            in part.

    Raises:
        ValueError: If an array is missing, has another shape or type, is not finite, is a negative
            variance, or if the model lacks a required one. The message names it.
    """
    variables = named_variables(model)
    name_of = {foreign: name for name, foreign in names.items()}

    def read(foreign: str) -> np.ndarray:
        array, name = file.read(foreign), name_of[foreign]
        problem = _find_problem(array, variables[name], name)
        if problem:
            raise ValueError(f"{file.path}: {foreign!r} {problem}")
        return array

    assign(model, file._replace(read=read), names)
    unread = sorted(set(required) - set(names.values()))
    if unread:
        raise ValueError(f"{file.path} has {unread[0]!r}, which the model does not have")


def _find_problem(array: np.ndarray, variable: tf.Variable, name: str) -> str | None:
    """Describe why an array cannot be the value of a variable, or return None."""
    expected = np.dtype(variable.dtype.as_numpy_dtype)
    if array.dtype.kind != expected.kind:
        return f"is {array.dtype}, expected {expected} for {name}"
    if not np.isfinite(array).all():
        return "holds a value that is not finite"
    if "moving_variance/" in name and (array < 0).any():
        return "holds a negative variance"
    return None
