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
    shares: list[list[NDArray[np.float64]]] = []
    for layers in _attention_weights(model, sequences):
        tokens = layers[0].shape[-1]
        if not shares:
            kept = _kept_keys(sparse_config, tokens)
            index = np.arange(tokens)
            distance_bp = np.abs(index - index[:, np.newaxis]) * BIN_SIZE_BP
            band = np.searchsorted(distances_bp, distance_bp, side="right") - 1
        shares.append([_sum_by_band(w, k, band) for w, k in zip(layers, kept, strict=True)])
    by_chance = [_sum_by_band(np.ones_like(k, np.float32), k, band) for k in kept]
    total, in_pattern = np.moveaxis(np.mean(shares, axis=0), 1, 0)
    pairs, pairs_in_pattern = np.stack(by_chance, axis=1)
    layer, head, number = (index.ravel() for index in np.indices(total.shape))
    edges_bp = np.asarray([*distances_bp, np.inf])
    with np.errstate(invalid="ignore"):  # bands beyond the input's length are empty
        table = pd.DataFrame(
            {
                "layer": layer,
                "head": head,
                "nearest_bp": edges_bp[number],
                "farthest_bp": edges_bp[number + 1],
                "share_of_attention": total.ravel(),
                "share_kept": (in_pattern / total).ravel(),
                "share_kept_by_chance": (pairs_in_pattern / pairs).ravel(),
            }
        )
    return table.dropna(ignore_index=True)


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
            x = block(x, position_features=features)
        return weights

    num_sequences = 0
    for sequence in sequences:
        layers = compute_weights(tf.convert_to_tensor(sequence, tf.float32)[tf.newaxis])
        yield [layer[0].numpy() for layer in layers]
        num_sequences += 1
    if not num_sequences:
        raise ValueError("no sequences, expected at least one")


def _sum_by_band(
    weights: NDArray[np.float32], kept: NDArray[np.bool_], band: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sum a layer's weights by distance of query and key, averaged over queries.

    Args:
        weights: `[heads, tokens, tokens]`.
        kept: The keys that the pattern keeps, of the same shape.
        band: Band of distance of each query and key, `[tokens, tokens]`.

    Returns:
        `[2, heads, bands]`: sums over all keys, and over the kept keys.
    """
    by_head = weights.astype(np.float64)
    sums = [
        [np.bincount(band.ravel(), head.ravel()) for head in part]
        for part in (by_head, by_head * kept)
    ]
    return np.asarray(sums) / weights.shape[-1]


def _kept_keys(config: ModelConfig, tokens: int) -> NDArray[np.bool_]:
    """Return the keys that each query keeps: `[layers, heads, tokens, tokens]`."""
    by_block = np.stack(
        [
            pattern_of_heads(config, layer, tokens * BIN_SIZE_BP)
            for layer in range(config.num_transformer_layers)
        ]
    )
    return by_block.repeat(config.block_size, axis=-2).repeat(config.block_size, axis=-1)
