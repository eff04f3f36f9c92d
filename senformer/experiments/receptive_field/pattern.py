"""Bound a receptive field by the attention pattern: which blocks can reach which blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from senformer.attention_kinds import KINDS, attention_kind
from senformer.config import BIN_SIZE_BP, ModelConfig
from senformer.experiments.receptive_field.scan import validate_positions
from senformer.model import trunk
from senformer.model.attention.random_blocks import layer_random_blocks


def attention_patterns(config: ModelConfig, sequence_length_bp: int) -> NDArray[np.bool_]:
    """Return the attention pattern of every layer of a model, over all its heads.

    Args:
        config: The model, which determines its random blocks.
        sequence_length_bp: Length of the input in bp.

    Returns:
        bool `[layers, query blocks, key blocks]`. For dense attention a block is one token and
        every entry is true.

    Raises:
        ValueError: If the model does not take a sequence of this length, or its pattern depends
            on the sequence.
    """
    _expect_pattern(config, "full", "window", "bigbird")
    num_layers = config.num_transformer_layers
    if attention_kind(config.attention).pattern == "full":
        tokens = config.num_tokens(sequence_length_bp)
        return np.broadcast_to(np.True_, (num_layers, tokens, tokens))
    return np.stack(
        [pattern_of_heads(config, i, sequence_length_bp).any(axis=0) for i in range(num_layers)]
    )


def pattern_of_heads(config: ModelConfig, layer: int, sequence_length_bp: int) -> NDArray[np.bool_]:
    """Return the pattern of every head of one layer.

    Args:
        config: A model with a fixed pattern of blocks.
        layer: Index of the layer, from 0.
        sequence_length_bp: Length of the input in bp.

    Returns:
        bool `[heads, query blocks, key blocks]`.

    Raises:
        ValueError: If the model has another pattern or does not take a sequence of this length.
    """
    _expect_pattern(config, "window", "bigbird")
    tokens = config.num_tokens(sequence_length_bp)
    if attention_kind(config.attention).pattern == "window":
        window = _window_pattern(tokens // config.block_size)
        return np.broadcast_to(window, (config.num_heads, *window.shape))
    return bigbird_pattern(layer_random_blocks(config, layer, tokens))


def bigbird_pattern(random_blocks: ArrayLike) -> NDArray[np.bool_]:
    """Return the pattern of each head of a layer of BigBird attention.

    The first and the last block are global: they attend to all blocks and all blocks attend to
    them. Every other block attends to itself, its neighbours and its random blocks.

    Args:
        random_blocks: int32 `[heads, blocks - 2, random]`, the random blocks of all blocks
            except the global ones.

    Returns:
        bool `[heads, query blocks, key blocks]`.
    """
    random_blocks = np.asarray(random_blocks)
    num_heads, num_query_blocks, _ = random_blocks.shape
    pattern = np.tile(_window_pattern(num_query_blocks + 2), [num_heads, 1, 1])
    pattern[:, [0, -1], :] = True
    pattern[:, :, [0, -1]] = True
    head, query_block, _ = np.indices(random_blocks.shape)
    pattern[head, query_block + 1, random_blocks] = True
    return pattern


def _window_pattern(num_blocks: int) -> NDArray[np.bool_]:
    """Return a pattern in which each block attends to itself and its neighbours."""
    index = np.arange(num_blocks)
    return np.abs(index[:, np.newaxis] - index) <= 1


def reachable_blocks(patterns: ArrayLike) -> NDArray[np.bool_]:
    """Find which input blocks can affect which output blocks through all layers.

    This is the receptive field that attention allows. The trunk's convolutions widen it by a few
    tokens on each side, and a trained model may use only a part of it.

    Args:
        patterns: bool `[layers, query blocks, key blocks]`, the layer next to the input first.
            Residual connections let each block keep what it has.

    Returns:
        bool `[output blocks, input blocks]`.
    """
    patterns = np.asarray(patterns, dtype=bool)
    reached = np.eye(patterns.shape[1], dtype=bool)
    for layer in patterns:
        reached = reached | (layer.astype(np.float32) @ reached.astype(np.float32) > 0)
    return reached


def reachable_bins(
    config: ModelConfig,
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_layers: int,
) -> NDArray[np.bool_]:
    """Find which predicted bins a base can affect through the trunk and the attention pattern.

    Outside of them an effect is zero for all weights; inside, it depends on the training.

    Args:
        config: The model.
        sequence_length_bp: Length of the input in bp.
        positions_bp: Indices of the bases.
        num_layers: Number of attention layers, counted from the input.

    Returns:
        bool `[positions, bins]`.

    Raises:
        ValueError: If the model does not take this length, a position lies outside the sequence,
            or the model has fewer layers.
    """
    if not 0 <= num_layers <= config.num_transformer_layers:
        raise ValueError(f"{num_layers=}, expected 0 to {config.num_transformer_layers}")
    positions = validate_positions(positions_bp, sequence_length_bp)[:, np.newaxis]
    tokens = config.num_tokens(sequence_length_bp)
    starts_bp = np.arange(tokens) * BIN_SIZE_BP
    is_reached = (positions - trunk.reach_bp() - BIN_SIZE_BP < starts_bp) & (
        starts_bp <= positions + trunk.reach_bp()
    )  # [positions, tokens], by the trunk alone
    if num_layers:
        patterns = attention_patterns(config, sequence_length_bp)[:num_layers]
        block_size = tokens // patterns.shape[1]
        by_trunk = is_reached.reshape(len(positions), -1, block_size).any(axis=-1)
        through_layers = reachable_blocks(patterns).T.astype(np.float32)
        by_block = by_trunk.astype(np.float32) @ through_layers > 0
        is_reached = np.repeat(by_block, block_size, axis=1)
    first = (tokens - config.target_length) // 2
    return is_reached[:, first : first + config.target_length]


def pattern_of_layer(config: ModelConfig, layer: int, sequence_length_bp: int) -> pd.DataFrame:
    """Tabulate the pattern of one layer of a model, for a figure.

    Args:
        config: A model with BigBird's pattern.
        layer: Index of the layer, from 0.
        sequence_length_bp: Length of the input in bp.

    Returns:
        One row per pair of blocks: query_block, key_block, num_heads (heads in which the query
        block attends to the key block).

    Raises:
        ValueError: If the model has another pattern or does not take this length.
    """
    _expect_pattern(config, "bigbird")
    num_heads = pattern_of_heads(config, layer, sequence_length_bp).sum(axis=0)
    query_block, key_block = np.indices(num_heads.shape).reshape(2, -1)
    return pd.DataFrame(
        {"query_block": query_block, "key_block": key_block, "num_heads": num_heads.reshape(-1)}
    )


def share_of_keys_kept(config: ModelConfig, sequence_length_bp: int) -> float:
    """Compute the share of its keys that a query keeps, averaged over queries, heads and layers.

    Args:
        config: The model, which determines its random blocks.
        sequence_length_bp: Length of the input in bp.

    Raises:
        ValueError: If the model does not take a sequence of this length, or its pattern depends
            on the sequence.
    """
    if attention_kind(config.attention).pattern == "full":
        return 1.0
    layers = range(config.num_transformer_layers)
    return float(np.mean([pattern_of_heads(config, i, sequence_length_bp) for i in layers]))


def allowed_shares(
    configs: Sequence[ModelConfig],
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_layers: Sequence[int],
) -> pd.DataFrame:
    """Tabulate the share of predicted bins that a base can reach, by the number of layers.

    Args:
        configs: Models with different kinds of attention.
        sequence_length_bp: Length of the input in bp.
        positions_bp: Indices of the bases.
        num_layers: Numbers of attention layers, counted from the input.

    Returns:
        One row per model, number of layers and position, for `figures.reach.share_reached`:
        mutation_position_bp, line (kind of attention and number of layers), share.

    Raises:
        ValueError: If a model does not take this length or has fewer layers, or a position lies
            outside the sequence.
    """
    tables = []
    for config, number in [(config, number) for config in configs for number in num_layers]:
        reached = reachable_bins(
            config,
            sequence_length_bp=sequence_length_bp,
            positions_bp=positions_bp,
            num_layers=number,
        )
        columns = {
            "mutation_position_bp": np.asarray(positions_bp),
            "line": f"{config.attention}, {number} layer{'' if number == 1 else 's'}",
            "share": reached.mean(axis=1),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _expect_pattern(config: ModelConfig, *patterns: str) -> None:
    if attention_kind(config.attention).pattern not in patterns:
        known = [name for name, kind in KINDS.items() if kind.pattern in patterns]
        raise ValueError(f"attention={config.attention!r}, expected one of {', '.join(known)}")
