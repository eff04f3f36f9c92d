"""Infer a model's sizes from the names and shapes of another program's weights."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from senformer.config import ModelConfig

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


def find_tracks(
    pattern: str, shapes: Mapping[str, Sequence[int]], path: str | Path
) -> dict[str, int]:
    """Return the number of tracks of each head.

    Args:
        pattern: Regular expression of the name of a head's variable. Its groups are the head, and
            `w`, `b`, `weight` or `bias`.
        shapes: Shape of each stored variable.
        path: File of the weights, for messages.

    Raises:
        ValueError: If a head has no bias, or a bias that is no vector; the message names the head.
    """
    matches = [(re.fullmatch(pattern, name), name) for name in sorted(shapes)]
    tracks = {
        match[1]: shapes[name][0]
        for match, name in matches
        if match and match[2].startswith("b") and len(shapes[name]) == 1
    }
    for match, name in matches:
        if match and match[1] not in tracks:
            raise ValueError(f"{path}: {name!r} of a head without a bias, expected one per track")
    return tracks


def rename(name: str, rules: Mapping[str, str]) -> str:
    """Apply replacements, from regular expression to text, to a name in their order."""
    for pattern, replacement in rules.items():
        name = re.sub(pattern, replacement, name)
    return name
