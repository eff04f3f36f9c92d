"""BigBird's pattern with Enformer's own parameters: relative positions, biases, small keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.attention.block_gather import (
    MASKED,
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
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.heads import map_heads
from senformer.model.attention.piecewise_softmax import Piece, attend, attend_gradient
from senformer.model.attention.random_blocks import (
    check_random_blocks,
    layer_random_blocks,
    num_blocks,
)
from senformer.model.attention.relative_blocks import (
    NUM_ENDS,
    HeadArrays,
    end_biases,
    end_biases_gradient,
    row_biases,
    row_biases_gradient,
    sum_relative_key_gradients,
)
from senformer.model.dropout import fold_in
from senformer.model.speed.recomputation import Memory


class BigBirdRelativeAttention(DenseAttention):
    """`DenseAttention` of which each block of queries keeps the blocks that BigBird gives it.

    It has the variables of `DenseAttention`, so every weight of a trained Enformer is its start.

    Attributes:
        fixed_random_blocks: As of `BigBirdAttention`.

    Source: the pattern, Zaheer et al. 2020; all else, Avsec et al. 2021.
    """

    def __init__(
        self, config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
    ) -> None:
        super().__init__(config, layer, generator, name)
        self.layer = layer
        self.fixed_random_blocks: np.ndarray | None = None

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        relative_key: tf.Tensor,
        dropout_seed: tf.Tensor | None,
        memory: Memory | None,
    ) -> tf.Tensor:
        """Attend with all heads; see `block_sparse_relative_attention`."""
        config = self.config
        tokens = query.shape[2]
        return block_sparse_relative_attention(
            query,
            key,
            value,
            relative_key,
            self.content_bias,
            self.position_bias,
            layer_random_blocks(config, self.layer, tokens, self.fixed_random_blocks),
            block_size=config.block_size,
            dropout_rate=config.attention_dropout_rate,
            dropout_seed=dropout_seed,
            memory=memory,
        )


def block_sparse_relative_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    relative_key: tf.Tensor,
    content_bias: tf.Tensor,
    position_bias: tf.Tensor,
    random_blocks: np.ndarray,
    *,
    block_size: int,
    dropout_rate: float = 0.0,
    dropout_seed: tf.Tensor | None = None,
    memory: Memory | None = None,
) -> tf.Tensor:
    """`dense.relative_attention` to the global, window and random blocks of keys alone.

    A block that a row names twice counts once: with a pattern that names all blocks the result is
    that of `dense.relative_attention`. For the gradient it keeps its arguments, the result and one
    number per query; weights are computed again, a few blocks at a time.

    Args:
        query: `[batch, heads, tokens, key_size]`, already scaled.
        key: `[batch, heads, tokens, key_size]`.
        value: `[batch, heads, tokens, value_size]`.
        relative_key: `[heads, 2 tokens - 1, key_size]`, from position `-(tokens - 1)` on.
        content_bias: `[1, heads, 1, key_size]`, added to the query that meets the keys.
        position_bias: `[1, heads, 1, key_size]`, added to the query that meets the positions.
        random_blocks: int32 `[heads, blocks - 2, random]`; see `bigbird.block_sparse_attention`.
        block_size: Tokens per block.
        dropout_rate: Share of attention weights that is dropped.
        dropout_seed: int32 `[2]`, or none for no dropout.
        memory: Where a block that is repeated for its gradient keeps the result; by default none.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Raises:
        ValueError: If the tokens are not at least five whole blocks, or `random_blocks` does not
            fit them.

    Source: Zaheer et al. 2020, section 2; Dai et al. 2019, section 3.3; Avsec et al. 2021; Dao et
        al. 2022, section 3.1.
    """
    heads, tokens, key_size = query.shape[1:]
    blocks = num_blocks(tokens, block_size)
    random_blocks = np.asarray(random_blocks, dtype=np.int32)
    check_random_blocks(random_blocks, heads, blocks)
    pattern = _Pattern(near_blocks(random_blocks), block_size, dropout_rate, dropout_seed)
    memory = memory or Memory()

    @tf.custom_gradient
    def attention(*arguments: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list]]:
        output, log_total = memory.keep(lambda: _forward(*arguments, pattern=pattern))

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            return _gradient(arguments, output, log_total, upstream, pattern)

        return output, gradient

    return attention(
        query,
        key,
        value,
        tf.pad(relative_key, [[0, 0], [1, 0], [0, 0]]),  # row p is at position p - tokens
        tf.reshape(content_bias, [heads, key_size]),
        tf.reshape(position_bias, [heads, key_size]),
    )


class _Pattern(NamedTuple):
    """What is the same for every head and sequence.

    Attributes:
        near: int32 `[heads, rows, near]`, see `block_gather.near_blocks`.
        block_size: Tokens per block.
        dropout_rate: Share of attention weights that is dropped.
        dropout_seed: int32 `[2]`, or none.
    """

    near: np.ndarray
    block_size: int
    dropout_rate: float
    dropout_seed: tf.Tensor | None

    @property
    def num_blocks(self) -> int:
        return self.near.shape[1] + NUM_ENDS


def _forward(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    relative_key: tf.Tensor,
    content_bias: tf.Tensor,
    position_bias: tf.Tensor,
    *,
    pattern: _Pattern,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The output, and the logarithm of each query's normaliser `[batch, heads, tokens, 1]`."""
    tokens, value_size = value.shape[2:]
    size = pattern.block_size

    def attend_head(
        number: tf.Tensor, head: tf.Tensor, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        arrays = _head_arrays(
            number, head, query, key, value, relative_key, content_bias, position_bias
        )
        ends = attend(take_ends(arrays.by_content, size), _pieces_of_ends(arrays, pattern))
        rows: list[tuple[tf.Tensor, tf.Tensor]] = []
        for chunk in chunks_of(pattern.near):
            with tf.control_dependencies(rows[-1] if rows else ends):  # one after another
                pieces = _pieces_of_rows(arrays, chunk, pattern)
                rows.append(attend(take_rows(arrays.by_content, chunk, size), pieces))
        outputs, log_totals = zip(*rows, strict=True)
        return join_ends(ends[0], outputs), join_ends(ends[1], log_totals)

    output, log_total = map_heads(
        attend_head, [query, key, value], [[tokens, value_size], [tokens, 1]]
    )
    return tf.cast(output, value.dtype), log_total


def _gradient(
    arguments: Sequence[tf.Tensor],
    output: tf.Tensor,
    log_total: tf.Tensor,
    upstream: tf.Tensor,
    pattern: _Pattern,
) -> list[tf.Tensor]:
    """Gradients with respect to the tensors that `_forward` takes."""
    query, key, value, relative_key, content_bias, position_bias = arguments
    size = pattern.block_size

    def head_gradient(
        number: tf.Tensor,
        head: tf.Tensor,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *results: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        arrays = _head_arrays(
            number, head, query, key, value, relative_key, content_bias, position_bias
        )
        content_ends, [of_all] = attend_gradient(
            take_ends(arrays.by_content, size),
            _pieces_of_ends(arrays, pattern),
            *(take_ends(x, size) for x in results),
        )
        position_ends, relative_ends = end_biases_gradient(arrays, of_all.logits, size)
        content_rows: list[tf.Tensor] = []
        position_rows, of_keys, of_values, touched, of_relative = [], [], [], [], []
        for chunk in chunks_of(pattern.near):
            places = tf.constant(chunk.places)[head]
            touched.append(tf.constant(chunk.touched)[head])
            num_touched = chunk.touched.shape[1]
            with tf.control_dependencies([content_rows[-1] if content_rows else content_ends]):
                of_content, [near, ends] = attend_gradient(
                    take_rows(arrays.by_content, chunk, size),
                    _pieces_of_rows(arrays, chunk, pattern),
                    *(take_rows(x, chunk, size) for x in results),
                )
                of_position, of_relative_key = row_biases_gradient(
                    arrays, near.logits, ends.logits, chunk, size
                )
            content_rows.append(of_content)
            position_rows.append(of_position)
            of_relative.append(of_relative_key)
            of_keys.append(KeyGradient(sum_touched(near.key, places, num_touched), ends.key[0]))
            of_values.append(
                KeyGradient(sum_touched(near.value, places, num_touched), ends.value[0])
            )
        of_content = join_ends(content_ends, content_rows)
        of_position = join_ends(position_ends, position_rows)
        return (
            of_content + of_position,
            sum_key_gradients(of_all.key[0], of_keys, touched, size),
            sum_key_gradients(of_all.value[0], of_values, touched, size),
            sum_relative_key_gradients(relative_ends, of_relative, size),
            tf.reduce_sum(of_content, axis=0),
            tf.reduce_sum(of_position, axis=0),
        )

    gradients = map_heads(
        head_gradient,
        [query, key, value, output, log_total, upstream],
        [
            *(x.shape[2:] for x in (query, key, value)),
            *(x.shape[1:] for x in (relative_key, content_bias, position_bias)),
        ],
    )
    gradients[3:] = [tf.reduce_sum(g, axis=0) for g in gradients[3:]]  # over the batch
    return [tf.cast(g, x.dtype) for g, x in zip(gradients, arguments, strict=True)]


def _head_arrays(
    number: tf.Tensor,
    head: tf.Tensor,
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    *shared: tf.Tensor,
) -> HeadArrays:
    relative_key, content_bias, position_bias = (tf.cast(x[head], tf.float32) for x in shared)
    return HeadArrays(
        number, head, query + content_bias, query + position_bias, key, value, relative_key
    )


def _pieces_of_ends(arrays: HeadArrays, pattern: _Pattern) -> list[Piece]:
    """What the two ends attend to: all keys."""
    return [
        Piece(
            arrays.key[tf.newaxis],
            arrays.value[tf.newaxis],
            bias=end_biases(arrays, pattern.block_size),
            dropout_rate=pattern.dropout_rate,
            dropout_seed=_dropout_seed(arrays, pattern, 0),
        )
    ]


def _pieces_of_rows(arrays: HeadArrays, chunk: Chunk, pattern: _Pattern) -> list[Piece]:
    """What the rows of a chunk attend to: the blocks near them, and the two ends."""
    size = pattern.block_size
    near = tf.constant(chunk.near)[arrays.head]
    mask = tf.constant(_mask_of_repeats(chunk, pattern.num_blocks))[
        arrays.head
    ]  # [rows, near, 1, 1]
    near_bias, ends_bias = row_biases(arrays, chunk, mask, size)
    part = 2 * chunk.first
    return [
        Piece(
            take_near(arrays.key, near, size),
            take_near(arrays.value, near, size),
            bias=near_bias,
            dropout_rate=pattern.dropout_rate,
            dropout_seed=_dropout_seed(arrays, pattern, part + 1),
        ),
        Piece(
            take_ends(arrays.key, size)[tf.newaxis],
            take_ends(arrays.value, size)[tf.newaxis],
            bias=ends_bias,
            dropout_rate=pattern.dropout_rate,
            dropout_seed=_dropout_seed(arrays, pattern, part + 2),
        ),
    ]


def _mask_of_repeats(chunk: Chunk, num_blocks: int) -> np.ndarray:
    """`[heads, rows, near, 1, 1]`: a block counts where it is named first, the ends before all."""
    heads, rows, _ = chunk.near.shape
    ends = np.broadcast_to([0, num_blocks - 1], [heads, rows, NUM_ENDS])
    named = np.concatenate([ends, chunk.near], axis=-1)
    same = named[..., np.newaxis] == named[..., np.newaxis, :]
    is_repeat = np.tril(same, k=-1).any(axis=-1)[..., NUM_ENDS:]
    return np.where(is_repeat, MASKED, np.float32(0))[..., np.newaxis, np.newaxis]


def _dropout_seed(arrays: HeadArrays, pattern: _Pattern, part: int) -> tf.Tensor | None:
    """A piece's own seed; none without dropout."""
    return fold_in(fold_in(pattern.dropout_seed, arrays.number), part)
