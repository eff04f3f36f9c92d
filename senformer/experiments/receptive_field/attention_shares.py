"""Measure how much of a trained model's attention falls on the keys that a sparse pattern keeps.

A warm start keeps Enformer's weights and drops all keys outside of the pattern. It loses the
attention to these keys at once. The functions here measure this loss by layer, head and distance,
and compare it with the share of keys that the pattern drops. They need a model with Enformer's
dense attention and sequences, but no training and no targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from senformer.config import BIN_SIZE_BP, ModelConfig
from senformer.experiments.receptive_field.pattern import pattern_of_heads
from senformer.model.attention.dense import DenseAttention
from senformer.model.enformer import Enformer

DISTANCES_BP = (0, 8_192, 16_384, 32_768, 65_536, 131_072)
"""Lower edges of the bands of distance between query and key; the last band is open."""


def attention_kept(
    model: Enformer,
    sparse_config: ModelConfig,
    sequences: Iterable[ArrayLike],
    *,
    distances_bp: Sequence[int] = DISTANCES_BP,
) -> pd.DataFrame:
    """Measure how much of each head's attention falls on keys that a sparse model keeps.

    Args:
        model: A trained model with dense attention.
        sparse_config: The sparse model, which determines the pattern.
        sequences: One-hot sequences of one length, each `[length, 4]`.
        distances_bp: Lower edges of the bands of distance in bp, from 0 on.

    Returns:
        One row per layer, head and band: `layer`, `head`, `nearest_bp`, `farthest_bp` (infinite
        for the last band), `share_of_attention` (of the head's attention, so that the bands of a
        head add up to 1), `share_kept` (of the band's attention) and `share_kept_by_chance` (of
        the band's pairs of query and key).

    Raises:
        ValueError: If the model's attention lacks Enformer's parameters, there is no sequence, or
            a model does not take its length.
    """
    shares: list[NDArray[np.float64]] = []
    for layers in _attention_weights(model, sequences):
        if not shares:
            kept = _kept_keys(sparse_config, layers[0].shape[-1])
            bands = _DistanceBands(distances_bp, layers[0].shape[-1])
        shares.append(np.stack([bands.sums(w, k) for w, k in zip(layers, kept, strict=True)]))
    by_chance = np.stack([bands.sums(np.ones_like(k, np.float64), k) for k in kept])
    return bands.table(np.mean(shares, axis=0), by_chance)


def attention_lost(
    model: Enformer,
    sparse_models: Mapping[str, Sequence[ModelConfig]],
    sequences: Iterable[ArrayLike],
) -> pd.DataFrame:
    """Measure how much of a trained model's attention each of several patterns drops.

    This orders patterns without any training or targets; compare it with their accuracy drops.

    Args:
        model: A trained model with dense attention.
        sparse_models: Models with a fixed pattern, by name. Models of one name differ in the draw
            of their random blocks and are averaged.
        sequences: One-hot sequences of one length, each `[length, 4]`.

    Returns:
        One row per name: `model`, `share_lost` (of the attention, averaged over queries, heads
        and layers) and `share_lost_by_chance` (of the keys).

    Raises:
        ValueError: If the model's attention lacks Enformer's parameters, a pattern is not fixed,
            there is no sequence, or a model does not take its length.
    """
    lost: dict[str, list[float]] = {name: [] for name in sparse_models}
    kept: dict[str, list[NDArray[np.bool_]]] = {}
    for layers in _attention_weights(model, sequences):
        for name, configs in sparse_models.items():
            if name not in kept:
                kept[name] = [_kept_keys(config, layers[0].shape[-1]) for config in configs]
            shares = [
                (weights * keys).sum(axis=-1).mean()
                for draw in kept[name]
                for weights, keys in zip(layers, draw, strict=True)
            ]
            lost[name].append(1 - float(np.mean(shares)))
    return pd.DataFrame(
        {
            "model": [*lost],
            "share_lost": [np.mean(shares) for shares in lost.values()],
            "share_lost_by_chance": [1 - np.mean(kept[name]) for name in lost],
        }
    )


def _attention_weights(
    model: Enformer, sequences: Iterable[ArrayLike]
) -> Iterator[list[NDArray[np.float32]]]:
    """Yield the weights of each sequence: one array `[heads, tokens, tokens]` per layer."""

    @tf.function
    def compute_weights(sequence: tf.Tensor) -> list[tf.Tensor]:
        x = model.embed(sequence)
        features = model.position_features(x)
        weights = []
        for block in model.transformer:
            if not isinstance(block.attention, DenseAttention) or features is None:
                raise ValueError(
                    f"attention={model.config.attention!r}, "
                    "expected a kind with Enformer's parameters"
                )
            weights.append(block.attention.weights(block.attention_norm(x), features))
            x = block(x, features)
        return weights

    num_sequences = 0
    for sequence in sequences:
        layers = compute_weights(tf.convert_to_tensor(sequence, tf.float32)[tf.newaxis])
        yield [layer[0].numpy() for layer in layers]
        num_sequences += 1
    if not num_sequences:
        raise ValueError("no sequences, expected at least one")


class _DistanceBands:
    """Pairs of query and key, grouped by their distance."""

    def __init__(self, distances_bp: Sequence[int], tokens: int) -> None:
        self._edges_bp = np.asarray([*distances_bp, np.inf])
        index = np.arange(tokens)
        distance_bp = np.abs(index - index[:, np.newaxis]) * BIN_SIZE_BP
        self._band = np.searchsorted(distances_bp, distance_bp, side="right").ravel() - 1

    def sums(self, weights: NDArray[np.floating], kept: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Sum weights over the keys of each band, averaged over queries.

        Args:
            weights: `[heads, tokens, tokens]`.
            kept: The keys that the pattern keeps, of the same shape.

        Returns:
            `[heads, bands, 2]`: sums over all keys, and over the kept keys.
        """
        num_bands = len(self._edges_bp) - 1
        by_head = [
            [np.bincount(self._band, part.ravel(), num_bands) for part in (w, w * k)]
            for w, k in zip(np.asarray(weights, np.float64), kept, strict=True)
        ]
        return np.moveaxis(np.asarray(by_head), 1, -1) / weights.shape[-1]

    def table(self, shares: NDArray[np.float64], by_chance: NDArray[np.float64]) -> pd.DataFrame:
        """Return the rows of `attention_kept` from sums `[layers, heads, bands, 2]`."""
        layer, head, band = (index.ravel() for index in np.indices(shares.shape[:3]))
        with np.errstate(invalid="ignore"):  # bands beyond the input's length are empty
            kept, kept_by_chance = (x[..., 1] / x[..., 0] for x in (shares, by_chance))
        return pd.DataFrame(
            {
                "layer": layer,
                "head": head,
                "nearest_bp": self._edges_bp[band],
                "farthest_bp": self._edges_bp[band + 1],
                "share_of_attention": shares[..., 0].ravel(),
                "share_kept": kept.ravel(),
                "share_kept_by_chance": kept_by_chance.ravel(),
            }
        ).dropna(ignore_index=True)


def _kept_keys(config: ModelConfig, tokens: int) -> NDArray[np.bool_]:
    """Return the keys that each query keeps: `[layers, heads, tokens, tokens]`."""
    by_block = np.stack(
        [
            pattern_of_heads(config, layer, tokens * BIN_SIZE_BP)
            for layer in range(config.num_transformer_layers)
        ]
    )
    return by_block.repeat(config.block_size, axis=-2).repeat(config.block_size, axis=-1)
