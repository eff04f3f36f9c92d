"""Compute a model as DeepMind's published Enformer does: the baseline of the benchmarks.

The function is that of our model; its computation differs. It processes the whole sequence at once,
each pool is a batch of products of two rows, operations are plain, and all residuals are kept.

Source: google-deepmind/deepmind-research, `enformer/enformer.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import sonnet as snt
import tensorflow as tf

from senformer.model import ops
from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.heads import merge_heads, split_heads
from senformer.model.attention.relative_logits import shift_to_keys
from senformer.model.compute import xla
from senformer.model.enformer import Enformer
from senformer.model.layers import LayerNorm
from senformer.model.positions import relative_position_features
from senformer.model.trunk import Stem, TowerBlock
from senformer.training.loss import poisson_loss
from senformer.training.train_step import TrainStep, trainable_variables


def published_pool(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Pool pairs of `[batch, length, channels]` with an explicit softmax."""
    pairs = tf.reshape(x, [-1, x.shape[1] // 2, 2, x.shape[2]])
    shares = tf.nn.softmax(tf.matmul(pairs, weights), axis=-2)
    return tf.reduce_sum(pairs * shares, axis=-2)


def published_embed(model: Enformer, sequence: tf.Tensor, is_training: bool) -> tf.Tensor:
    """Apply stem and tower: `[batch, length, 4]` to `[batch, tokens, channels]`."""
    x = _convolve_stem(model.stem, sequence, is_training)
    x = published_pool(x, model.stem.pool.w)
    for block in model.tower:
        x = published_pool(_convolve_tower(block, x, is_training), block.pool.w)
    return x


def published_transform(model: Enformer, tokens: tf.Tensor, is_training: bool) -> tf.Tensor:
    """Apply transformer, crop and final layer: `[batch, tokens, C]` to `[batch, bins, 2 C]`."""
    rate = model.config.dropout_rate
    x = tokens
    for block in model.transformer:
        normed = _layer_norm(block.attention_norm, x)
        if isinstance(block.attention, DenseAttention):
            attended = _attend(block.attention, normed, is_training)
        else:  # the study's attention has neither positions nor dropout
            attended = block.attention(normed)
        x += _dropout(attended, rate, is_training)
        hidden = _dropout(block.mlp_in(_layer_norm(block.mlp_norm, x)), rate, is_training)
        x += _dropout(block.mlp_out(tf.nn.relu(hidden)), rate, is_training)
    x = model.final_pointwise(ops.crop(x, model.config.target_length), is_training)
    return ops.gelu(_dropout(x, rate / 8, is_training))


def published_predict(model: Enformer) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return a compiled function that predicts with every head."""

    @tf.function
    def predict(sequence: tf.Tensor) -> dict[str, tf.Tensor]:
        embedding = published_transform(model, published_embed(model, sequence, False), False)
        return {head: model.predict_head(head, embedding) for head in model.heads}

    return predict


def published_train_step(model: Enformer, *, head: str, learning_rate: float = 1e-4) -> TrainStep:
    """Return the study's step: trains attention, keeps all residuals, batch norms by the batch."""
    variables = trainable_variables(model, "attention")
    optimizer = snt.optimizers.Adam(learning_rate)

    @xla.program
    def train_step(sequence: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor) -> tf.Tensor:
        del dropout_seed  # the published code draws from its own generator
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            tokens = published_embed(model, sequence, True)
            embedding = published_transform(model, tokens, True)
            loss = poisson_loss(target, model.predict_head(head, embedding))
        gradients = tape.gradient(loss, variables)
        optimizer.apply([tf.clip_by_norm(g, 1.0) for g in gradients], variables)
        return loss

    return train_step


def _attend(attention: DenseAttention, x: tf.Tensor, is_training: bool) -> tf.Tensor:
    config = attention.config
    features = relative_position_features(
        x.shape[1], config.num_relative_position_features, config.gamma_scaling
    )
    features = _dropout(features, config.positional_dropout_rate, is_training)
    query, key, value, relative_key = (
        split_heads(heads, config.num_heads)
        for heads in (
            attention.query(x) * config.key_size**-0.5,
            attention.key(x),
            attention.value(x),
            attention.relative_key(features)[tf.newaxis],
        )
    )
    content = tf.matmul(query + attention.content_bias, key, transpose_b=True)
    position = tf.matmul(query + attention.position_bias, relative_key, transpose_b=True)
    position = tf.pad(position, [[0, 0], [0, 0], [0, 0], [1, 0]])
    weights = tf.nn.softmax(content + shift_to_keys(position))
    weights = _dropout(weights, config.attention_dropout_rate, is_training)
    return attention.output(merge_heads(tf.matmul(weights, value)))


def _layer_norm(norm: LayerNorm, x: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, norm.offset, norm.scale, ops.EPSILON)


def _dropout(x: tf.Tensor, rate: float, is_training: bool) -> tf.Tensor:
    return tf.nn.dropout(x, rate) if is_training else x


def _convolve_stem(stem: Stem, sequence: tf.Tensor, is_training: bool) -> tf.Tensor:
    x = stem.conv(sequence)
    return x + stem.pointwise(x, is_training)


def _convolve_tower(block: TowerBlock, x: tf.Tensor, is_training: bool) -> tf.Tensor:
    x = block.conv_block(x, is_training)
    return x + block.pointwise(x, is_training)
