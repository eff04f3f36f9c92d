"""Draw the random key blocks of BigBird attention, and count the blocks of a sequence."""

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

# Lengths for which the published code keeps BigBird's original plan, and the limits of that plan.
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

    The plan `published` draws what the published code draws after `np.random.seed(seed)`. For
    1,024, 2,048, 3,072 and 4,096 tokens it draws from the blocks below token 1,024, and the last
    query blocks may list a block that they attend to already. For every other length it draws from
    the leading `2 * num_random + 5` blocks only. If the published code fails (with three random
    blocks: fewer than 8 blocks, or 9 to 11), it draws from all blocks, as that code does for 8.
    The plan `uniform` draws from every block that the query block does not attend to yet.

    With few blocks, some query block has fewer than `num_random` candidates; all query blocks then
    get that many.

    Args:
        tokens: Sequence length in tokens, a multiple of `block_size`, at least five blocks.
        num_heads: Number of heads; each has its own draw.
        block_size: Tokens per block.
        num_random: Random blocks per query block.
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
    """Return the random blocks of one layer at one length.

    Args:
        config: The model's config.
        layer: Index of the layer; it shifts the seed.
        tokens: Sequence length in tokens.
        fixed: int32 `[heads, blocks - 2, random]` to use instead if they fit the length, or None.
    """
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
    """Count the blocks of a sequence.

    Args:
        tokens: Sequence length in tokens.
        block_size: Tokens per block.
        minimum_blocks: Fewest blocks that the attention takes; the default is BigBird's.

    Raises:
        ValueError: If the tokens are not whole blocks, or too few.
    """
    minimum = minimum_blocks * block_size
    if tokens % block_size or tokens < minimum:
        raise ValueError(
            f"{tokens=}, expected a multiple of {block_size=} of at least {minimum_blocks} blocks "
            f"({minimum} tokens, {minimum * BIN_SIZE_BP} bp)"
        )
    return tokens // block_size


def _draw_uniform(
    generator: np.random.RandomState, blocks: int, num_heads: int, num_random: int
) -> np.ndarray:
    """Draw from all blocks that a query block does not attend to yet."""
    num_random = min(num_random, blocks - MINIMUM_BLOCKS)
    drawn = np.empty([num_heads, blocks - 2, num_random], dtype=np.int32)
    for head in range(num_heads):
        for block in range(1, blocks - 1):
            attended = [0, block - 1, block, block + 1, blocks - 1]
            candidates = np.setdiff1d(np.arange(blocks), attended)
            drawn[head, block - 1] = generator.choice(candidates, num_random, replace=False)
    return drawn


def _draw_original(
    generator: np.random.RandomState,
    tokens: int,
    num_heads: int,
    block_size: int,
    num_random: int,
) -> np.ndarray:
    """Draw by BigBird's first plan: for 4,096 tokens, cut to the sequence, below token 1,024."""
    blocks = _ORIGINAL_PLAN_LONGEST_TOKENS // block_size
    limit = _ORIGINAL_PLAN_LIMIT_TOKENS // block_size - 1
    drawn = np.empty([num_heads, blocks - 2, num_random], dtype=np.int32)
    middle = np.arange(1, blocks - 1, dtype=np.int32)
    for head in range(num_heads):
        for block in range(1, blocks - 1):
            if block in (1, 2):
                candidates = middle[block + 1 : limit]
            elif block >= blocks - 3 or block - 2 > limit:
                candidates = middle[:limit]
            else:  # all up to the limit but the window
                candidates = np.concatenate([middle[: block - 2], middle[block + 1 : limit]])
            drawn[head, block - 1] = generator.permutation(candidates)[:num_random]
    return drawn[:, : tokens // block_size - 2]


def _draw_leading(
    generator: np.random.RandomState, blocks: int, num_heads: int, num_random: int
) -> np.ndarray:
    """Draw by the general plan: from the leading blocks only, at any sequence length."""
    region = min(2 * num_random + MINIMUM_BLOCKS, blocks)
    num_random = min(num_random, blocks - MINIMUM_BLOCKS)
    drawn = np.zeros([num_heads, blocks - 2, num_random], dtype=np.int32)
    for block in range(1, blocks):  # the published code draws for the last block, and drops it
        attended = {0, region - 1, block - 1, block, block + 1}
        if block == 1:
            attended.add(region - 2)
        if block == region - 2:
            attended.add(1)
        for head in range(num_heads):
            permuted = generator.permutation(region)
            if block < blocks - 1:
                candidates = permuted[~np.isin(permuted, list(attended))]
                drawn[head, block - 1] = candidates[:num_random]
    return drawn
