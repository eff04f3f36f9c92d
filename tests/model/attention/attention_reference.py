"""Write Enformer's attention down plainly, in float64, to compare the kinds with it."""

import numpy as np
import tensorflow as tf

from senformer.config import preset
from senformer.model.attention.heads import AttentionInputs
from senformer.model.attention.layer import make_attention

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
BFLOAT16_TOLERANCE = 1e-2


def make_inputs(tokens, *, batch=2, heads=3, is_relative=True, dtype=tf.float32):
    """Draw attention inputs, with or without relative positions."""
    generator = np.random.default_rng(0)
    key_size, value_size = 8, 12
    shapes = [
        [batch, heads, tokens, key_size],
        [batch, heads, tokens, key_size],
        [batch, heads, tokens, value_size],
        [heads, 2 * tokens - 1, key_size],
        [heads, key_size],
        [heads, key_size],
    ]
    shapes = shapes if is_relative else shapes[:3]
    return AttentionInputs(*(tf.constant(generator.normal(size=s), dtype) for s in shapes))


def make_layer(config, layer=0):
    """Make a layer whose output projection is the identity instead of zero."""
    made = make_attention(config, layer, tf.random.Generator.from_seed(0), "attention")
    made.output.w.assign(tf.eye(config.channels))
    return made


def make_tiny_layer(kind, **options):
    return make_layer(preset("enformer_tiny", attention=kind, **options))


def plain_attention(inputs, counts=1, factors=1):
    """Attend with every weight written down, in float64.

    Args:
        inputs: Attention inputs, with or without relative positions.
        counts: How often each key counts, broadcastable to `[batch, heads, tokens, tokens]`.
        factors: Factors of the weights after the softmax, from dropout.
    """
    inputs = [x if x is None else tf.cast(x, tf.float64) for x in inputs]
    query, key, value, relative_key, content_bias, position_bias = inputs
    if relative_key is None:
        logits = tf.einsum("bhqd,bhkd->bhqk", query, key)
    else:
        tokens = query.shape[2]
        distance = tf.range(tokens)[tf.newaxis] - tf.range(tokens)[:, tf.newaxis]
        relative = tf.gather(relative_key, distance + tokens - 1, axis=1)  # [heads, q, k, size]
        content, position = (query + x[:, tf.newaxis] for x in (content_bias, position_bias))
        logits = tf.einsum("bhqd,bhkd->bhqk", content, key)
        logits += tf.einsum("bhqd,hqkd->bhqk", position, relative)
    log_counts = tf.math.log(tf.cast(counts, tf.float64))
    weights = tf.nn.softmax(logits + log_counts) * tf.cast(factors, tf.float64)
    return tf.matmul(weights, value)


def output_and_gradients(attend, inputs):
    """Compute the output, and the gradients of a weighted sum of it."""
    tensors = [x for x in inputs if x is not None]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        output = attend(inputs)
        weights = tf.cos(tf.range(output.shape[-1] * output.shape[-2], dtype=tf.float64))
        weights = tf.reshape(weights, output.shape[-2:])
        loss = tf.reduce_sum(tf.cast(output, tf.float64) * weights)
    gradients = tape.gradient(loss, tensors)
    return [x for x in (output, *gradients) if x is not None]


def assert_matches(
    attend,
    inputs,
    expected,
    output_tolerance=OUTPUT_TOLERANCE,
    gradient_tolerance=GRADIENT_TOLERANCE,
):
    """Compare output and gradients, relative to the largest expected value, with a reference."""
    ours, theirs = output_and_gradients(attend, inputs), output_and_gradients(expected, inputs)
    assert {x.dtype for x in ours} == {inputs.query.dtype}
    tolerances = [output_tolerance] + [gradient_tolerance] * (len(theirs) - 1)
    for mine, reference, tolerance in zip(ours, theirs, tolerances, strict=True):
        mine, reference = (np.asarray(tf.cast(x, tf.float64)) for x in (mine, reference))
        assert np.abs(mine - reference).max() <= tolerance * np.abs(reference).max()


def dropout_factors(attend, inputs, dropout):
    """Compute the factor of each weight: with the identity as value, the output is the weights."""
    batch, heads, tokens, _ = inputs.query.shape
    inputs = inputs._replace(value=tf.eye(tokens, batch_shape=[batch, heads]))
    weights, kept = attend(inputs), attend(inputs, dropout)
    share = 1 - dropout.rate
    return (tf.round(tf.math.divide_no_nan(kept, weights) * share) / share).numpy()
