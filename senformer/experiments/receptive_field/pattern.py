"""What a receptive field is bounded by: which blocks attention lets see which, layer upon layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from senformer.attention_kinds import KINDS, attention_kind
from senformer.config import BIN_SIZE_BP, ModelConfig
from senformer.experiments.receptive_field.scan import validated_positions
from senformer.model import trunk
from senformer.model.attention.random_blocks import layer_random_blocks


def bigbird_pattern_of_heads(random_blocks: ArrayLike) -> NDArray[np.bool_]:
    """Draw which blocks see which in each head of one layer of BigBird attention.

    Args:
        random_blocks: int32 `[heads, blocks - 2, random]`, the random blocks of blocks 1 to
            `blocks - 2`.

    Returns:
        bool `[heads, query blocks, key blocks]`: the first and last block see all and are seen by
        all, each other block sees itself, its neighbours, and the blocks that the head drew for it.
    """
    drawn = np.asarray(random_blocks)
    num_heads, rows, _ = drawn.shape
    blocks = rows + 2
    sees = np.tile(window_pattern(blocks), [num_heads, 1, 1])
    sees[:, [0, -1], :] = True
    sees[:, :, [0, -1]] = True
    head, row, _ = np.indices(drawn.shape)
    sees[head, row + 1, drawn] = True
    return sees


def bigbird_heads(random_blocks: ArrayLike) -> NDArray[np.int64]:
    """Count by how many heads of a layer of BigBird attention each block sees each other.

    Args:
        random_blocks: As for `bigbird_pattern_of_heads`.

    Returns:
        int `[query blocks, key blocks]`: all heads where the pattern is fixed (the first and last
        block, the neighbours), elsewhere those that drew the block.
    """
    return bigbird_pattern_of_heads(random_blocks).sum(axis=0)


def window_pattern(blocks: int) -> NDArray[np.bool_]:
    """Draw which blocks see which in one layer of local attention.

    Args:
        blocks: how many the sequence has.

    Returns:
        bool `[query blocks, key blocks]`: each block sees itself and its neighbours.
    """
    index = np.arange(blocks)
    return np.abs(index[:, np.newaxis] - index) <= 1


def attention_patterns(config: ModelConfig, sequence_length_bp: int) -> NDArray[np.bool_]:
    """Give the attention pattern of every layer of a model.

    Args:
        config: the model; random blocks are those of its own draw.
        sequence_length_bp: length of the input, bp.

    Returns:
        bool `[layers, query blocks, key blocks]`; for attention that is not sparse, a block is a
        token and every entry is true.

    Raises:
        ValueError: if the model does not take a sequence of this length, or its tokens decide the
            pattern themselves.
    """
    tokens = config.num_tokens(sequence_length_bp)
    num_layers = config.num_transformer_layers
    _expect_pattern(config, "full", "window", "bigbird")
    if attention_kind(config.attention).pattern == "full":
        return np.broadcast_to(np.True_, (num_layers, tokens, tokens))
    return np.stack(
        [pattern_of_heads(config, i, sequence_length_bp).any(axis=0) for i in range(num_layers)]
    )


def pattern_of_heads(config: ModelConfig, layer: int, sequence_length_bp: int) -> NDArray[np.bool_]:
    """Give the pattern of every head of one layer.

    Args:
        config: a model whose pattern is fixed and made of blocks.
        layer: which layer, from 0.
        sequence_length_bp: length of the input, bp.

    Returns:
        bool `[heads, query blocks, key blocks]`.

    Raises:
        ValueError: if the pattern is another, or the model does not take a sequence of this length.
    """
    _expect_pattern(config, "window", "bigbird")
    tokens = config.num_tokens(sequence_length_bp)
    if attention_kind(config.attention).pattern == "window":
        window = window_pattern(tokens // config.block_size)
        return np.broadcast_to(window, (config.num_heads, *window.shape))
    return bigbird_pattern_of_heads(layer_random_blocks(config, layer, tokens))


def reachable_blocks(pattern: ArrayLike, num_layers: int) -> NDArray[np.bool_]:
    """Find which input blocks can change which output blocks after a number of layers.

    This is the receptive field that attention allows; the trunk's convolutions widen it by a few
    tokens on each side, and training may leave parts of it unused.

    Args:
        pattern: bool `[query blocks, key blocks]`, or `[layers, query blocks, key blocks]` where
            layers differ, input first.
        num_layers: how many attention layers; each has a residual connection, so a block always
            keeps what it had.

    Returns:
        bool `[output blocks, input blocks]`.

    Raises:
        ValueError: if the pattern is not square or has not one matrix per layer.
    """
    patterns = np.asarray(pattern, dtype=bool)
    if patterns.ndim == 2:
        patterns = np.broadcast_to(patterns, (num_layers, *patterns.shape))
    if patterns.ndim != 3 or patterns.shape[1] != patterns.shape[2] or len(patterns) != num_layers:
        raise ValueError(f"pattern of shape {patterns.shape}: expected {num_layers=} square ones")
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
    """Find which predicted bins a base can change at all, through trunk and attention pattern.

    Outside of it a change is zero whatever the weights are; inside, training decides.

    Args:
        config: the model.
        sequence_length_bp: length of the input, bp.
        positions_bp: which bases.
        num_layers: how many of its attention layers, counted from the input.

    Returns:
        bool `[positions, bins]`.

    Raises:
        ValueError: if the model does not take this length, a position lies outside the sequence,
            or the model has fewer layers.
    """
    if not 0 <= num_layers <= config.num_transformer_layers:
        raise ValueError(f"{num_layers=}: expected 0 to {config.num_transformer_layers}")
    positions = validated_positions(positions_bp, sequence_length_bp)
    patterns = attention_patterns(config, sequence_length_bp)[:num_layers]
    reached = reachable_blocks(patterns, num_layers)  # [output blocks, input blocks]
    tokens = config.num_tokens(sequence_length_bp)
    tokens_per_block = tokens // len(reached)
    starts = np.arange(tokens) * BIN_SIZE_BP
    first = positions[:, np.newaxis] - trunk.reach_bp() - BIN_SIZE_BP < starts
    last = starts <= positions[:, np.newaxis] + trunk.reach_bp()
    in_trunk = first & last  # [positions, tokens]
    touched = in_trunk.reshape(len(positions), -1, tokens_per_block).any(axis=-1)
    by_block = touched.astype(np.float32) @ reached.T.astype(np.float32) > 0
    # Without a layer a block is not filled: the trunk alone decides.
    by_token = np.repeat(by_block, tokens_per_block, axis=1) if num_layers else in_trunk
    margin = (tokens - config.target_length) // 2
    return by_token[:, margin : margin + config.target_length]


def pattern_of_layer(config: ModelConfig, layer: int, sequence_length_bp: int) -> pd.DataFrame:
    """Tabulate the pattern of one layer of a model, for a figure.

    Args:
        config: a model with BigBird's pattern.
        layer: which layer, from 0.
        sequence_length_bp: length of the input, bp.

    Returns:
        One row per pair of blocks: query_block, key_block, num_heads (0 where no head sees it).

    Raises:
        ValueError: if the pattern is another, or the model does not take this length.
    """
    _expect_pattern(config, "bigbird")
    tokens = config.num_tokens(sequence_length_bp)
    heads = bigbird_heads(layer_random_blocks(config, layer, tokens))
    query_block, key_block = np.indices(heads.shape).reshape(2, -1)
    return pd.DataFrame(
        {"query_block": query_block, "key_block": key_block, "num_heads": heads.reshape(-1)}
    )


def share_of_keys_kept(config: ModelConfig, sequence_length_bp: int) -> float:
    """Which share of a query's keys a pattern keeps, the mean over queries, heads and layers.

    Args:
        config: the model; random blocks are those of its own draw.
        sequence_length_bp: length of the input, bp.

    Raises:
        ValueError: as `attention_patterns`.
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
    """Tabulate what share of the predicted bins a base can reach, by the number of layers.

    Args:
        configs: models, told apart by their kind of attention.
        sequence_length_bp: length of the input, bp.
        positions_bp: which bases.
        num_layers: numbers of attention layers, counted from the input.

    Returns:
        One row per model, number of layers and position, as `figures.reach.share_reached` takes
        them: mutation_position_bp, line (the first two, in words), share.

    Raises:
        ValueError: as `reachable_bins`.
    """
    tables = []
    for config in configs:
        for number in num_layers:
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
