"""Reformer's attention: each token attends to those that a hash puts near it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import sonnet as snt
import tensorflow as tf

from senformer.attention_kinds import attention_kind
from senformer.config import ModelConfig
from senformer.model import ops
from senformer.model.attention.blockwise_softmax import Keys, attend, attend_gradient
from senformer.model.attention.dense import input_projection, output_projection
from senformer.model.attention.heads import HeadGroup, map_heads, merge_heads, split_heads
from senformer.model.attention.random_blocks import num_blocks
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import compiled, hold_back

NUM_ROUNDS = 8
"""Hashes of a layer, of which the paper finds that they come near full attention."""

_MOST_BUCKETS_OF_ONE_HASH = 128  # above, the product of two hashes: cost linear in the tokens
_SELF = np.float32(-5e4)


class ReformerAttention(snt.Module):
    """Queries that are their own keys, sorted by hash, each attending to two chunks.

    Query, value and output have the names and shapes of `DenseAttention`, so these weights of a
    trained Enformer can be its start; Enformer's key, its biases and its positions have no place.
    The hashes of a layer are drawn from the model's seed, as random blocks are, and stay. It has no
    dropout.

    Source: Kitaev et al. 2020; google/trax, `layers/research/efficient_attention.py`;
        lucidrains/reformer-pytorch, `reformer_pytorch.py`.
    """

    def __init__(
        self, config: ModelConfig, layer: int, generator: tf.random.Generator, name: str
    ) -> None:
        super().__init__(name=name)
        self.config = config
        self.seed = config.random_block_seed + layer
        channels = config.channels
        key_channels = config.num_heads * config.key_size
        self.query = input_projection(generator, channels, key_channels, "query")
        self.value = input_projection(generator, channels, channels, "value")
        self.output = output_projection(channels)

    def position_features(self, tokens: int) -> None:
        """None: it knows no positions."""
        return None  # AutoGraph wants a statement

    def __call__(
        self,
        x: tf.Tensor,
        position_features: None = None,
        dropout_seeds: tf.Tensor | None = None,
        residuals: Residuals | None = None,
    ) -> tf.Tensor:
        """Attend; `x` and the result are `[batch, tokens, channels]`. It has no dropout."""
        del position_features, dropout_seeds
        config = self.config
        minimum_blocks = attention_kind(config.attention).minimum_blocks
        rotations = random_rotations(
            num_blocks(x.shape[1], config.block_size, minimum_blocks),
            config.key_size,
            num_rounds=NUM_ROUNDS,
            seed=self.seed,
        )
        for_query, for_value = ops.for_readers(x, 2)
        attended = hashed_attention(
            split_heads(self.query(for_query), config.num_heads),
            split_heads(self.value(for_value), config.num_heads),
            rotations,
            chunk_size=config.block_size,
            residuals=residuals,
        )
        return self.output(merge_heads(attended))


def hashed_attention(
    query: tf.Tensor,
    value: tf.Tensor,
    rotations: np.ndarray,
    *,
    chunk_size: int,
    residuals: Residuals | None = None,
) -> tf.Tensor:
    """Attention of each query to those that hashes sort near it, with queries as keys.

    In each round all queries are sorted by bucket and cut into chunks. A chunk attends to itself
    and to the chunk before it, the first to the last, as in the published codes; so it reaches into
    a bucket that a cut divides, and whether two queries are of one bucket is not asked. A query's
    logit with itself is lowered so far that it counts only where there is no other. The rounds are
    one softmax: a key that several rounds find counts several times, as the published codes have it
    by default.

    For the gradient it keeps its arguments, the result, a number per query and each round's order.

    Args:
        query: `[batch, heads, tokens, size]`; keys are queries of norm one, and nothing is scaled.
        value: `[batch, heads, tokens, value_size]`.
        rotations: From `random_rotations`.
        chunk_size: Tokens per chunk.
        residuals: Keeps the result and the orders for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Raises:
        ValueError: If the tokens are not at least two whole chunks.

    Source: Kitaev et al. 2020, section 2; the logits' scale, google/trax.
    """
    num_blocks(query.shape[2], chunk_size, minimum_blocks=2)
    residuals = residuals or Residuals()

    @tf.custom_gradient
    def attention(
        query: tf.Tensor, key: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        [orders] = residuals.keep(lambda: [orders_by_hash(query, rotations)])
        output, log_total = residuals.keep(lambda: _forward(query, key, value, orders, chunk_size))

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            return _gradient(query, key, value, output, log_total, upstream, orders, chunk_size)

        return output, gradient

    return attention(query, tf.math.l2_normalize(tf.cast(query, tf.float32), axis=-1), value)


def random_rotations(chunks: int, size: int, *, num_rounds: int, seed: int) -> np.ndarray:
    """Draw the directions whose nearest, or whose opposite, is a query's bucket.

    There are as many buckets as chunks, or nearly: a hash has an even number of them. Many are the
    pairs of the buckets of two hashes, or the directions would grow with the tokens.

    Args:
        chunks: Chunks of the sequence.
        size: Of a query.
        num_rounds: Rounds, each with its own.
        seed: Seed of the draw. All heads share it.

    Returns:
        float32 `[rounds, hashes, size, directions]`; a hash has two buckets for each direction.

    Source: Andoni et al. 2015; google/trax, `hash_vecs`.
    """
    hashes = 1 if chunks <= _MOST_BUCKETS_OF_ONE_HASH else 2
    directions = max(1, round(chunks ** (1 / hashes) / 2))
    generator = np.random.RandomState(seed)
    return generator.normal(size=[num_rounds, hashes, size, directions]).astype(np.float32)


def orders_by_hash(query: tf.Tensor, rotations: np.ndarray) -> tf.Tensor:
    """Sort queries by bucket, those of one bucket as they stand.

    Args:
        query: `[batch, heads, tokens, size]`, of any norm: a bucket is a direction.
        rotations: From `random_rotations`.

    Returns:
        int32 `[batch, heads, rounds, tokens]`: which token comes where.
    """
    query = tf.cast(query, tf.float32)
    orders: list[tf.Tensor] = []
    for hashes in rotations:
        if orders:  # one after another, or the projections of all would be in memory at once
            [query] = hold_back([query], until=orders[-1:])
        bucket: tf.Tensor | int = 0
        for directions in hashes:
            near = tf.matmul(query, tf.constant(directions))
            both = tf.concat([near, -near], axis=-1)
            bucket = bucket * both.shape[-1] + tf.argmax(both, axis=-1, output_type=tf.int32)
        orders.append(tf.argsort(bucket, axis=-1, stable=True))
    return tf.stack(orders, axis=2)


def _forward(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, orders: tf.Tensor, chunk_size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The output, and the logarithm of each query's normaliser `[batch, heads, tokens, 1]`."""
    tokens, value_size = value.shape[2:]

    def attend_heads(
        group: HeadGroup,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        orders: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        joined: Sequence[tf.Tensor] = ()
        for order in tf.unstack(orders, axis=1):
            if joined:
                [query, key, value] = hold_back([query, key, value], until=joined)
            results = attend(
                _chunks(_take(query, order), chunk_size),
                _keys(_take(key, order), _take(value, order), chunk_size),
            )
            back = _inverse(order)
            found = [_take(_joined(x, group.size), back) for x in results]
            joined = _join_rounds(*joined, *found) if joined else found
        return tuple(joined)

    output, log_total = map_heads(
        attend_heads, [query, key, value, orders], [[tokens, value_size], [tokens, 1]]
    )
    return tf.cast(output, value.dtype), log_total


def _gradient(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    output: tf.Tensor,
    log_total: tf.Tensor,
    upstream: tf.Tensor,
    orders: tf.Tensor,
    chunk_size: int,
) -> list[tf.Tensor]:
    """Gradients with respect to query, key and value.

    With the output and the normaliser of all rounds, each round's gradient is its part of the sum.
    """

    def gradients_of_heads(
        group: HeadGroup, *arrays_and_orders: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        *arrays, orders = arrays_and_orders
        sums: list[tf.Tensor] = []
        for order in tf.unstack(orders, axis=1):
            if sums:
                arrays = hold_back(arrays, until=sums)
            query, key, value, *results = (_take(x, order) for x in arrays)
            found = attend_gradient(
                _chunks(query, chunk_size),
                _keys(key, value, chunk_size),
                *(_chunks(x, chunk_size) for x in results),
            )
            sorted_gradients = [
                _joined(found.query, group.size),
                _without_look_back(found.key, group.size),
                _without_look_back(found.value, group.size),
            ]
            back = _inverse(order)
            more = [_take(x, back) for x in sorted_gradients]
            sums = [a + b for a, b in zip(sums, more, strict=True)] if sums else more
        return tuple(sums)

    arguments = [query, key, value]
    gradients = map_heads(
        gradients_of_heads,
        [*arguments, output, log_total, upstream, orders],
        [x.shape[2:] for x in arguments],
    )
    return [tf.cast(g, x.dtype) for g, x in zip(gradients, arguments, strict=True)]


def _take(x: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """`[group, tokens, size]` in the order of the places `[group, tokens]`."""
    return tf.gather(x, order, batch_dims=1)


def _inverse(order: tf.Tensor) -> tf.Tensor:
    """The order that undoes another, so that a gather does it and no scatter."""
    return tf.argsort(order, axis=-1)


def _chunks(x: tf.Tensor, chunk_size: int) -> tf.Tensor:
    """`[group, tokens, size]` to `[group * chunks, chunk_size, size]`."""
    return tf.reshape(x, [-1, chunk_size, x.shape[2]])


def _joined(x: tf.Tensor, group_size: int) -> tf.Tensor:
    """Undo `_chunks`."""
    return tf.reshape(x, [group_size, -1, x.shape[2]])


def _keys(key: tf.Tensor, value: tf.Tensor, chunk_size: int) -> Keys:
    """What each chunk attends to: the chunk before it, and itself but for each query's own key."""
    own = np.pad(np.eye(chunk_size, dtype=np.float32), [[chunk_size, 0], [0, 0]]) * _SELF
    return Keys(
        _with_look_back(key, chunk_size), _with_look_back(value, chunk_size), bias=tf.constant(own)
    )


def _with_look_back(x: tf.Tensor, chunk_size: int) -> tf.Tensor:
    """`[group, tokens, size]` to `[group * chunks, 2 * chunk_size, size]`."""
    group, tokens, size = x.shape
    chunks = tf.reshape(x, [group, tokens // chunk_size, chunk_size, size])
    both = tf.concat([tf.roll(chunks, 1, axis=1), chunks], axis=2)
    return tf.reshape(both, [-1, 2 * chunk_size, size])


def _without_look_back(x: tf.Tensor, group_size: int) -> tf.Tensor:
    """The gradient of `_with_look_back`."""
    _, two_chunks, size = x.shape
    both = tf.reshape(x, [group_size, -1, 2, two_chunks // 2, size])
    chunks = tf.roll(both[:, :, 0], -1, axis=1) + both[:, :, 1]
    return tf.reshape(chunks, [group_size, -1, size])


@compiled  # one pass over memory
def _join_rounds(
    output: tf.Tensor, log_total: tf.Tensor, more: tf.Tensor, more_log_total: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Two softmaxes over different keys as one over all of them."""
    largest = tf.maximum(log_total, more_log_total)
    joined = largest + tf.math.log(tf.exp(log_total - largest) + tf.exp(more_log_total - largest))
    return output * tf.exp(log_total - joined) + more * tf.exp(more_log_total - joined), joined
