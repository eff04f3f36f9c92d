"""BigBird's pattern with Enformer's own parameters: relative positions, biases, small keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
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
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.heads import map_heads
from senformer.model.attention.piecewise_softmax import Piece, attend, attend_gradient
from senformer.model.attention.random_blocks import (
    check_random_blocks,
    layer_random_blocks,
    num_blocks,
)
from senformer.model.attention.relative_shift import (
    by_key,
    position_products,
    relative_logits_gradient,
)
from senformer.model.dropout import fold_in
from senformer.model.speed.recomputation import Memory
from senformer.model.speed.xla import compiled

_NUM_ENDS = 2


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
        near: int32 `[heads, rows, near]`, see `sparse.near_blocks`.
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
        return self.near.shape[1] + _NUM_ENDS


class _Head(NamedTuple):
    """One head of one sequence.

    Attributes:
        number: Number of the pair of head and sequence, an int32 scalar.
        head: Number of the head, an int32 scalar.
        by_content: `[tokens, key_size]`, the queries that meet keys.
        by_position: `[tokens, key_size]`, the queries that meet relative keys.
        key: `[tokens, key_size]`.
        value: `[tokens, value_size]`.
        relative_key: `[2 tokens, key_size]`, row `p` at position `p - tokens`.
    """

    number: tf.Tensor
    head: tf.Tensor
    by_content: tf.Tensor
    by_position: tf.Tensor
    key: tf.Tensor
    value: tf.Tensor
    relative_key: tf.Tensor


class _RelativeKeyGradient(NamedTuple):
    """What the rows of a chunk give to the relative keys of one head.

    Attributes:
        window: `[4 * block_size, key_size]`, to those of the window.
        far: `[pairs * 2, block_size * key_size]`, to blocks of relative keys.
        far_blocks: int32 `[pairs * 2]`, to which.
    """

    window: tf.Tensor
    far: tf.Tensor
    far_blocks: tf.Tensor


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

    def of_head(
        number: tf.Tensor, head: tf.Tensor, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        one = _one_head(number, head, query, key, value, relative_key, content_bias, position_bias)
        ends = attend(take_ends(one.by_content, size), _pieces_of_ends(one, pattern))
        rows: list[tuple[tf.Tensor, tf.Tensor]] = []
        for chunk in chunks_of(pattern.near):
            with tf.control_dependencies(rows[-1] if rows else ends):  # one after another
                pieces = _pieces_of_rows(one, chunk, pattern)
                rows.append(attend(take_rows(one.by_content, chunk, size), pieces))
        outputs, log_totals = zip(*rows, strict=True)
        return join_ends(ends[0], outputs), join_ends(ends[1], log_totals)

    output, log_total = map_heads(of_head, [query, key, value], [[tokens, value_size], [tokens, 1]])
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

    def of_head(
        number: tf.Tensor,
        head: tf.Tensor,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *results: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        one = _one_head(number, head, query, key, value, relative_key, content_bias, position_bias)
        content_ends, [of_all] = attend_gradient(
            take_ends(one.by_content, size),
            _pieces_of_ends(one, pattern),
            *(take_ends(x, size) for x in results),
        )
        position_ends, relative_ends = _bias_of_ends_gradient(one, of_all.logits, size)
        content_rows: list[tf.Tensor] = []
        position_rows, of_keys, of_values, touched, of_relative = [], [], [], [], []
        for chunk in chunks_of(pattern.near):
            places = tf.constant(chunk.places)[head]
            touched.append(tf.constant(chunk.touched)[head])
            num_touched = chunk.touched.shape[1]
            with tf.control_dependencies([content_rows[-1] if content_rows else content_ends]):
                of_content, [near, ends] = attend_gradient(
                    take_rows(one.by_content, chunk, size),
                    _pieces_of_rows(one, chunk, pattern),
                    *(take_rows(x, chunk, size) for x in results),
                )
                of_position, of_relative_key = _biases_of_rows_gradient(
                    one, near.logits, ends.logits, chunk, size
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
            _sum_relative_key_gradients(relative_ends, of_relative, size),
            tf.reduce_sum(of_content, axis=0),
            tf.reduce_sum(of_position, axis=0),
        )

    gradients = map_heads(
        of_head,
        [query, key, value, output, log_total, upstream],
        [
            *(x.shape[2:] for x in (query, key, value)),
            *(x.shape[1:] for x in (relative_key, content_bias, position_bias)),
        ],
    )
    gradients[3:] = [tf.reduce_sum(g, axis=0) for g in gradients[3:]]  # over the batch
    return [tf.cast(g, x.dtype) for g, x in zip(gradients, arguments, strict=True)]


def _one_head(
    number: tf.Tensor,
    head: tf.Tensor,
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    *shared: tf.Tensor,
) -> _Head:
    relative_key, content_bias, position_bias = (tf.cast(x[head], tf.float32) for x in shared)
    return _Head(
        number, head, query + content_bias, query + position_bias, key, value, relative_key
    )


def _pieces_of_ends(one: _Head, pattern: _Pattern) -> list[Piece]:
    """What the two ends attend to: all keys."""
    return [
        Piece(
            one.key[tf.newaxis],
            one.value[tf.newaxis],
            bias=_bias_of_ends(one, pattern.block_size),
            dropout_rate=pattern.dropout_rate,
            dropout_seed=_dropout_seed(one, pattern, 0),
        )
    ]


def _pieces_of_rows(one: _Head, chunk: Chunk, pattern: _Pattern) -> list[Piece]:
    """What the rows of a chunk attend to: the blocks near them, and the two ends."""
    size = pattern.block_size
    near = tf.constant(chunk.near)[one.head]
    mask = tf.constant(_mask_of_repeats(chunk, pattern.num_blocks))[one.head]  # [rows, near, 1, 1]
    near_bias, ends_bias = _biases_of_rows(one, chunk, mask, size)
    part = 2 * chunk.first
    return [
        Piece(
            take_near(one.key, near, size),
            take_near(one.value, near, size),
            bias=near_bias,
            dropout_rate=pattern.dropout_rate,
            dropout_seed=_dropout_seed(one, pattern, part + 1),
        ),
        Piece(
            take_ends(one.key, size)[tf.newaxis],
            take_ends(one.value, size)[tf.newaxis],
            bias=ends_bias,
            dropout_rate=pattern.dropout_rate,
            dropout_seed=_dropout_seed(one, pattern, part + 2),
        ),
    ]


def _mask_of_repeats(chunk: Chunk, num_blocks: int) -> np.ndarray:
    """`[heads, rows, near, 1, 1]`: a block counts where it is named first, the ends before all."""
    heads, rows, _ = chunk.near.shape
    ends = np.broadcast_to([0, num_blocks - 1], [heads, rows, _NUM_ENDS])
    named = np.concatenate([ends, chunk.near], axis=-1)
    same = named[..., np.newaxis] == named[..., np.newaxis, :]
    is_repeat = np.tril(same, k=-1).any(axis=-1)[..., _NUM_ENDS:]
    return np.where(is_repeat, MASKED, np.float32(0))[..., np.newaxis, np.newaxis]


def _dropout_seed(one: _Head, pattern: _Pattern, part: int) -> tf.Tensor | None:
    """A piece's own seed; none without dropout."""
    return fold_in(fold_in(pattern.dropout_seed, one.number), part)


# Logits by position. A pair of blocks at one offset always meets the same two blocks of relative
# keys; the window of every row is at the same offsets and meets the same four.


def _bias_of_ends(one: _Head, size: int) -> tf.Tensor:
    """Logits by position of the two ends: `[1, tokens, 2 * block_size]`."""
    first, last = tf.split(take_ends(one.by_position, size), _NUM_ENDS)
    of_first, of_last = _relative_keys_of_ends(one, size)
    return _logits_of_ends(position_products(first, of_first), position_products(last, of_last))


def _bias_of_ends_gradient(
    one: _Head, upstream: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradients with respect to the ends' queries and to all relative keys."""
    tokens = one.key.shape[0]
    first, last = tf.split(take_ends(one.by_position, size), _NUM_ENDS)
    of_first, of_last = _relative_keys_of_ends(one, size)
    first_upstream, last_upstream = tf.split(tf.transpose(upstream[0]), _NUM_ENDS)
    first, of_first = relative_logits_gradient(first, of_first, first_upstream)
    last, of_last = relative_logits_gradient(last, of_last, last_upstream)
    padding = tokens - size
    of_relative_key = tf.pad(of_first, [[padding, 0], [0, 0]]) + tf.pad(
        of_last, [[0, padding], [0, 0]]
    )
    return tf.concat([first, last], axis=0), of_relative_key


def _relative_keys_of_ends(one: _Head, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """What the first and the last block of queries meet: `[block_size + tokens, key_size]`."""
    tokens = one.key.shape[0]
    return one.relative_key[tokens - size :], one.relative_key[: tokens + size]


def _biases_of_rows(
    one: _Head, chunk: Chunk, mask: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits by position of a chunk's rows.

    Returns:
        For the blocks near them, masked, `[rows, near * block_size, block_size]`; for the two ends,
        `[1, 2 * block_size, rows * block_size]`.
    """
    rows = chunk.near.shape[1]
    query = tf.reshape(take_rows(one.by_position, chunk, size), [rows, size, -1])
    window = position_products(query, _relative_keys_of_window(one, size))
    far = position_products(query[:, tf.newaxis], _relative_keys_of_far(one, chunk, size))
    return _logits_of_rows(window, far, mask)


def _biases_of_rows_gradient(
    one: _Head, near: tf.Tensor, ends: tf.Tensor, chunk: Chunk, size: int
) -> tuple[tf.Tensor, _RelativeKeyGradient]:
    """Gradients with respect to the rows' queries and to relative keys."""
    rows = chunk.near.shape[1]
    query = tf.reshape(take_rows(one.by_position, chunk, size), [rows, size, -1])
    window = tf.transpose(near[:, : WINDOW * size], [0, 2, 1])
    random = tf.reshape(near[:, WINDOW * size :], [rows, -1, size, size])
    ends = tf.reshape(ends, [_NUM_ENDS, size, rows, size])
    far = tf.concat([tf.transpose(ends, [2, 0, 3, 1]), tf.transpose(random, [0, 1, 3, 2])], axis=1)
    by_window, of_window = relative_logits_gradient(
        query, _relative_keys_of_window(one, size), window
    )
    by_far, of_far = relative_logits_gradient(
        query[:, tf.newaxis], _relative_keys_of_far(one, chunk, size), far
    )
    of_query = tf.reshape(by_window + tf.reduce_sum(by_far, axis=1), [rows * size, -1])
    far_blocks = tf.reshape(_far_blocks(one, chunk, size), [-1])
    of_far = tf.reshape(of_far, [far_blocks.shape[0], -1])
    return of_query, _RelativeKeyGradient(of_window, of_far, far_blocks)


def _relative_keys_of_window(one: _Head, size: int) -> tf.Tensor:
    """`[block_size + 3 * block_size, key_size]`, the same for every row."""
    tokens = one.key.shape[0]
    return one.relative_key[tokens - 2 * size : tokens + 2 * size]


def _relative_keys_of_far(one: _Head, chunk: Chunk, size: int) -> tf.Tensor:
    """`[rows, 2 + random, 2 * block_size, key_size]`, of the two ends and the random blocks."""
    blocks = _far_blocks(one, chunk, size)
    rows, num_far, _ = blocks.shape
    met = take_near(one.relative_key, tf.reshape(blocks, [rows, num_far * 2]), size)
    return tf.reshape(met, [rows, num_far, 2 * size, -1])


def _far_blocks(one: _Head, chunk: Chunk, size: int) -> tf.Tensor:
    """Blocks of relative keys that each row meets: int32 `[rows, 2 + random, 2]`."""
    heads, rows, _ = chunk.near.shape
    last = one.key.shape[0] // size - 1
    ends = np.broadcast_to([0, last], [heads, rows, _NUM_ENDS])
    key_blocks = np.concatenate([ends, chunk.near[..., WINDOW:]], axis=-1)
    query_blocks = chunk.first + 1 + np.arange(rows)
    first = key_blocks - query_blocks[:, np.newaxis] + last  # [heads, rows, 2 + random]
    return tf.constant(np.stack([first, first + 1], axis=-1), tf.int32)[one.head]


def _sum_relative_key_gradients(
    of_ends: tf.Tensor, of_chunks: Sequence[_RelativeKeyGradient], size: int
) -> tf.Tensor:
    """`[2 tokens, key_size]`, from what the queries at the ends and each chunk's rows give."""
    num_positions, key_size = of_ends.shape
    around = num_positions // 2 - 2 * size  # positions on either side of the window's
    window = tf.add_n([chunk.window for chunk in of_chunks])
    far = tf.math.unsorted_segment_sum(
        tf.concat([chunk.far for chunk in of_chunks], axis=0),
        tf.concat([chunk.far_blocks for chunk in of_chunks], axis=0),
        num_positions // size,
    )
    far = tf.reshape(far, [num_positions, key_size])
    return of_ends + far + tf.pad(window, [[around, around], [0, 0]])


# From products with relative keys, queries first, to logits, keys first: compiled, one pass over
# memory instead of five.


@compiled
def _logits_of_ends(first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """`[block_size, block_size + tokens]` each to `[1, tokens, 2 * block_size]`."""
    return tf.transpose(tf.concat([by_key(first), by_key(last)], axis=0))[tf.newaxis]


@compiled
def _logits_of_rows(
    window: tf.Tensor, far: tf.Tensor, mask: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Those of `_biases_of_rows`.

    Args:
        window: `[rows, block_size, 4 * block_size]`.
        far: `[rows, 2 + random, block_size, 2 * block_size]`, the two ends first.
        mask: `[rows, near, 1, 1]`, added to the blocks near a row.
    """
    rows, num_far, size, _ = far.shape
    window = tf.transpose(by_key(window), [0, 2, 1])  # [rows, key, query]
    far = by_key(far)  # [rows, block, query, key]
    ends = tf.transpose(far[:, :_NUM_ENDS], [1, 3, 0, 2])  # [2, key, rows, query]
    random = tf.transpose(far[:, _NUM_ENDS:], [0, 1, 3, 2])  # [rows, block, key, query]
    random = tf.reshape(random, [rows, (num_far - _NUM_ENDS) * size, size])
    near = tf.concat([window, random], axis=1)
    near = tf.reshape(tf.reshape(near, [rows, -1, size, size]) + mask, near.shape)
    return near, tf.reshape(ends, [1, _NUM_ENDS * size, rows * size])
