"""Compute BigBird's attention plainly, as in the study: the baseline of the benchmarks.

The code gathers blocks, adds masks of ones, and computes five groups of query blocks separately
(first, second, middle, second last, last). TensorFlow derives the gradients. The published code
does not run on current versions of TensorFlow. Source: Zaheer et al. 2020, appendix D;
google-research/bigbird, `core/attention.py`.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from senformer.model.attention.bigbird import BigBirdAttention
from senformer.model.attention.random_blocks import layer_random_blocks

_MASKED = -1e4


class PlainBigBird(BigBirdAttention):
    """Compute `BigBirdAttention` with the plain formulation."""

    def __call__(self, x: tf.Tensor, *unused: object) -> tf.Tensor:
        """Attend to `x`, `[batch, tokens, channels]`, and return the same shape."""
        del unused  # positions, dropout and residuals
        config = self.config
        batch, tokens, _ = x.shape

        def heads(x: tf.Tensor) -> tf.Tensor:
            x = tf.reshape(x, [batch, tokens, config.num_heads, -1])
            return tf.transpose(x, [0, 2, 1, 3])

        drawn = layer_random_blocks(config, self.layer, tokens, self.fixed_random_blocks)
        attended = plain_block_sparse_attention(
            heads(self.query(x)),
            heads(self.key(x)),
            heads(self.value(x)),
            drawn,
            block_size=config.block_size,
        )
        attended = tf.transpose(attended, [0, 2, 1, 3])
        return self.output(tf.reshape(attended, [batch, tokens, -1]))


def plain_block_sparse_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    random_blocks: np.ndarray,
    *,
    block_size: int,
) -> tf.Tensor:
    """Compute BigBird's attention as `senformer.model.attention.bigbird` does, plainly.

    Args:
        query: `[batch, heads, tokens, size]`.
        key: `[batch, heads, tokens, size]`.
        value: `[batch, heads, tokens, size]`.
        random_blocks: int32 `[heads, blocks - 2, random]`.
        block_size: Tokens per block.

    Returns:
        `[batch, heads, tokens, size]`.
    """
    batch, heads, tokens, size = query.shape
    blocks = tokens // block_size
    blocked = [batch, heads, blocks, block_size, size]
    query_blocks = tf.reshape(query * size**-0.5, blocked)
    key_blocks, value_blocks = tf.reshape(key, blocked), tf.reshape(value, blocked)
    drawn = tf.tile(tf.constant(random_blocks)[tf.newaxis], [batch, 1, 1, 1])
    gathered = [batch, heads, blocks - 2, random_blocks.shape[-1] * block_size, size]
    random_keys = tf.reshape(tf.gather(key_blocks, drawn, batch_dims=2), gathered)
    random_values = tf.reshape(tf.gather(value_blocks, drawn, batch_dims=2), gathered)
    mask = tf.ones([batch, blocks, block_size])  # no token is padding; the published code masks

    def attend(index: int, keys: tf.Tensor, values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Attend with one query block; returns `[batch, heads, 1, block_size, size]`."""
        logits = tf.einsum("bhqd,bhkd->bhqk", query_blocks[:, :, index], keys)
        weights = tf.nn.softmax(logits + (1 - mask) * _MASKED)
        return tf.einsum("bhqk,bhkd->bhqd", weights, values)[:, :, tf.newaxis]

    def attend_near_end(index: int, window: list[int], drawn_row: int) -> tf.Tensor:
        def gather(x: tf.Tensor, random: tf.Tensor) -> tf.Tensor:
            blocks = [x[:, :, 0], *(x[:, :, i] for i in window), x[:, :, -1]]
            return tf.concat([*blocks, random[:, :, drawn_row]], axis=2)

        keys = gather(key_blocks, random_keys)
        to_mask = tf.ones([batch, 1, 1, keys.shape[2]])
        return attend(index, keys, gather(value_blocks, random_values), to_mask)

    all_tokens = tf.reshape(mask, [batch, 1, 1, tokens])
    groups = [
        attend(0, key, value, all_tokens),
        attend_near_end(1, [1, 2], 0),
        _middle(query_blocks, key_blocks, value_blocks, random_keys, random_values, drawn, mask),
        attend_near_end(-2, [-3, -2], -1),
        attend(-1, key, value, all_tokens),
    ]
    context = tf.reshape(tf.concat(groups, axis=2), [batch, heads, tokens, size])
    return context * tf.reshape(mask, [batch, 1, tokens, 1])


def _middle(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    random_keys: tf.Tensor,
    random_values: tf.Tensor,
    drawn: tf.Tensor,
    mask: tf.Tensor,
) -> tf.Tensor:
    """Attend with the middle query blocks; returns `[.., blocks - 4, block_size, size]`."""
    block_size = query.shape[3]
    window_keys = tf.concat([key[:, :, 1:-3], key[:, :, 2:-2], key[:, :, 3:-1]], axis=3)
    window_values = tf.concat([value[:, :, 1:-3], value[:, :, 2:-2], value[:, :, 3:-1]], axis=3)
    query = query[:, :, 2:-2]
    random_keys, random_values = random_keys[:, :, 1:-1], random_values[:, :, 1:-1]

    window_mask = tf.concat([mask[:, 1:-3], mask[:, 2:-2], mask[:, 3:-1]], axis=2)
    window_mask = tf.einsum("blq,blk->blqk", mask[:, 2:-2], window_mask)[:, tf.newaxis]
    batch, heads, rows, num_random = drawn.shape
    random_mask = tf.gather(tf.tile(mask[:, tf.newaxis], [1, heads, 1, 1]), drawn, batch_dims=2)
    random_mask = tf.reshape(random_mask, [batch, heads, rows, num_random * block_size])
    random_mask = tf.einsum("blq,bhlk->bhlqk", mask[:, 1:-1], random_mask)[:, :, 1:-1]

    logits = tf.concat(
        [
            tf.einsum("bhlqd,bhkd->bhlqk", query, key[:, :, 0])
            + (1 - _mask_logits(mask[:, 0])) * _MASKED,
            tf.einsum("bhlqd,bhlkd->bhlqk", query, window_keys) + (1 - window_mask) * _MASKED,
            tf.einsum("bhlqd,bhlkd->bhlqk", query, random_keys) + (1 - random_mask) * _MASKED,
            tf.einsum("bhlqd,bhkd->bhlqk", query, key[:, :, -1])
            + (1 - _mask_logits(mask[:, -1])) * _MASKED,
        ],
        axis=-1,
    )
    weights = tf.nn.softmax(logits)
    context = tf.einsum(
        "bhlqk,bhlkd->bhlqd", weights[..., block_size : 4 * block_size], window_values
    )
    context += tf.einsum(
        "bhlqk,bhlkd->bhlqd", weights[..., 4 * block_size : -block_size], random_values
    )
    context += tf.einsum("bhlqk,bhkd->bhlqd", weights[..., :block_size], value[:, :, 0])
    return context + tf.einsum("bhlqk,bhkd->bhlqd", weights[..., -block_size:], value[:, :, -1])


def _mask_logits(mask: tf.Tensor) -> tf.Tensor:
    """Reshape a mask, `[batch, block_size]`, for addition to logits."""
    return mask[:, tf.newaxis, tf.newaxis, tf.newaxis]
