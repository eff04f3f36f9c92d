"""Blocks of tokens: how many a sequence has, and which random ones a block attends to."""

from __future__ import annotations

import numpy as np

from senformer.attention_kinds import MINIMUM_BLOCKS
from senformer.config import (
    BIN_SIZE_BP,
    RANDOM_BLOCK_PLANS,
    ModelConfig,
    expect_one_of,
)

DEFAULT_BLOCK_SIZE = 64

# Lengths for which the published code keeps BigBird's original plan, and how far that plan draws.
_ORIGINAL_PLAN_TOKENS = (1024, 2048, 3072, 4096)
_ORIGINAL_PLAN_LIMIT_TOKENS = 1024
_ORIGINAL_PLAN_LONGEST_TOKENS = 4096


def random_blocks(
    tokens: int,
    *,
    num_heads: int,
    block_size: int = DEFAULT_BLOCK_SIZE,
    num_random: int = 3,
    plan: str = "published",
    seed: int = 0,
) -> np.ndarray:
    """Draw the random key blocks of every head and query block.

    `published` gives what the published code draws after `np.random.seed(seed)`: for 1,024,
    2,048, 3,072 and 4,096 tokens from the blocks below token 1,024, where the last rows may name
    a block that they already attend to; for every other length from the leading
    `2 * num_random + 5` blocks alone. Where that code fails (with three random blocks: fewer than
    8 blocks, or 9 to 11), all blocks are drawn from, as it does for 8. `uniform` draws from every
    block that the row does not attend to yet, so that no row names a block twice.

    With few blocks, fewer than `num_random` are free in some row; then all rows have that many.

    Args:
        tokens: Sequence length in tokens, a multiple of `block_size`, at least five blocks.
        num_heads: Each head draws its own.
        block_size: Tokens per block.
        num_random: Random blocks per row.
        plan: `published` or `uniform`.
        seed: Seed of the draw.

    Returns:
        int32 `[num_heads, blocks - 2, random]`, `random <= num_random`.

    Raises:
        ValueError: If the tokens are not at least five whole blocks or the plan is unknown.

    Source: google-research/bigbird, `core/attention.py` `bigbird_block_rand_mask` and
        `bigbird_block_rand_mask_with_head`.
    """
    expect_one_of("plan", plan, RANDOM_BLOCK_PLANS)
    blocks = num_blocks(tokens, block_size)
    generator = np.random.RandomState(seed)
    if plan == "uniform":
        return _draw_uniform(generator, blocks, num_heads, num_random)
    if tokens in _ORIGINAL_PLAN_TOKENS:
        return _draw_original(generator, tokens, num_heads, block_size, num_random)
    return _draw_leading(generator, blocks, num_heads, num_random)


def layer_random_blocks(
    config: ModelConfig, layer: int, tokens: int, fixed: np.ndarray | None = None
) -> np.ndarray:
    """The random blocks of one layer of a model, at one length: the fixed ones where they fit."""
    if fixed is not None and fixed.shape[1] == num_blocks(tokens, config.block_size) - 2:
        return fixed
    return random_blocks(
        tokens,
        num_heads=config.num_heads,
        block_size=config.block_size,
        num_random=config.num_random_blocks,
        plan=config.random_block_plan,
        seed=config.random_block_seed + layer,
    )


def num_blocks(tokens: int, block_size: int, minimum_blocks: int = MINIMUM_BLOCKS) -> int:
    """How many blocks a sequence has.

    Args:
        tokens: Of the sequence.
        block_size: Tokens per block.
        minimum_blocks: Fewest that a kind takes; by default BigBird's.

    Raises:
        ValueError: If it is not a whole number of blocks, or too few.
    """
    minimum = minimum_blocks * block_size
    if tokens % block_size or tokens < minimum:
        raise ValueError(
            f"{tokens=}, expected a multiple of {block_size=} of at least {minimum_blocks} blocks "
            f"({minimum} tokens, {minimum * BIN_SIZE_BP} bp)"
        )
    return tokens // block_size


def check_random_blocks(random_blocks: np.ndarray, heads: int, blocks: int) -> None:
    """Make sure that random blocks fit a sequence.

    Args:
        random_blocks: int `[heads, blocks - 2, random]`.
        heads: Attention heads.
        blocks: Blocks of the sequence.

    Raises:
        ValueError: If the shape is another or a block is not one of the sequence.
    """
    if random_blocks.ndim != 3 or random_blocks.shape[:2] != (heads, blocks - 2):
        raise ValueError(
            f"random_blocks has shape {list(random_blocks.shape)}, "
            f"expected [{heads} heads, {blocks - 2} blocks, random]"
        )
    if random_blocks.size and not 0 <= random_blocks.min() <= random_blocks.max() < blocks:
        raise ValueError(
            f"random_blocks from {random_blocks.min()} to {random_blocks.max()}, "
            f"expected 0 to {blocks - 1}"
        )


def _draw_uniform(
    generator: np.random.RandomState, blocks: int, num_heads: int, num_random: int
) -> np.ndarray:
    num_random = min(num_random, blocks - MINIMUM_BLOCKS)
    drawn = np.empty([num_heads, blocks - 2, num_random], dtype=np.int32)
    for head in range(num_heads):
        for row in range(1, blocks - 1):
            free = np.setdiff1d(np.arange(blocks), [0, row - 1, row, row + 1, blocks - 1])
            drawn[head, row - 1] = generator.choice(free, num_random, replace=False)
    return drawn


def _draw_original(
    generator: np.random.RandomState,
    tokens: int,
    num_heads: int,
    block_size: int,
    num_random: int,
) -> np.ndarray:
    """BigBird's first plan: drawn for 4,096 tokens, cut to the sequence, below token 1,024."""
    blocks = _ORIGINAL_PLAN_LONGEST_TOKENS // block_size
    limit = _ORIGINAL_PLAN_LIMIT_TOKENS // block_size - 1
    drawn = np.empty([num_heads, blocks - 2, num_random], dtype=np.int32)
    for head in range(num_heads):
        for row in range(1, blocks - 1):
            candidates = _original_candidates(row, blocks, limit)
            drawn[head, row - 1] = generator.permutation(candidates)[:num_random]
    return drawn[:, : tokens // block_size - 2]


def _original_candidates(row: int, blocks: int, limit: int) -> np.ndarray:
    middle = np.arange(1, blocks - 1, dtype=np.int32)
    if row in (1, 2):
        return middle[row + 1 : limit]
    if row >= blocks - 3 or row - 2 > limit:
        return middle[:limit]
    if row + 1 == limit:
        return middle[: row - 2]
    return np.concatenate([middle[: row - 2], middle[row + 1 : limit]])


def _draw_leading(
    generator: np.random.RandomState, blocks: int, num_heads: int, num_random: int
) -> np.ndarray:
    """The general plan: only the leading blocks are drawn from, however long the sequence is."""
    region = 2 * num_random + MINIMUM_BLOCKS
    region = min(region, blocks)
    num_random = min(num_random, blocks - MINIMUM_BLOCKS)
    drawn = np.zeros([num_heads, blocks - 2, num_random], dtype=np.int32)
    for row in range(1, blocks):  # the last row is drawn too, and dropped
        for head in range(num_heads):
            free = _leading_free(generator.permutation(region), row, region)
            if row < blocks - 1:
                drawn[head, row - 1] = free[:num_random]
    return drawn


def _leading_free(permuted: np.ndarray, row: int, region: int) -> np.ndarray:
    taken = {0, region - 1, row - 1, row, row + 1}
    if row == 1:
        taken.add(region - 2)
    if row == region - 2:
        taken.add(1)
    return np.array([block for block in permuted if block not in taken], dtype=np.int32)
