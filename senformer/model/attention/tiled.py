"""Enformer's own attention, exactly, in memory that grows with the tokens and not their square."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from senformer.model.attention.blockwise_softmax import softmax_gradient
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.heads import HeadGroup, map_heads
from senformer.model.attention.relative_shift import by_key, by_position
from senformer.model.compute import device
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import compiled
from senformer.model.dropout import (
    PlacedDropout,
    drop_placed,
    numbers_in_batch,
    seed_heads,
    shared_by_examples,
)

_CPU_ROWS_PER_TILE = 256  # fewer, and sums over the tiles take longer than the tiles
_ROW_MULTIPLE = 16  # so that slices of rows start where the processor's vectors do
GPU_TILE_BYTES = 400e6
"""What a tile of all heads may take on a GPU for each sequence."""
_ARRAYS_PER_TILE = 6
"""Logits by key and by twice as many positions, weights, gradients: of rows x tokens, about."""


TileDropout = Callable[[HeadGroup, tf.Tensor], PlacedDropout | None]


class TiledAttention(DenseAttention):
    """The function and the variables of `DenseAttention`, a tile of the weights at a time.

    Source: Avsec et al. 2021; Dao et al. 2022 (FlashAttention).
    """

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        relative_key: tf.Tensor,
        dropout_seeds: tf.Tensor | None,
        residuals: Residuals | None,
    ) -> tf.Tensor:
        """Attend with all heads; see `tiled_relative_attention`."""
        return tiled_relative_attention(
            query,
            key,
            value,
            relative_key,
            self.content_bias,
            self.position_bias,
            dropout_rate=self.config.attention_dropout_rate,
            dropout_seed=None if dropout_seeds is None else dropout_seeds[0],
            residuals=residuals,
        )


def tiled_relative_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    relative_key: tf.Tensor,
    content_bias: tf.Tensor,
    position_bias: tf.Tensor,
    *,
    dropout_rate: float = 0.0,
    dropout_seed: tf.Tensor | None = None,
    residuals: Residuals | None = None,
    rows_per_tile: int | None = None,
) -> tf.Tensor:
    """What `dense.relative_attention` computes, without all weights in memory at once.

    A tile is some neighbouring queries of one head, or of all, against all keys. For the gradient
    it keeps its arguments, the result and one number per query; weights are computed again, tile by
    tile, and what dropout took is drawn again from the seed. The seed takes other weights than it
    takes from `dense.relative_attention`.

    Args:
        query: `[batch, heads, tokens, key_size]`, already scaled.
        key: `[batch, heads, tokens, key_size]`.
        value: `[batch, heads, tokens, value_size]`.
        relative_key: `[heads, 2 tokens - 1, key_size]`, from position `-(tokens - 1)` on.
        content_bias: `[1, heads, 1, key_size]`, added to the query that meets the keys.
        position_bias: `[1, heads, 1, key_size]`, added to the query that meets the positions.
        dropout_rate: Share of attention weights that is dropped.
        dropout_seed: int32 `[2]`, or `[3]` for a part of a batch, or none for no dropout.
        residuals: Keeps the result for a recomputed block.
        rows_per_tile: Queries of a tile, a multiple of 16; by default about 256 on a CPU, and on a
            GPU as many as its memory suits.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Dai et al. 2019, section 3.3; Dao et al. 2022, section 3.1; Rabe and Staats 2021.
    """
    heads, tokens, key_size = query.shape[1:]
    rows = rows_per_tile or _default_rows(heads, tokens)
    padding = -tokens % rows  # queries of zero, so that all tiles are alike
    residuals = residuals or Residuals()

    def tile_dropout(group: HeadGroup, tile: tf.Tensor) -> PlacedDropout | None:
        if dropout_seed is None or dropout_rate == 0:
            return None
        numbers = numbers_in_batch(group.numbers, heads, dropout_seed)
        return PlacedDropout(
            dropout_rate,
            seed_heads(shared_by_examples(dropout_seed), numbers),
            set_places=(tile * rows * tokens)[tf.newaxis],
            row_places=tf.range(rows) * tokens,
        )

    @tf.custom_gradient
    def attention(*arguments: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list]]:
        output, log_total = residuals.keep(
            lambda: _forward(*arguments, rows=rows, tile_dropout=tile_dropout)
        )

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            return _gradient(
                arguments, output, log_total, upstream, rows=rows, tile_dropout=tile_dropout
            )

        return output, gradient

    output = attention(
        tf.pad(query, [[0, 0], [0, 0], [0, padding], [0, 0]]) if padding else query,
        key,
        value,
        tf.pad(relative_key, [[0, 0], [padding + 1, 0], [0, 0]]),
        tf.reshape(content_bias, [heads, key_size]),
        tf.reshape(position_bias, [heads, key_size]),
    )
    return tf.slice(output, [0, 0, 0, 0], [-1, -1, tokens, -1]) if padding else output


def _forward(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    relative_key: tf.Tensor,
    content_bias: tf.Tensor,
    position_bias: tf.Tensor,
    *,
    rows: int,
    tile_dropout: TileDropout,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The output, and the logarithm of each query's normaliser `[batch, heads, tokens, 1]`."""
    num_queries, value_size = query.shape[2], value.shape[3]
    num_tiles = num_queries // rows

    def attend_heads(
        group: HeadGroup, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        shared = _take_heads(group, relative_key, content_bias, position_bias)

        def attend_tile(tile: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            for_content, for_position, relative = _tile(tile, rows, query, *shared)
            weights, largest, total = _softmax(
                tf.matmul(for_content, key, transpose_b=True),
                tf.matmul(for_position, relative, transpose_b=True),
                tile_dropout(group, tile),
            )
            return tf.matmul(weights, value) / total, largest + tf.math.log(total)

        results = tf.map_fn(
            attend_tile,
            tf.range(num_tiles),
            fn_output_signature=(
                tf.TensorSpec([group.size, rows, value_size]),
                tf.TensorSpec([group.size, rows, 1]),
            ),
            parallel_iterations=1,
        )
        return tuple(_join_tiles(x) for x in results)

    output, log_total = map_heads(
        attend_heads, [query, key, value], [[num_queries, value_size], [num_queries, 1]]
    )
    return tf.cast(output, value.dtype), log_total


class _Sums(NamedTuple):
    """What the tiles add up.

    Attributes:
        key: `[group, tokens, key_size]`.
        value: `[group, tokens, value_size]`.
        relative_key: `[group, tokens, key_size]`, those rows that the next tile meets too.
        content_bias: `[group, key_size]`.
        position_bias: `[group, key_size]`.
    """

    key: tf.Tensor
    value: tf.Tensor
    relative_key: tf.Tensor
    content_bias: tf.Tensor
    position_bias: tf.Tensor


def _gradient(
    arguments: Sequence[tf.Tensor],
    output: tf.Tensor,
    log_total: tf.Tensor,
    upstream: tf.Tensor,
    *,
    rows: int,
    tile_dropout: TileDropout,
) -> list[tf.Tensor]:
    """Gradients with respect to the arguments of `_forward`."""
    query, key, value, relative_key, content_bias, position_bias = arguments
    num_queries, key_size = query.shape[2:]
    tokens, value_size = value.shape[2:]
    num_tiles = num_queries // rows

    def gradients_of_heads(
        group: HeadGroup,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *results: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        shared = _take_heads(group, relative_key, content_bias, position_bias)

        def add_tile(
            tile: tf.Tensor,
            query_rows: tf.TensorArray,
            relative_rows: tf.TensorArray,
            sums: _Sums,
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.TensorArray, _Sums]:
            for_content, for_position, relative = _tile(tile, rows, query, *shared)
            output, log_total, upstream = (_rows(x, tile, rows) for x in results)
            weights, logits_gradient = _softmax_gradient(
                tf.matmul(for_content, key, transpose_b=True),
                tf.matmul(for_position, relative, transpose_b=True),
                tf.matmul(upstream, value, transpose_b=True),
                log_total,
                tf.reduce_sum(output * upstream, axis=-1, keepdims=True),
                tile_dropout(group, tile),
            )
            content = tf.matmul(logits_gradient, key)
            products_gradient = _by_position(logits_gradient)
            position = products_gradient @ relative
            relative = tf.matmul(products_gradient, for_position, transpose_a=True)
            # The next tile meets relative keys that start `rows` earlier: the last are done.
            relative += tf.pad(sums.relative_key, [[0, 0], [rows, 0], [0, 0]])
            sums = _Sums(
                key=sums.key + tf.matmul(logits_gradient, for_content, transpose_a=True),
                value=sums.value + tf.matmul(weights, upstream, transpose_a=True),
                relative_key=relative[:, :tokens],
                content_bias=sums.content_bias + tf.reduce_sum(content, axis=1),
                position_bias=sums.position_bias + tf.reduce_sum(position, axis=1),
            )
            return (
                tile + 1,
                query_rows.write(tile, content + position),
                relative_rows.write(num_tiles - 1 - tile, relative[:, tokens:]),
                sums,
            )

        row_arrays = [
            tf.TensorArray(tf.float32, num_tiles, element_shape=[group.size, rows, key_size])
            for _ in range(2)
        ]
        nothing = _Sums(
            *(
                tf.zeros([group.size, *shape])
                for shape in (
                    [tokens, key_size],
                    [tokens, value_size],
                    [tokens, key_size],
                    [key_size],
                    [key_size],
                )
            )
        )
        _, query_rows, relative_rows, sums = tf.while_loop(
            lambda tile, *_: tile < num_tiles,
            add_tile,
            (tf.constant(0), *row_arrays, nothing),
            parallel_iterations=1,
            maximum_iterations=num_tiles,
        )
        return (
            _join_tiles(query_rows.stack()),
            sums.key,
            sums.value,
            tf.concat([sums.relative_key, _join_tiles(relative_rows.stack())], axis=1),
            sums.content_bias,
            sums.position_bias,
        )

    gradients = map_heads(
        gradients_of_heads,
        [query, key, value, output, log_total, upstream],
        [
            *(x.shape[2:] for x in (query, key, value)),
            *(x.shape[1:] for x in (relative_key, content_bias, position_bias)),
        ],
    )
    gradients[3:] = [tf.reduce_sum(g, axis=0) for g in gradients[3:]]  # over the batch
    return [tf.cast(g, x.dtype) for g, x in zip(gradients, arguments, strict=True)]


def _take_heads(group: HeadGroup, *arrays: tf.Tensor) -> list[tf.Tensor]:
    """Arrays that all sequences share, for each head of a group."""
    return [tf.cast(group.take(x), tf.float32) for x in arrays]


def _join_tiles(x: tf.Tensor) -> tf.Tensor:
    """`[tiles, group, rows, size]` to `[group, tokens, size]`."""
    tiles, group, rows, size = x.shape
    return tf.reshape(tf.transpose(x, [1, 0, 2, 3]), [group, tiles * rows, size])


def _tile(
    tile: tf.Tensor,
    rows: int,
    query: tf.Tensor,
    relative_key: tf.Tensor,
    content_bias: tf.Tensor,
    position_bias: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A tile's queries for keys and for positions, and the relative keys that it meets.

    The queries are `[group, rows, size]`, the relative keys `[group, rows + tokens, size]`.
    """
    num_queries, num_relative = query.shape[1], relative_key.shape[1]
    tokens = num_relative - num_queries
    first = num_queries - rows * (tile + 1)
    met = tf.slice(relative_key, [0, first, 0], [-1, rows + tokens, -1])
    met = tf.ensure_shape(met, [relative_key.shape[0], rows + tokens, relative_key.shape[2]])
    queries = _rows(query, tile, rows)
    return queries + content_bias[:, tf.newaxis], queries + position_bias[:, tf.newaxis], met


def _rows(x: tf.Tensor, tile: tf.Tensor, rows: int) -> tf.Tensor:
    return tf.slice(x, [0, tile * rows, 0], [x.shape[0], rows, x.shape[2]])


# Compiled: a few passes over memory instead of one for each operation.


_by_position = compiled(by_position)


@compiled
def _softmax(
    by_content: tf.Tensor, by_position: tf.Tensor, dropout: PlacedDropout | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Weights before they are normalised, each query's largest logit and its sum of weights.

    Args:
        by_content: `[group, rows, tokens]`.
        by_position: `[group, rows, rows + tokens]`.
        dropout: Of the weights, or none.
    """
    logits = by_content + by_key(by_position)
    largest = tf.reduce_max(logits, axis=-1, keepdims=True)
    weights = tf.exp(logits - largest)
    total = tf.reduce_sum(weights, axis=-1, keepdims=True)
    return drop_placed(weights, dropout), largest, total


@compiled
def _softmax_gradient(
    by_content: tf.Tensor,
    by_position: tf.Tensor,
    upstream: tf.Tensor,
    log_total: tf.Tensor,
    correction: tf.Tensor,
    dropout: PlacedDropout | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`blockwise_softmax.softmax_gradient` of the logits of `_softmax`."""
    logits = by_content + by_key(by_position)
    return softmax_gradient(logits, upstream, log_total, correction, dropout)


def _default_rows(heads: int, tokens: int) -> int:
    """Rows of equal tiles, near what the device computes fastest."""
    most = _CPU_ROWS_PER_TILE
    if device.is_gpu():
        bytes_per_row = heads * tokens * _ARRAYS_PER_TILE * tf.float32.size
        most = max(_ROW_MULTIPLE, int(GPU_TILE_BYTES // bytes_per_row))
    rows = -(-tokens // -(-tokens // most))
    return -(-rows // _ROW_MULTIPLE) * _ROW_MULTIPLE
