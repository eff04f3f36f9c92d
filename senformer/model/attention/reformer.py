"""Attend as Reformer does: each token attends to tokens that a hash sorts near it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from senformer.attention_kinds import attention_kind
from senformer.config import ModelConfig
from senformer.model import ops
from senformer.model.attention.blockwise_softmax import Keys, attend, attend_gradient
from senformer.model.attention.heads import (
    AttentionInputs,
    HeadGroup,
    HeadResults,
    WeightDropout,
    attend_by_head,
    split_heads,
)
from senformer.model.attention.layer import AttentionLayer, input_projection, output_projection
from senformer.model.attention.random_blocks import num_blocks
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import compiled, hold_back

NUM_ROUNDS = 8
"""Hash rounds of a layer; with 8 the paper finds results close to full attention."""

_MOST_BUCKETS_OF_ONE_HASH = 128  # above, the product of two hashes: cost linear in the tokens
_SELF_MASK = np.float32(-5e4)


class ReformerAttention(AttentionLayer):
    """Use queries as keys, sort them by hash, and attend within two chunks.

    Query, value and output have the names and shapes of `DenseAttention`, so these weights of a
    trained Enformer fit; Enformer's key, biases and positions are not used. The model's seed and
    the layer determine the hashes, which are not trained. It has no dropout.

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

    def project(
        self,
        x: tf.Tensor,
        position_features: tf.Tensor | None = None,
        features_seed: tf.Tensor | None = None,
    ) -> AttentionInputs:
        """Project tokens to queries, which are also keys, and values."""
        for_query, for_value = ops.for_readers(x, 2)
        query = split_heads(self.query(for_query), self.config.num_heads)
        value = split_heads(self.value(for_value), self.config.num_heads)
        return AttentionInputs(query, query, value)

    def attend(
        self, inputs: AttentionInputs, dropout: WeightDropout | None, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend to the keys that a hash sorts near each query; `dropout` is not used."""
        config = self.config
        minimum_blocks = attention_kind(config.attention).minimum_blocks
        chunks = num_blocks(inputs.query.shape[2], config.block_size, minimum_blocks)
        rotations = random_rotations(chunks, config.key_size, num_rounds=NUM_ROUNDS, seed=self.seed)
        return hashed_attention(inputs, rotations, config.block_size, residuals)


def hashed_attention(
    inputs: AttentionInputs,
    rotations: np.ndarray,
    chunk_size: int,
    residuals: Residuals | None = None,
) -> tf.Tensor:
    """Attend from each query to the queries that hashes sort near it; queries are the keys.

    In each round all queries are sorted by bucket and cut into chunks. A chunk attends to itself
    and to the chunk before it, the first to the last, as in the published codes. It therefore
    reaches into a bucket that a chunk border divides, and may attend to other buckets too. A
    query's logit with itself is so low that it counts only if there is no other key. All rounds
    share one softmax: a key that several rounds find counts several times, the default of the
    published codes.

    The gradient needs the inputs, the output, a number per query and each round's order.

    Args:
        inputs: Queries, not scaled, and values. The keys are the queries, here normalised to 1.
        rotations: Result of `random_rotations`.
        chunk_size: Tokens per chunk.
        residuals: Keeps the result and the orders for a recomputed block.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Raises:
        ValueError: If the tokens are not at least two whole chunks.

    Source: Kitaev et al. 2020, section 2; the logits' scale, google/trax.
    """
    num_blocks(inputs.query.shape[2], chunk_size, minimum_blocks=2)
    residuals = residuals or Residuals()
    query = tf.stop_gradient(inputs.query)
    [orders] = residuals.keep(lambda: [orders_by_hash(query, rotations)])
    key = tf.math.l2_normalize(tf.cast(inputs.key, tf.float32), axis=-1)
    kernel = _Kernel(orders, chunk_size)
    return attend_by_head(kernel.attend, kernel.gradient, inputs._replace(key=key), residuals)


def random_rotations(chunks: int, size: int, *, num_rounds: int, seed: int) -> np.ndarray:
    """Draw the directions of a hash: the nearest direction or opposite is a query's bucket.

    The number of buckets is even and close to the number of chunks. Long sequences use the pairs of
    the buckets of two hashes, so that the cost stays linear in the tokens.

    Args:
        chunks: Number of chunks of the sequence.
        size: Size of a query.
        num_rounds: Number of rounds; each has its own directions.
        seed: Seed of the draw; all heads share the directions.

    Returns:
        float32 `[rounds, hashes, size, directions]`; a hash has two buckets for each direction.

    Source: Andoni et al. 2015; google/trax, `hash_vecs`.
    """
    hashes = 1 if chunks <= _MOST_BUCKETS_OF_ONE_HASH else 2
    directions = max(1, round(chunks ** (1 / hashes) / 2))
    generator = np.random.RandomState(seed)
    return generator.normal(size=[num_rounds, hashes, size, directions]).astype(np.float32)


def orders_by_hash(query: tf.Tensor, rotations: np.ndarray) -> tf.Tensor:
    """Sort queries by bucket, and queries of one bucket by place.

    Args:
        query: `[batch, heads, tokens, size]`, of any norm: a bucket is a direction.
        rotations: Result of `random_rotations`.

    Returns:
        int32 `[batch, heads, rounds, tokens]`, the tokens in sorted order.
    """
    query = tf.cast(query, tf.float32)
    orders: list[tf.Tensor] = []
    for hashes in rotations:
        if orders:  # in turn, or the projections of all rounds are in memory at once
            [query] = hold_back([query], until=orders[-1:])
        bucket: tf.Tensor | int = 0
        for directions in hashes:
            near = tf.matmul(query, tf.constant(directions))
            both = tf.concat([near, -near], axis=-1)
            bucket = bucket * both.shape[-1] + tf.argmax(both, axis=-1, output_type=tf.int32)
        orders.append(tf.argsort(bucket, axis=-1, stable=True))
    return tf.stack(orders, axis=2)


class _Kernel(NamedTuple):
    """Attend with the heads of a group, round by round, and compute the gradient.

    Attributes:
        orders: Result of `orders_by_hash`.
        chunk_size: Tokens per chunk.
    """

    orders: tf.Tensor
    chunk_size: int

    def attend(self, group: HeadGroup, inputs: AttentionInputs) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute a group's output and the logarithm of each query's normaliser."""
        tensors = list(inputs[:3])
        joined: Sequence[tf.Tensor] = ()
        for order in self._take_orders(group):
            if joined:
                tensors = hold_back(tensors, until=joined)
            query, key, value = (_take(x, order) for x in tensors)
            results = attend(
                _split_chunks(query, self.chunk_size), _keys(key, value, self.chunk_size)
            )
            back = tf.argsort(order, axis=-1)  # a gather by it undoes the sort
            found = [_take(_join_chunks(x, group.size), back) for x in results]
            joined = _join_rounds(*joined, *found) if joined else found
        output, log_total = joined
        return output, log_total

    def gradient(
        self, group: HeadGroup, inputs: AttentionInputs, results: HeadResults
    ) -> AttentionInputs:
        """Compute the gradients with respect to a group's inputs.

        With the output and the normaliser of all rounds, each round adds its part of the sum.
        """
        tensors = [*inputs[:3], *results]
        sums: list[tf.Tensor] = []
        for order in self._take_orders(group):
            if sums:
                tensors = hold_back(tensors, until=sums)
            query, key, value, *sorted_results = (_take(x, order) for x in tensors)
            found = attend_gradient(
                _split_chunks(query, self.chunk_size),
                _keys(key, value, self.chunk_size),
                HeadResults(*(_split_chunks(x, self.chunk_size) for x in sorted_results)),
            )
            sorted_gradients = [
                _join_chunks(found.query, group.size),
                _sum_previous_chunk(found.key, group.size),
                _sum_previous_chunk(found.value, group.size),
            ]
            back = tf.argsort(order, axis=-1)
            more = [_take(x, back) for x in sorted_gradients]
            sums = [a + b for a, b in zip(sums, more, strict=True)] if sums else more
        return AttentionInputs(*sums)

    def _take_orders(self, group: HeadGroup) -> list[tf.Tensor]:
        """Take the order of each round, int32 `[group, tokens]`."""
        rounds, tokens = self.orders.shape[2:]
        by_number = tf.reshape(self.orders, [-1, rounds, tokens])
        return tf.unstack(
            by_number if group.is_all else tf.gather(by_number, group.numbers), axis=1
        )


def _take(x: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Reorder `[group, tokens, size]` by the places `[group, tokens]`."""
    return tf.gather(x, order, batch_dims=1)


def _split_chunks(x: tf.Tensor, chunk_size: int) -> tf.Tensor:
    """Split `[group, tokens, size]` to `[group * chunks, chunk_size, size]`."""
    return tf.reshape(x, [-1, chunk_size, x.shape[2]])


def _join_chunks(x: tf.Tensor, group_size: int) -> tf.Tensor:
    """Undo `_split_chunks`."""
    return tf.reshape(x, [group_size, -1, x.shape[2]])


def _keys(key: tf.Tensor, value: tf.Tensor, chunk_size: int) -> Keys:
    """Return what each chunk attends to: the chunk before it and itself, own keys masked."""
    own = np.pad(np.eye(chunk_size, dtype=np.float32), [[chunk_size, 0], [0, 0]]) * _SELF_MASK
    return Keys(
        _add_previous_chunk(key, chunk_size),
        _add_previous_chunk(value, chunk_size),
        bias=tf.constant(own),
    )


def _add_previous_chunk(x: tf.Tensor, chunk_size: int) -> tf.Tensor:
    """Split `[group, tokens, size]` to `[group * chunks, 2 * chunk_size, size]`."""
    group, tokens, size = x.shape
    chunks = tf.reshape(x, [group, tokens // chunk_size, chunk_size, size])
    both = tf.concat([tf.roll(chunks, 1, axis=1), chunks], axis=2)
    return tf.reshape(both, [-1, 2 * chunk_size, size])


def _sum_previous_chunk(x: tf.Tensor, group_size: int) -> tf.Tensor:
    """Compute the gradient of `_add_previous_chunk`."""
    _, two_chunks, size = x.shape
    both = tf.reshape(x, [group_size, -1, 2, two_chunks // 2, size])
    chunks = tf.roll(both[:, :, 0], -1, axis=1) + both[:, :, 1]
    return tf.reshape(chunks, [group_size, -1, size])


@compiled  # one pass over memory
def _join_rounds(
    output: tf.Tensor, log_total: tf.Tensor, more: tf.Tensor, more_log_total: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Combine two softmaxes over different keys into one over all of them."""
    largest = tf.maximum(log_total, more_log_total)
    joined = largest + tf.math.log(tf.exp(log_total - largest) + tf.exp(more_log_total - largest))
    return output * tf.exp(log_total - joined) + more * tf.exp(more_log_total - joined), joined
