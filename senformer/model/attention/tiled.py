"""Attend exactly as Enformer does, in memory that grows linearly with the number of tokens."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from senformer.model.attention.blockwise_softmax import softmax_gradient
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.heads import (
    AttentionInputs,
    HeadGroup,
    HeadResults,
    WeightDropout,
    attend_by_head,
)
from senformer.model.attention.relative_logits import shift_to_keys, shift_to_positions
from senformer.model.compute import device
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import compiled
from senformer.model.dropout import (
    PlacedDropout,
    drop_placed,
    seed_heads,
)

GPU_TILE_BYTES = 400e6
"""Memory of one tile of all heads on a GPU, for each sequence."""

_CPU_ROWS_PER_TILE = 256  # with fewer, sums over the tiles take longer than the tiles
_ROW_MULTIPLE = 16  # slices of rows then start at the boundaries of the processor's vectors
_ARRAYS_PER_TILE = 6  # arrays of rows x tokens: logits by key, twice as many by position, gradients


class TiledAttention(DenseAttention):
    """Compute `DenseAttention` with the same variables, one tile of the weights at a time.

    Source: Avsec et al. 2021; Dao et al. 2022 (FlashAttention).
    """

    def attend(
        self, inputs: AttentionInputs, dropout: WeightDropout | None, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend to all keys, tile by tile."""
        return tiled_attention(inputs, dropout, residuals)


def tiled_attention(
    inputs: AttentionInputs,
    dropout: WeightDropout | None = None,
    residuals: Residuals | None = None,
    *,
    rows_per_tile: int | None = None,
) -> tf.Tensor:
    """Compute `dense.dense_attention` without holding all weights in memory.

    A tile is the weights between some neighbouring queries and all keys, of one head or of all. The
    gradient needs the inputs, the output and one number per query; it recomputes the weights and
    their dropout tile by tile. A seed drops other weights than in `dense.dense_attention`.

    Args:
        inputs: Queries, already scaled, keys, values and relative positions.
        dropout: Dropout of the weights, by the first seed.
        residuals: Keeps the result for a recomputed block.
        rows_per_tile: Queries of a tile, a multiple of 16. The default is about 256 on a CPU, and
            on a GPU as many as fit `GPU_TILE_BYTES`.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Dai et al. 2019, section 3.3; Dao et al. 2022, section 3.1; Rabe and Staats 2021.
    """
    heads, tokens = inputs.query.shape[1:3]
    rows = rows_per_tile or _default_rows(heads, tokens)
    padding = -tokens % rows  # queries of zero make all tiles equal
    relative_key = tf.pad(inputs.relative_key, [[0, 0], [padding + 1, 0], [0, 0]])
    inputs = inputs._replace(relative_key=relative_key)
    if padding:
        query = tf.pad(inputs.query, [[0, 0], [0, 0], [0, padding], [0, 0]])
        inputs = inputs._replace(query=query)
    kernel = _Kernel(rows, (tokens + padding) // rows, dropout)
    output = attend_by_head(kernel.attend, kernel.gradient, inputs, residuals)
    return tf.slice(output, [0, 0, 0, 0], [-1, -1, tokens, -1]) if padding else output


class _Tile(NamedTuple):
    """Hold the tensors of one tile that are not shared by all tiles.

    Attributes:
        content_query: `[group, rows, key_size]`, with the content bias.
        position_query: `[group, rows, key_size]`, with the position bias.
        relative_key: `[group, rows + tokens, key_size]`, those between the tile and all keys.
        dropout: Dropout of the tile's weights, or None.
    """

    content_query: tf.Tensor
    position_query: tf.Tensor
    relative_key: tf.Tensor
    dropout: PlacedDropout | None


class _Kernel(NamedTuple):
    """Attend with the heads of a group, tile by tile, and compute the gradient.

    Attributes:
        rows: Queries of a tile.
        num_tiles: Tiles of a head.
        dropout: Dropout of the weights, or None.
    """

    rows: int
    num_tiles: int
    dropout: WeightDropout | None

    def attend(self, group: HeadGroup, inputs: AttentionInputs) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute a group's output and the logarithm of each query's normaliser."""

        def attend_tile(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            tile = self._take_tile(group, inputs, number)
            weights, largest, total = _softmax(
                tf.matmul(tile.content_query, inputs.key, transpose_b=True),
                tf.matmul(tile.position_query, tile.relative_key, transpose_b=True),
                tile.dropout,
            )
            return tf.matmul(weights, inputs.value) / total, largest + tf.math.log(total)

        results = tf.map_fn(
            attend_tile,
            tf.range(self.num_tiles),
            fn_output_signature=(
                tf.TensorSpec([group.size, self.rows, inputs.value.shape[2]]),
                tf.TensorSpec([group.size, self.rows, 1]),
            ),
            parallel_iterations=1,
        )
        output, log_total = map(_join_tiles, results)
        return output, log_total

    def gradient(
        self, group: HeadGroup, inputs: AttentionInputs, results: HeadResults
    ) -> AttentionInputs:
        """Compute the gradients with respect to a group's inputs.

        Neighbouring tiles share most relative keys: the loop carries the sums of those that the
        next tile needs, and stores the others, which are complete.
        """
        tokens, key_size = inputs.key.shape[1:]

        def add_tile(
            number: tf.Tensor,
            queries: tf.TensorArray,
            relative_keys: tf.TensorArray,
            sums: AttentionInputs,
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.TensorArray, AttentionInputs]:
            found = self._tile_gradient(group, inputs, results, number)
            # The relative keys of the next tile start `rows` earlier.
            carried = tf.pad(sums.relative_key, [[0, 0], [self.rows, 0], [0, 0]])
            relative_key = found.relative_key + carried
            sums = sums._replace(
                key=sums.key + found.key,
                value=sums.value + found.value,
                relative_key=relative_key[:, :tokens],
                content_bias=sums.content_bias + found.content_bias,
                position_bias=sums.position_bias + found.position_bias,
            )
            return (
                number + 1,
                queries.write(number, found.query),
                relative_keys.write(self.num_tiles - 1 - number, relative_key[:, tokens:]),
                sums,
            )

        shape = [group.size, self.rows, key_size]
        stored = [tf.TensorArray(tf.float32, self.num_tiles, element_shape=shape) for _ in range(2)]
        # Queries are stored by tile, not summed; as many relative keys are carried as keys.
        summed = (inputs.key, inputs.value, inputs.key, inputs.content_bias, inputs.position_bias)
        zeros = AttentionInputs(tf.zeros([]), *(tf.zeros(x.shape) for x in summed))
        _, queries, relative_keys, sums = tf.while_loop(
            lambda number, *_: number < self.num_tiles,
            add_tile,
            (tf.constant(0), *stored, zeros),
            parallel_iterations=1,
            maximum_iterations=self.num_tiles,
        )
        relative_key = [sums.relative_key, _join_tiles(relative_keys.stack())]
        return sums._replace(
            query=_join_tiles(queries.stack()), relative_key=tf.concat(relative_key, axis=1)
        )

    def _take_tile(self, group: HeadGroup, inputs: AttentionInputs, number: tf.Tensor) -> _Tile:
        """Take a tile's queries, with their biases, and the relative keys that it needs."""
        rows, tokens = self.rows, inputs.key.shape[1]
        query = _take_rows(inputs.query, number, rows)
        first = inputs.query.shape[1] - rows * (number + 1)
        relative_key = tf.slice(inputs.relative_key, [0, first, 0], [-1, rows + tokens, -1])
        dropout = None
        if self.dropout is not None:
            rate, seeds = self.dropout
            dropout = PlacedDropout(
                rate,
                seed_heads(seeds[0], group.numbers),
                set_places=(number * rows * tokens)[tf.newaxis],
                row_places=tf.range(rows) * tokens,
            )
        return _Tile(
            query + inputs.content_bias[:, tf.newaxis],
            query + inputs.position_bias[:, tf.newaxis],
            tf.ensure_shape(relative_key, [group.size, rows + tokens, query.shape[2]]),
            dropout,
        )

    def _tile_gradient(
        self, group: HeadGroup, inputs: AttentionInputs, results: HeadResults, number: tf.Tensor
    ) -> AttentionInputs:
        """Compute what a tile adds: gradients of its queries and relative keys, and of the rest."""
        tile = self._take_tile(group, inputs, number)
        output, log_total, upstream = (_take_rows(x, number, self.rows) for x in results)
        weights, logits_gradient = _softmax_gradient(
            tf.matmul(tile.content_query, inputs.key, transpose_b=True),
            tf.matmul(tile.position_query, tile.relative_key, transpose_b=True),
            tf.matmul(upstream, inputs.value, transpose_b=True),
            log_total,
            tf.reduce_sum(output * upstream, axis=-1, keepdims=True),
            tile.dropout,
        )
        content = tf.matmul(logits_gradient, inputs.key)
        products_gradient = _shift_to_positions(logits_gradient)
        position = products_gradient @ tile.relative_key
        return AttentionInputs(
            query=content + position,
            key=tf.matmul(logits_gradient, tile.content_query, transpose_a=True),
            value=tf.matmul(weights, upstream, transpose_a=True),
            relative_key=tf.matmul(products_gradient, tile.position_query, transpose_a=True),
            content_bias=tf.reduce_sum(content, axis=1),
            position_bias=tf.reduce_sum(position, axis=1),
        )


def _default_rows(heads: int, tokens: int) -> int:
    """Return the rows of equal tiles that are about the fastest on the device."""
    most = _CPU_ROWS_PER_TILE
    if device.is_gpu():
        bytes_per_row = heads * tokens * _ARRAYS_PER_TILE * tf.float32.size
        most = max(_ROW_MULTIPLE, int(GPU_TILE_BYTES // bytes_per_row))
    rows = -(-tokens // -(-tokens // most))
    return -(-rows // _ROW_MULTIPLE) * _ROW_MULTIPLE


def _take_rows(x: tf.Tensor, tile: tf.Tensor, rows: int) -> tf.Tensor:
    """Take a tile's rows of `[group, queries, size]`."""
    return tf.slice(x, [0, tile * rows, 0], [x.shape[0], rows, x.shape[2]])


def _join_tiles(x: tf.Tensor) -> tf.Tensor:
    """Join `[tiles, group, rows, size]` to `[group, tiles * rows, size]`."""
    tiles, group, rows, size = x.shape
    return tf.reshape(tf.transpose(x, [1, 0, 2, 3]), [group, tiles * rows, size])


# Compiled: a few passes over memory instead of one for each operation.

_shift_to_positions = compiled(shift_to_positions)


@compiled
def _softmax(
    content: tf.Tensor, position: tf.Tensor, dropout: PlacedDropout | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Compute unnormalised weights, each query's largest logit and its sum of weights.

    Args:
        content: Products with the keys, `[group, rows, tokens]`.
        position: Products with the relative keys, `[group, rows, rows + tokens]`.
        dropout: Dropout of the weights, or None.
    """
    logits = content + shift_to_keys(position)
    largest = tf.reduce_max(logits, axis=-1, keepdims=True)
    weights = tf.exp(logits - largest)
    total = tf.reduce_sum(weights, axis=-1, keepdims=True)
    return drop_placed(weights, dropout), largest, total


@compiled
def _softmax_gradient(
    content: tf.Tensor,
    position: tf.Tensor,
    upstream: tf.Tensor,
    log_total: tf.Tensor,
    correction: tf.Tensor,
    dropout: PlacedDropout | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute `softmax_gradient` of the logits of `_softmax`."""
    logits = content + shift_to_keys(position)
    return softmax_gradient(logits, upstream, log_total, correction, dropout)
