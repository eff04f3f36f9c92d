import functools

import numpy as np
import pytest
import tensorflow as tf
from attention_reference import assert_matches, make_inputs, make_layer

from senformer.config import preset
from senformer.model.attention.reformer import hashed_attention, orders_by_hash, random_rotations
from senformer.model.compute import device, xla

CHUNK = 8


def counted(inputs, counts):
    """Attend to keys that each count so often, in float64; queries of norm 1 are the keys."""
    query, value = (tf.cast(x, tf.float64) for x in (inputs.query, inputs.value))
    key = query / tf.norm(query, axis=-1, keepdims=True)
    weights = counts * tf.exp(tf.matmul(query, key, transpose_b=True))
    return tf.matmul(weights / tf.reduce_sum(weights, axis=-1, keepdims=True), value)


def all_others(tokens):
    return 1 - np.eye(tokens)


def count_rounds(orders, chunk_size):
    """Count in how many rounds each query meets each key: `[batch, heads, tokens, tokens]`."""
    batch, heads, _, tokens = orders.shape
    counts = np.zeros([batch, heads, tokens, tokens])
    for sequence, head, number in np.ndindex(orders.shape[:3]):
        chunk = np.empty(tokens, int)
        chunk[orders[sequence, head, number]] = np.arange(tokens) // chunk_size
        back = (chunk[:, np.newaxis] - chunk) % (tokens // chunk_size)
        counts[sequence, head] += np.isin(back, [0, 1])
    return counts * all_others(tokens)


def rotations(tokens, num_rounds, size=8):
    return random_rotations(tokens // CHUNK, size, num_rounds=num_rounds, seed=0)


def hashed(tokens, num_rounds):
    """Make Reformer's attention, whose queries are its keys."""
    drawn = rotations(tokens, num_rounds)
    return lambda inputs: hashed_attention(inputs._replace(key=inputs.query), drawn, CHUNK)


@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_reformer_matches_float64(device_type):
    inputs = make_inputs(72, is_relative=False)
    with device.traced_for(device_type):
        attend = xla.program(hashed(72, 3))
    counts = count_rounds(orders_by_hash(inputs.query, rotations(72, 3)).numpy(), CHUNK)
    assert counts.max() > 1 and (counts.sum(axis=-1) == 3 * (2 * CHUNK - 1)).all()
    assert_matches(attend, inputs, functools.partial(counted, counts=counts))


@pytest.mark.parametrize("chunks", [6, 200])  # one hash, and the pairs of two
@pytest.mark.parametrize("compiled", [False, True])
def test_order_is_by_bucket_and_then_by_place(chunks, compiled):
    query = make_inputs(chunks * CHUNK, batch=1, heads=2, is_relative=False).query
    drawn = random_rotations(chunks, 8, num_rounds=2, seed=0)
    sort = tf.function(
        lambda query: orders_by_hash(query, drawn), autograph=False, jit_compile=compiled
    )
    orders = sort(query)
    num_buckets = 0
    for number, hashes in enumerate(np.float64(drawn)):
        near = [np.float64(query) @ directions for directions in hashes]
        buckets = [np.concatenate([x, -x], axis=-1).argmax(axis=-1) for x in near]
        size = 2 * drawn.shape[-1]
        bucket = functools.reduce(lambda one, other: one * size + other, buckets)
        num_buckets = size ** len(hashes)
        expected = bucket.argsort(axis=-1, kind="stable")
        np.testing.assert_array_equal(orders[:, :, number], expected)
    assert 0.9 * chunks <= num_buckets <= 1.1 * chunks


def test_more_rounds_approach_full_attention():
    generator = np.random.default_rng(0)
    centres = 4 * generator.normal(size=[32, 8])
    query = centres[generator.integers(32, size=[1, 2, 256])] + generator.normal(
        size=[1, 2, 256, 8], scale=0.5
    )
    inputs = make_inputs(256, batch=1, heads=2, is_relative=False)
    inputs = inputs._replace(query=tf.constant(query, tf.float32))
    full = counted(inputs, all_others(256)).numpy()
    errors = [np.square(hashed(256, number)(inputs) - full).mean() for number in (1, 2, 4, 8)]
    assert sorted(errors, reverse=True) == errors
    assert errors[-1] < errors[0] / 4


def test_seed_and_layer_decide_the_hashes():
    def layer(seed, number):
        config = preset("enformer_tiny", attention="reformer", random_block_seed=seed)
        return make_layer(config, number)

    x = tf.random.stateless_normal([1, 128, 256], [1, 2])
    np.testing.assert_array_equal(layer(1, 1)(x), layer(2, 0)(x))
    assert (layer(1, 0)(x).numpy() != layer(2, 0)(x).numpy()).any()


def test_reformer_rejects_less_than_two_chunks():
    with pytest.raises(ValueError, match=r"tokens=8, expected a multiple of block_size=8 of at"):
        hashed(16, 1)(make_inputs(8, is_relative=False))
