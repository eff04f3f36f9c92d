import functools

import numpy as np
import pytest
import tensorflow as tf
from attention_reference import assert_all_close, output_and_gradients, relative_arrays

from senformer.config import preset
from senformer.model.attention.reformer import (
    ReformerAttention,
    hashed_attention,
    orders_by_hash,
    random_rotations,
)
from senformer.model.compute import device, xla

CHUNK = 8


def counted(query, value, counts):
    """Attention to keys that each count so often, in float64; queries of norm one are keys.

    Args:
        query: `[batch, heads, tokens, size]`.
        value: `[batch, heads, tokens, value_size]`.
        counts: `[..., tokens, tokens]`.
    """
    query, value = (tf.cast(x, tf.float64) for x in (query, value))
    key = query / tf.norm(query, axis=-1, keepdims=True)
    weights = counts * tf.exp(tf.matmul(query, key, transpose_b=True))
    return tf.matmul(weights / tf.reduce_sum(weights, axis=-1, keepdims=True), value)


def all_others(tokens):
    return 1 - np.eye(tokens)


def counts_of(orders, chunk_size):
    """In how many rounds each query meets each key: `[batch, heads, tokens, tokens]`."""
    batch, heads, _, tokens = orders.shape
    counts = np.zeros([batch, heads, tokens, tokens])
    for sequence, head, number in np.ndindex(orders.shape[:3]):
        chunk = np.empty(tokens, int)
        chunk[orders[sequence, head, number]] = np.arange(tokens) // chunk_size
        back = (chunk[:, np.newaxis] - chunk) % (tokens // chunk_size)
        counts[sequence, head] += np.isin(back, [0, 1])
    return counts * all_others(tokens)


def arrays(tokens):
    query, _, value = relative_arrays(tokens)[:3]
    return [query, value]


def rotations(tokens, num_rounds, size=8):
    return random_rotations(tokens // CHUNK, size, num_rounds=num_rounds, seed=0)


def hashed(tokens, num_rounds):
    def attention(*inputs):
        return hashed_attention(*inputs, rotations(tokens, num_rounds), chunk_size=CHUNK)

    return attention


@pytest.mark.parametrize("num_rounds", [1, 3])
def test_where_two_chunks_are_all_it_is_full_attention_to_all_others(num_rounds):
    inputs = arrays(2 * CHUNK)
    expected = functools.partial(counted, counts=all_others(2 * CHUNK))
    assert_all_close(
        output_and_gradients(hashed(2 * CHUNK, num_rounds), inputs),
        output_and_gradients(expected, inputs),
    )


@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_output_and_gradients_equal_a_float64_reference(device_type):
    inputs = arrays(72)
    with device.traced_for(device_type):
        function = xla.program(hashed(72, 3))
    counts = counts_of(orders_by_hash(inputs[0], rotations(72, 3)).numpy(), CHUNK)
    assert counts.max() > 1 and (counts.sum(axis=-1) == 3 * (2 * CHUNK - 1)).all()
    assert_all_close(
        output_and_gradients(function, inputs),
        output_and_gradients(functools.partial(counted, counts=counts), inputs),
    )


@pytest.mark.parametrize("chunks", [6, 200])  # one hash, and the pairs of two
@pytest.mark.parametrize("compiled", [False, True])
def test_an_order_is_by_bucket_and_then_by_place(chunks, compiled):
    query = relative_arrays(chunks * CHUNK, batch=1, heads=2)[0]
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


def test_more_rounds_come_nearer_to_full_attention():
    generator = np.random.default_rng(0)
    centres = 4 * generator.normal(size=[32, 8])
    query = centres[generator.integers(32, size=[1, 2, 256])] + generator.normal(
        size=[1, 2, 256, 8], scale=0.5
    )
    query = tf.constant(query, tf.float32)
    value = tf.constant(generator.normal(size=[1, 2, 256, 12]), tf.float32)
    full = counted(query, value, all_others(256)).numpy()
    errors = [np.square(hashed(256, number)(query, value) - full).mean() for number in (1, 2, 4, 8)]
    assert sorted(errors, reverse=True) == errors
    assert errors[-1] < errors[0] / 4


def test_the_batch_may_be_unknown():
    inputs = arrays(72)
    unknown = [tf.TensorSpec([None, *x.shape[1:]]) for x in inputs]
    function = tf.function(
        lambda *inputs: output_and_gradients(hashed(72, 2), inputs), input_signature=unknown
    )
    assert_all_close(function(*inputs), output_and_gradients(hashed(72, 2), inputs))


def test_bfloat16_stays_near_float32():
    inputs = [tf.cast(x, tf.bfloat16) for x in arrays(2 * CHUNK)]
    ours = output_and_gradients(hashed(2 * CHUNK, 2), inputs)
    assert {x.dtype for x in ours} == {tf.bfloat16}
    expected = functools.partial(counted, counts=all_others(2 * CHUNK))
    assert_all_close(ours, output_and_gradients(expected, inputs), 1e-2, 1e-2)


def test_the_layers_seed_decides_its_hashes():
    def layer(seed, number):
        config = preset("enformer_tiny", attention="reformer", random_block_seed=seed)
        made = ReformerAttention(config, number, tf.random.Generator.from_seed(0), "attention")
        made.output.w.assign(tf.eye(config.channels))
        return made

    x = tf.random.stateless_normal([1, 128, 256], [1, 2])
    np.testing.assert_array_equal(layer(1, 1)(x), layer(2, 0)(x))
    assert (layer(1, 0)(x).numpy() != layer(2, 0)(x).numpy()).any()


def test_tokens_of_less_than_two_chunks_are_refused():
    with pytest.raises(ValueError, match=r"tokens=8, expected a multiple of block_size=8 of at"):
        hashed(16, 1)(*arrays(8))
