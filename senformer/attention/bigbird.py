"""BigBird's block-sparse attention: global, window and random blocks."""

from __future__ import annotations

import numpy as np
import sonnet as snt
import tensorflow as tf

from senformer.attention.dense import merge_heads, split_heads
from senformer.config import BIN_SIZE_BP, MINIMUM_BLOCKS, RANDOM_BLOCK_PLANS, ModelConfig
from senformer.parameters import Linear, truncated_normal

DEFAULT_BLOCK_SIZE = 64

_INITIAL_STDDEV = 0.02
# Lengths for which the published code keeps BigBird's original plan, and how far that plan draws.
_ORIGINAL_PLAN_TOKENS = (1024, 2048, 3072, 4096)
_ORIGINAL_PLAN_LIMIT_TOKENS = 1024
_ORIGINAL_PLAN_LONGEST_TOKENS = 4096
_MASKED = -1e30


class BigBirdAttention(snt.Module):
    """BigBird's attention as the S-Enformer uses it: dense projections, no positions, no dropout.

    Attributes:
        fixed_random_blocks: int32 `[heads, blocks - 2, random]` to use at that number of blocks
            instead of the configured draw, for a model whose blocks came with its weights.

    Source: Zaheer et al. 2020; google-research/bigbird, `core/attention.py`.
    """

    def __init__(
        self, config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
    ) -> None:
        super().__init__(name=name)
        self.config = config
        self.layer = layer
        self.fixed_random_blocks: np.ndarray | None = None

        def projection(name: str) -> Linear:
            shape = [config.channels, config.channels]
            weights = truncated_normal(generator, shape, _INITIAL_STDDEV)
            return Linear(weights, with_bias=True, name=name)

        self.query = projection("query")
        self.key = projection("key")
        self.value = projection("value")
        self.output = projection("output")

    def __call__(self, x: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Attend; `x` and the result are `[batch, tokens, channels]`. It has no dropout."""
        del dropout_seed
        config = self.config
        attended = block_sparse_attention(
            split_heads(self.query(x), config.num_heads),
            split_heads(self.key(x), config.num_heads),
            split_heads(self.value(x), config.num_heads),
            layer_random_blocks(config, self.layer, x.shape[1], self.fixed_random_blocks),
            block_size=config.block_size,
        )
        return self.output(merge_heads(attended))


def block_sparse_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    random_blocks: np.ndarray,
    *,
    block_size: int = DEFAULT_BLOCK_SIZE,
) -> tf.Tensor:
    """Attention of each block of queries to the global, window and random blocks of keys.

    The first and the last block attend to everything. Block `i` between them attends to the
    first and last block, to blocks `i - 1`, `i`, `i + 1`, and to `random_blocks[:, i - 1]`. A
    block that a row names twice counts twice, as in the published code.

    Args:
        query: `[batch, heads, tokens, size]`; scaled here by `size ** -0.5`.
        key: `[batch, heads, tokens, size]`.
        value: `[batch, heads, tokens, size]`.
        random_blocks: int32 `[heads, blocks - 2, random]`.
        block_size: Tokens per block.

    Returns:
        `[batch, heads, tokens, size]`.

    Raises:
        ValueError: If the tokens are not at least five whole blocks, or `random_blocks` does not
            fit them.

    Source: Zaheer et al. 2020, section 2 and appendix D.
    """
    heads, tokens, size = query.shape[1:]
    blocks = num_blocks(tokens, block_size)
    random_blocks = np.asarray(random_blocks, dtype=np.int32)
    _check_random_blocks(random_blocks, heads, blocks)
    query = query * size**-0.5
    ends = _attend_to_all(query, key, value, block_size)
    middle = _attend_to_pattern(
        *(
            tf.reshape(x, [-1, heads, blocks, block_size, x.shape[-1]])
            for x in (query, key, value)
        ),
        random_blocks,
    )
    middle = tf.reshape(middle, [-1, heads, tokens - 2 * block_size, value.shape[-1]])
    return tf.concat([ends[:, :, :block_size], middle, ends[:, :, block_size:]], axis=2)


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
    if plan not in RANDOM_BLOCK_PLANS:
        raise ValueError(f"{plan=}, expected one of {', '.join(RANDOM_BLOCK_PLANS)}")
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


def num_blocks(tokens: int, block_size: int) -> int:
    """How many blocks a sequence has.

    Raises:
        ValueError: If it is not a whole number of blocks, at least five.
    """
    if tokens % block_size or tokens < MINIMUM_BLOCKS * block_size:
        raise ValueError(
            f"{tokens=}, expected a multiple of {block_size=} of at least {MINIMUM_BLOCKS} blocks "
            f"({MINIMUM_BLOCKS * block_size} tokens, {MINIMUM_BLOCKS * block_size * BIN_SIZE_BP} bp)"
        )
    return tokens // block_size


def _attend_to_all(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, block_size: int
) -> tf.Tensor:
    """The first and the last block of queries against every key."""
    ends = tf.concat([query[:, :, :block_size], query[:, :, -block_size:]], axis=2)
    weights = tf.nn.softmax(tf.matmul(ends, key, transpose_b=True))
    return tf.matmul(weights, value)  # [batch, heads, 2 block_size, size]


def _attend_to_pattern(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, random_blocks: np.ndarray
) -> tf.Tensor:
    """The blocks between: queries `[batch, heads, blocks, block_size, size]` to their keys."""
    heads, blocks, block_size = query.shape[1:4]
    pattern, is_repeat = _key_blocks(blocks, random_blocks)
    keys = _gather_blocks(key, pattern)  # [batch, heads, blocks - 2, row * block_size, size]
    values = _gather_blocks(value, pattern)
    logits = tf.matmul(query[:, :, 1:-1], keys, transpose_b=True)
    mask = np.where(np.repeat(is_repeat, block_size, axis=-1), np.float32(_MASKED), np.float32(0))
    weights = tf.nn.softmax(logits + mask[:, tf.newaxis])
    del heads
    return tf.matmul(weights, values)  # [batch, heads, blocks - 2, block_size, size]


def _key_blocks(blocks: int, random_blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Key blocks of each row `[heads, blocks - 2, row]`, and which of them a window repeats.

    The second block's window holds the first block and the last but one's holds the last: both
    are there as global blocks already. `is_repeat` is `[blocks - 2, row]`.
    """
    heads = random_blocks.shape[0]
    rows = np.arange(1, blocks - 1)
    fixed = np.stack(
        [np.zeros_like(rows), rows - 1, rows, rows + 1, np.full_like(rows, blocks - 1)], axis=-1
    )
    pattern = np.concatenate(
        [np.broadcast_to(fixed, [heads, *fixed.shape]), random_blocks], axis=-1
    )
    is_repeat = np.zeros(pattern.shape[1:], dtype=bool)
    is_repeat[0, 1] = True
    is_repeat[-1, 3] = True
    return pattern.astype(np.int32), is_repeat


def _gather_blocks(x: tf.Tensor, pattern: np.ndarray) -> tf.Tensor:
    """`[batch, heads, blocks, block_size, size]` to `[batch, heads, rows, row * block_size, size]`."""
    heads, blocks, block_size, size = x.shape[1:]
    flat = tf.reshape(x, [-1, heads * blocks, block_size, size])
    indices = pattern + blocks * np.arange(heads, dtype=np.int32)[:, None, None]
    gathered = tf.gather(flat, indices, axis=1)  # [batch, heads, rows, row, block_size, size]
    return tf.reshape(gathered, [-1, heads, pattern.shape[1], pattern.shape[2] * block_size, size])


def _check_random_blocks(random_blocks: np.ndarray, heads: int, blocks: int) -> None:
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
