"""The sizes of a model that others have trained, told from the shapes of its weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from senformer.config import ModelConfig

ShapeOf = Callable[[str], Sequence[int] | None]
"""The shape of the variable that has a name of ours; none where there is no such variable."""


def config_of(shape_of: ShapeOf, tracks: Mapping[str, int]) -> ModelConfig:
    """An Enformer's config, as far as its weights tell it; the rest is as published.

    How many bins it predicts they do not tell, nor which gamma features it expects.

    Args:
        shape_of: Shapes in our layout.
        tracks: Of each head.

    Raises:
        ValueError: If a variable that tells a size is missing, or no Enformer has such sizes.
    """
    [stem_channels] = _expected("stem/conv/b", shape_of)
    biases = [size for size in _expected(f"{_layer(0)}/content_bias", shape_of) if size != 1]
    if len(biases) != 2:
        raise ValueError(f"{_layer(0)}/content_bias has shape {biases}, expected [heads, key size]")
    num_heads, key_size = biases
    layers = itertools.takewhile(
        lambda layer: shape_of(f"{_layer(layer)}/content_bias") is not None, itertools.count()
    )
    return ModelConfig(
        channels=2 * stem_channels,
        num_transformer_layers=len(list(layers)),
        num_heads=num_heads,
        key_size=key_size,
        pooling="max" if shape_of("stem/pool/w") is None else "attention",
        tracks=tracks,
    )


def _layer(layer: int) -> str:
    return f"transformer_{layer}/attention"


def _expected(name: str, shape_of: ShapeOf) -> Sequence[int]:
    shape = shape_of(name)
    if shape is None:
        raise ValueError(f"no {name}, expected Enformer's weights")
    return shape
