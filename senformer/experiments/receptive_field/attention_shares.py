"""Why a pattern costs what it costs: how much of a trained model's attention it would take away.

A warm start keeps Enformer's weights and drops the keys that the pattern does not name. What is
lost at once is the attention that fell on them. Here it is summed, layer by layer, head by head and
by distance, beside what would be kept if attention fell on all keys alike. It needs a model with
Enformer's own attention, trained here or elsewhere, and sequences.
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
"""Edges of the bands of distance between query and key; the last band has no end."""


def attention_kept(
    model: Enformer,
    pattern_of: ModelConfig,
    sequences: Iterable[ArrayLike],
    *,
    distances_bp: Sequence[int] = DISTANCES_BP,
) -> pd.DataFrame:
    """Say how much of each head's attention falls on keys that a sparse model would keep.

    Args:
        model: A trained model with Enformer's own attention.
        pattern_of: The sparse model: its block size and random blocks are used, not its weights.
        sequences: One-hot, each `[length, 4]`, of one length.
        distances_bp: Lower edges of the bands of distance, from 0 on.

    Returns:
        One row per layer, head and band of distance: `layer`, `head`, `nearest_bp`, `farthest_bp`
        (infinite for the last), `share_of_attention` (of all that the head gives, so that a head's
        rows add up to 1), `share_kept` (of that part, by the pattern) and `share_kept_by_chance`
        (the keys of the band that the pattern keeps, each counting alike).

    Raises:
        ValueError: If the model's attention is of no kind with Enformer's parameters, there is no
            sequence, or a model does not take its length.
    """
    shares: list[NDArray[np.float64]] = []
    for layers in _weights_of_sequences(model, sequences):
        if not shares:
            kept = _kept_keys(pattern_of, layers[0].shape[-1])
            bands = _Bands(distances_bp, layers[0].shape[-1])
        shares.append(np.stack([bands.sums(w, k) for w, k in zip(layers, kept, strict=True)]))
    by_chance = np.stack([bands.sums(np.ones_like(k, np.float64), k) for k in kept])
    return bands.table(np.mean(shares, axis=0), by_chance)


def attention_lost(
    model: Enformer,
    sparse_models: Mapping[str, Sequence[ModelConfig]],
    sequences: Iterable[ArrayLike],
) -> pd.DataFrame:
    """Say how much of a trained model's attention each of several patterns would take away.

    It orders patterns without any training or target: compare it with what they cost.

    Args:
        model: As for `attention_kept`.
        sparse_models: By name, models with a fixed pattern; of several that differ in the draw of
            their random blocks, the mean is taken.
        sequences: As for `attention_kept`.

    Returns:
        One row per name: `model`, `share_lost` (of the attention of a layer's head, on average) and
        `share_lost_by_chance` (of the keys).

    Raises:
        ValueError: As `attention_kept`, and if a model's pattern is not fixed.
    """
    lost: dict[str, list[float]] = {name: [] for name in sparse_models}
    kept: dict[str, list[NDArray[np.bool_]]] = {}
    for layers in _weights_of_sequences(model, sequences):
        for name, configs in sparse_models.items():
            if name not in kept:
                kept[name] = [_kept_keys(config, layers[0].shape[-1]) for config in configs]
            shares = [
                (layer * keys).sum(axis=-1).mean()
                for of_draw in kept[name]
                for layer, keys in zip(layers, of_draw, strict=True)
            ]
            lost[name].append(1 - float(np.mean(shares)))
    return pd.DataFrame(
        {
            "model": [*lost],
            "share_lost": [np.mean(shares) for shares in lost.values()],
            "share_lost_by_chance": [1 - np.mean(kept[name]) for name in lost],
        }
    )


def _weights_of_sequences(
    model: Enformer, sequences: Iterable[ArrayLike]
) -> Iterator[list[NDArray[np.float32]]]:
    """`[heads, tokens, tokens]` of each layer, of each sequence."""
    weights_of = tf.function(lambda sequence: _weights_of_layers(model, sequence))
    num_sequences = 0
    for sequence in sequences:
        layers = weights_of(tf.convert_to_tensor(sequence, tf.float32)[tf.newaxis])
        yield [layer[0].numpy() for layer in layers]
        num_sequences += 1
    if not num_sequences:
        raise ValueError("no sequences, expected at least one")


class _Bands:
    """Pairs of query and key, by their distance."""

    def __init__(self, distances_bp: Sequence[int], tokens: int) -> None:
        self._edges_bp = [*distances_bp, np.inf]
        place = np.arange(tokens)
        distance_bp = np.abs(place - place[:, np.newaxis]) * BIN_SIZE_BP
        self._band = np.searchsorted(distances_bp, distance_bp, side="right").ravel() - 1

    def sums(self, weights: NDArray[np.floating], kept: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Means over queries, `[heads, bands, 2]`: of all weights of a band, of those kept.

        Args:
            weights: `[heads, tokens, tokens]`.
            kept: Of the same shape.
        """
        num_bands = len(self._edges_bp) - 1
        by_head = [
            [np.bincount(self._band, part.ravel(), num_bands) for part in (w, w * k)]
            for w, k in zip(np.asarray(weights, np.float64), kept, strict=True)
        ]
        return np.moveaxis(np.asarray(by_head), 1, -1) / weights.shape[-1]

    def table(self, shares: NDArray[np.float64], by_chance: NDArray[np.float64]) -> pd.DataFrame:
        """Rows of `attention_kept`, of sums `[layers, heads, bands, 2]`."""
        layer, head, band = (index.ravel() for index in np.indices(shares.shape[:3]))
        edges = np.asarray(self._edges_bp)
        with np.errstate(invalid="ignore"):  # no input is that long
            kept, kept_by_chance = (x[..., 1] / x[..., 0] for x in (shares, by_chance))
        return pd.DataFrame(
            {
                "layer": layer,
                "head": head,
                "nearest_bp": edges[band],
                "farthest_bp": edges[band + 1],
                "share_of_attention": shares[..., 0].ravel(),
                "share_kept": kept.ravel(),
                "share_kept_by_chance": kept_by_chance.ravel(),
            }
        ).dropna(ignore_index=True)


def _weights_of_layers(model: Enformer, sequence: tf.Tensor) -> list[tf.Tensor]:
    """`[batch, heads, tokens, tokens]` of each layer."""
    x = model.embed(sequence)
    features = model.position_features(x)
    weights = []
    for block in model.transformer:
        if not isinstance(block.attention, DenseAttention) or features is None:
            raise ValueError(
                f"attention={model.config.attention!r}, expected a kind with Enformer's parameters"
            )
        weights.append(block.attention.weights(block.attention_norm(x), features))
        x = block(x, features)
    return weights


def _kept_keys(config: ModelConfig, tokens: int) -> NDArray[np.bool_]:
    """`[layers, heads, tokens, tokens]`: the keys that each query keeps."""
    by_block = np.stack(
        [
            pattern_of_heads(config, layer, tokens * BIN_SIZE_BP)
            for layer in range(config.num_transformer_layers)
        ]
    )
    return by_block.repeat(config.block_size, axis=-2).repeat(config.block_size, axis=-1)
