"""Enformer's attention written down plainly, to compare the kinds with."""

import numpy as np
import tensorflow as tf

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
BFLOAT16_TOLERANCE = 1e-2


def relative_arrays(tokens, *, batch=2, heads=3, key_size=8, value_size=12, seed=0):
    """Query, key, value, relative key and the two biases."""
    generator = np.random.default_rng(seed)
    shapes = [
        [batch, heads, tokens, key_size],
        [batch, heads, tokens, key_size],
        [batch, heads, tokens, value_size],
        [heads, 2 * tokens - 1, key_size],
        [1, heads, 1, key_size],
        [1, heads, 1, key_size],
    ]
    return [tf.constant(generator.normal(size=shape), tf.float32) for shape in shapes]


def plain_attention(
    query, key, value, relative_key, content_bias, position_bias, factors=None, mask=None
):
    """Every weight written down, times `factors`, where `mask` allows one, in float64."""
    arrays = (query, key, value, relative_key, content_bias, position_bias)
    query, key, value, relative_key, content_bias, position_bias = (
        tf.cast(x, tf.float64) for x in arrays
    )
    tokens = query.shape[2]
    distance = tf.range(tokens)[tf.newaxis] - tf.range(tokens)[:, tf.newaxis]
    relative = tf.gather(relative_key, distance + tokens - 1, axis=1)  # [heads, query, key, size]
    logits = tf.einsum("bhqd,bhkd->bhqk", query + content_bias, key)
    logits += tf.einsum("bhqd,hqkd->bhqk", query + position_bias, relative)
    if mask is not None:
        logits = tf.where(mask, logits, tf.constant(-np.inf, tf.float64))
    weights = tf.nn.softmax(logits)
    if factors is not None:
        weights *= tf.cast(factors, tf.float64)
    return tf.matmul(weights, value)


def output_and_gradients(function, inputs):
    """The output, and the gradients of a weighted sum of it."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = function(*inputs)
        weights = tf.cos(tf.range(output.shape[-1] * output.shape[-2], dtype=tf.float64))
        weights = tf.reshape(weights, output.shape[-2:])
        loss = tf.reduce_sum(tf.cast(output, tf.float64) * weights)
    return output, *tape.gradient(loss, inputs)


def factors_of_dropout(function, inputs, rate):
    """What dropout multiplied each weight with: with the identity as value, weights show.

    Args:
        function: Takes the inputs and `dropout_rate`.
        inputs: As of `relative_arrays`.
        rate: The rate.
    """
    query, key, _, *others = inputs
    batch, heads, tokens, _ = query.shape
    every = tf.eye(tokens, batch_shape=[batch, heads])
    weights = function(query, key, every, *others, dropout_rate=0.0)
    kept = function(query, key, every, *others, dropout_rate=rate)
    return tf.round(tf.math.divide_no_nan(kept, weights) * (1 - rate)) / (1 - rate)


def assert_all_close(
    ours, expected, output_tolerance=OUTPUT_TOLERANCE, gradient_tolerance=GRADIENT_TOLERANCE
):
    """An output and gradients, each within its tolerance of the largest expected value."""
    tolerances = [output_tolerance] + [gradient_tolerance] * (len(expected) - 1)
    for mine, theirs, tolerance in zip(ours, expected, tolerances, strict=True):
        mine, theirs = (np.asarray(tf.cast(x, tf.float64)) for x in (mine, theirs))
        assert np.abs(mine - theirs).max() <= tolerance * np.abs(theirs).max()
