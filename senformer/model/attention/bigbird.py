"""BigBird's block-sparse attention: global, window and random blocks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sonnet as snt
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model import ops
from senformer.model.attention.block_gather import (
    MASKED,
    WINDOW,
    Chunk,
    KeyGradient,
    chunks_of,
    join_ends,
    near_blocks,
    sum_key_gradients,
    sum_touched,
    take_ends,
    take_near,
    take_rows,
)
from senformer.model.attention.heads import map_heads, merge_heads, split_heads
from senformer.model.attention.piecewise_softmax import Piece, attend, attend_gradient
from senformer.model.attention.random_blocks import (
    DEFAULT_BLOCK_SIZE,
    check_random_blocks,
    layer_random_blocks,
    num_blocks,
    random_blocks,
)
from senformer.model.layers import Linear, truncated_normal
from senformer.model.speed.recomputation import Memory

__all__ = ["BigBirdAttention", "block_sparse_attention", "layer_random_blocks", "random_blocks"]

_INITIAL_STDDEV = 0.02


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

    def __call__(
        self,
        x: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
        memory: Memory | None = None,
    ) -> tf.Tensor:
        """Attend; `x` and the result are `[batch, tokens, channels]`. It has no dropout."""
        del dropout_seed
        config = self.config
        for_query, for_key, for_value = ops.for_readers(x, 3)
        attended = block_sparse_attention(
            split_heads(self.query(for_query), config.num_heads),
            split_heads(self.key(for_key), config.num_heads),
            split_heads(self.value(for_value), config.num_heads),
            layer_random_blocks(config, self.layer, x.shape[1], self.fixed_random_blocks),
            block_size=config.block_size,
            memory=memory,
        )
        return self.output(merge_heads(attended))


def block_sparse_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    random_blocks: np.ndarray,
    *,
    block_size: int = DEFAULT_BLOCK_SIZE,
    memory: Memory | None = None,
) -> tf.Tensor:
    """Attention of each block of queries to the global, window and random blocks of keys.

    The first and the last block attend to everything. Block `i` between them attends to the
    first and last block, to blocks `i - 1`, `i`, `i + 1`, and to `random_blocks[:, i - 1]`. A
    random block that the row attends to already counts twice, as in the published code.

    For the gradient it keeps its arguments, the result and one number per query; weights are
    computed again, a few blocks at a time.

    Args:
        query: `[batch, heads, tokens, size]`; scaled here by `size ** -0.5`.
        key: `[batch, heads, tokens, size]`.
        value: `[batch, heads, tokens, value_size]`.
        random_blocks: int32 `[heads, blocks - 2, random]`.
        block_size: Tokens per block.
        memory: Where a block that is repeated for its gradient keeps the result; by default none.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Raises:
        ValueError: If the tokens are not at least five whole blocks, or `random_blocks` does not
            fit them.

    Source: Zaheer et al. 2020, section 2 and appendix D; recomputation from the normaliser, Dao et
        al. 2022, section 3.1.
    """
    heads, tokens, _ = query.shape[1:]
    blocks = num_blocks(tokens, block_size)
    random_blocks = np.asarray(random_blocks, dtype=np.int32)
    check_random_blocks(random_blocks, heads, blocks)
    near = near_blocks(random_blocks)
    memory = memory or Memory()

    @tf.custom_gradient
    def attention(
        query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        output, log_total = memory.keep(lambda: _forward(query, key, value, near, block_size))

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            return _gradient(query, key, value, output, log_total, upstream, near, block_size)

        return output, gradient

    return attention(query, key, value)


def _forward(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, near: np.ndarray, block_size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The output, and the logarithm of each query's normaliser `[batch, heads, tokens, 1]`."""
    tokens, value_size = value.shape[2:]

    def attend_head(
        number: tf.Tensor, head: tf.Tensor, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        del number
        query = query * query.shape[-1] ** -0.5
        ends = attend(take_ends(query, block_size), _all_keys(key, value))
        rows: list[tuple[tf.Tensor, tf.Tensor]] = []
        for chunk in chunks_of(near):
            with tf.control_dependencies(rows[-1] if rows else ends):  # one after another
                pieces = _pattern(key, value, chunk, head, block_size)
                rows.append(attend(take_rows(query, chunk, block_size), pieces))
        outputs, log_totals = zip(*rows, strict=True)
        return join_ends(ends[0], outputs), join_ends(ends[1], log_totals)

    output, log_total = map_heads(
        attend_head, [query, key, value], [[tokens, value_size], [tokens, 1]]
    )
    return tf.cast(output, value.dtype), log_total


def _gradient(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    output: tf.Tensor,
    log_total: tf.Tensor,
    upstream: tf.Tensor,
    near: np.ndarray,
    block_size: int,
) -> list[tf.Tensor]:
    """Gradients with respect to query, key and value."""

    def head_gradient(
        number: tf.Tensor,
        head: tf.Tensor,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *results: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        del number
        scale = query.shape[-1] ** -0.5
        query = query * scale
        query_ends, [of_all] = attend_gradient(
            take_ends(query, block_size),
            _all_keys(key, value),
            *(take_ends(x, block_size) for x in results),
        )
        query_rows: list[tf.Tensor] = []
        of_keys, of_values, touched = [], [], []
        for chunk in chunks_of(near):
            places = tf.constant(chunk.places)[head]
            touched.append(tf.constant(chunk.touched)[head])
            with tf.control_dependencies([query_rows[-1] if query_rows else query_ends]):
                of_query, [of_near, of_global] = attend_gradient(
                    take_rows(query, chunk, block_size),
                    _pattern(key, value, chunk, head, block_size),
                    *(take_rows(x, chunk, block_size) for x in results),
                )
            query_rows.append(of_query)
            num_touched = chunk.touched.shape[1]
            of_keys.append(
                KeyGradient(sum_touched(of_near.key, places, num_touched), of_global.key[0])
            )
            of_values.append(
                KeyGradient(sum_touched(of_near.value, places, num_touched), of_global.value[0])
            )
        return (
            join_ends(query_ends, query_rows) * scale,
            sum_key_gradients(of_all.key[0], of_keys, touched, block_size),
            sum_key_gradients(of_all.value[0], of_values, touched, block_size),
        )

    arguments = [query, key, value]
    gradients = map_heads(
        head_gradient, [*arguments, output, log_total, upstream], [x.shape[2:] for x in arguments]
    )
    return [tf.cast(g, x.dtype) for g, x in zip(gradients, arguments, strict=True)]


def _all_keys(key: tf.Tensor, value: tf.Tensor) -> list[Piece]:
    """What the two ends attend to; `[tokens, size]`."""
    return [Piece(key[tf.newaxis], value[tf.newaxis])]


def _pattern(
    key: tf.Tensor, value: tf.Tensor, chunk: Chunk, head: tf.Tensor, block_size: int
) -> list[Piece]:
    """What the rows of a chunk attend to: the blocks near them, and the two ends."""
    near = tf.constant(chunk.near)[head]
    return [
        Piece(
            take_near(key, near, block_size),
            take_near(value, near, block_size),
            bias=_mask_of_global_window(chunk, key.shape[0] // block_size, block_size),
        ),
        Piece(take_ends(key, block_size)[tf.newaxis], take_ends(value, block_size)[tf.newaxis]),
    ]


def _mask_of_global_window(chunk: Chunk, num_blocks: int, block_size: int) -> np.ndarray | None:
    """`[rows, near * block_size, 1]`: what a window and the ends share is counted with the ends."""
    is_repeat = np.isin(chunk.near[0], [0, num_blocks - 1])  # [rows, near]
    is_repeat[:, WINDOW:] = False
    if not is_repeat.any():
        return None
    return np.where(np.repeat(is_repeat, block_size, axis=1), MASKED, np.float32(0))[
        ..., np.newaxis
    ]
