"""DeepMind's Enformer the way it was published, over a model of ours: what we compare with.

Its function is the same. What differs is how it is computed: the whole sequence at once, each pool
a batch of products of two rows, every activation that a gradient needs kept.

Source: google-deepmind/deepmind-research, `enformer/enformer.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import sonnet as snt
import tensorflow as tf

from senformer import training
from senformer.enformer import Enformer
from senformer.trunk import Stem, TowerBlock


def published_pool(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """`[batch, length, channels]` to half the length: the softmax written out over each pair."""
    pairs = tf.reshape(x, [-1, x.shape[1] // 2, 2, x.shape[2]])
    shares = tf.nn.softmax(tf.matmul(pairs, weights), axis=-2)
    return tf.reduce_sum(pairs * shares, axis=-2)


def published_embed(model: Enformer, sequence: tf.Tensor, is_training: bool) -> tf.Tensor:
    """Stem and tower of the whole sequence: `[batch, length, 4]` to `[batch, tokens, channels]`."""
    x = _convolve_stem(model.stem, sequence, is_training)
    x = published_pool(x, model.stem.pool.w)
    for block in model.tower:
        x = published_pool(_convolve_tower(block, x, is_training), block.pool.w)
    return x


def published_predict(model: Enformer) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Prediction of every head, compiled."""

    @tf.function
    def predict(sequence: tf.Tensor) -> dict[str, tf.Tensor]:
        embedding = model.transform(published_embed(model, sequence, False))
        return {head: model.predict_head(head, embedding) for head in model.heads}

    return predict


def published_train_step(
    model: Enformer, *, head: str, learning_rate: float = 1e-4
) -> training.TrainStep:
    """The study's step: attention trained, batch norms by the batch, nothing computed again."""
    variables = training.trainable_variables(model, "attention")
    optimizer = snt.optimizers.Adam(learning_rate)

    @tf.function
    def train_step(sequence: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            tokens = published_embed(model, sequence, True)
            embedding = model.transform(tokens, True, dropout_seed)
            loss = training.poisson_loss(target, model.predict_head(head, embedding))
        gradients = tape.gradient(loss, variables)
        optimizer.apply([tf.clip_by_norm(g, 1.0) for g in gradients], variables)
        return loss

    return train_step


def _convolve_stem(stem: Stem, sequence: tf.Tensor, is_training: bool) -> tf.Tensor:
    x = stem.conv(sequence)
    return x + stem.pointwise(x, is_training)


def _convolve_tower(block: TowerBlock, x: tf.Tensor, is_training: bool) -> tf.Tensor:
    x = block.conv_block(x, is_training)
    return x + block.pointwise(x, is_training)
