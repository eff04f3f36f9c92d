"""Block-sparse attention of every pattern computes what float64 references compute."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from attention_reference import (
    BFLOAT16_TOLERANCE,
    assert_matches,
    dropout_factors,
    make_inputs,
    make_layer,
    make_tiny_layer,
    output_and_gradients,
    plain_attention,
)
from slow_cases import slow

from senformer.config import RANDOM_BLOCK_PLANS, preset
from senformer.model.attention import block_sparse
from senformer.model.attention.bigbird import bigbird_pattern
from senformer.model.attention.block_sparse import block_sparse_attention
from senformer.model.attention.heads import AttentionInputs, WeightDropout
from senformer.model.attention.local import local_pattern
from senformer.model.attention.random_blocks import random_blocks
from senformer.model.compute import device, xla

# tokens, block size, random blocks: one chunk of query blocks and several, even and not
BIGBIRD_SIZES = [
    (40, 8, 0),
    slow(104, 8, 1),
    slow(128, 16, 3),
    slow(232, 8, 2),
    (448, 8, 3),
]
# tokens, block size: one block, two that are all, one chunk of query blocks and several
LOCAL_SIZES = [(16, 16), (16, 8), (104, 8), (448, 8)]


def bigbird_counts(drawn, block_size, *, counts_repeats=False):
    """Count how often each query attends to each key, `[heads, tokens, tokens]`."""
    heads, query_blocks, _ = drawn.shape
    counts = np.zeros([heads, query_blocks + 2, query_blocks + 2])
    counts[:, [0, -1]] = 1
    for head, block in np.ndindex(heads, query_blocks):
        fixed = {0, block, block + 1, block + 2, query_blocks + 1}
        for key_block in [*fixed, *drawn[head, block]]:
            counts[head, block + 1, key_block] += 1
    counts = counts if counts_repeats else np.minimum(counts, 1)
    return counts.repeat(block_size, axis=1).repeat(block_size, axis=2)


def window_counts(tokens, block_size):
    block = np.arange(tokens) // block_size
    return np.abs(block[:, np.newaxis] - block) <= 1


def attend_with(pattern):
    return lambda inputs, dropout=None: block_sparse_attention(inputs, pattern, dropout)


def assert_matches_on(device_type, pattern, inputs, counts, monkeypatch):
    monkeypatch.setattr(block_sparse, "GPU_CHUNK_BYTES", 1e6)  # one chunk and several
    with device.traced_for(device_type):
        attend = xla.program(attend_with(pattern))
    assert_matches(attend, inputs, functools.partial(plain_attention, counts=counts))


@pytest.mark.parametrize(("tokens", "block_size", "num_random"), BIGBIRD_SIZES)
@pytest.mark.parametrize("is_relative", [False, True])
@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_bigbird_matches_float64(
    tokens, block_size, num_random, is_relative, device_type, monkeypatch
):
    drawn = random_blocks(tokens, num_heads=3, block_size=block_size, num_random=num_random)
    pattern = bigbird_pattern(drawn, block_size, counts_repeats=not is_relative)
    inputs = make_inputs(tokens, is_relative=is_relative)
    counts = bigbird_counts(drawn, block_size, counts_repeats=not is_relative)
    assert_matches_on(device_type, pattern, inputs, counts, monkeypatch)


@pytest.mark.parametrize(("tokens", "block_size"), LOCAL_SIZES)
@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_local_matches_float64(tokens, block_size, device_type, monkeypatch):
    pattern = local_pattern(3, tokens // block_size, block_size)
    counts = window_counts(tokens, block_size)
    assert_matches_on(device_type, pattern, make_inputs(tokens), counts, monkeypatch)


@pytest.mark.parametrize("counts_repeats", [False, True])
def test_bigbird_counts_repeated_blocks(counts_repeats):
    drawn = np.array([[[0, 2], [2, 2], [3, 1], [5, 5]]] * 3)  # global, window, twice the same
    pattern = bigbird_pattern(drawn, 8, counts_repeats=counts_repeats)
    counts = bigbird_counts(drawn, 8, counts_repeats=counts_repeats)
    expected = functools.partial(plain_attention, counts=counts)
    assert_matches(attend_with(pattern), make_inputs(48, is_relative=False), expected)


def test_dropout_is_the_same_in_the_gradient():
    drawn = random_blocks(216, num_heads=3, block_size=8, num_random=2)
    inputs, counts = make_inputs(216), bigbird_counts(drawn, 8)
    attend = tf.function(attend_with(bigbird_pattern(drawn, 8)))
    dropout = WeightDropout(0.3, tf.constant([[3, 4], [5, 6]]))
    factors = dropout_factors(attend, inputs, dropout)
    of_allowed = factors[np.broadcast_to(counts > 0, factors.shape)]
    assert abs(np.mean(of_allowed == 0) - 0.3) < 0.02
    expected = functools.partial(plain_attention, counts=counts, factors=factors)
    assert_matches(functools.partial(attend, dropout=dropout), inputs, expected)


def test_batch_size_may_be_unknown():
    drawn = random_blocks(48, num_heads=3, block_size=8)
    attend, inputs = attend_with(bigbird_pattern(drawn, 8)), make_inputs(48, batch=3)
    shapes = [[None, *x.shape[1:]] for x in inputs[:3]] + [x.shape for x in inputs[3:]]
    function = tf.function(
        lambda *tensors: attend(AttentionInputs(*tensors)),
        input_signature=[tf.TensorSpec(shape, tf.float32) for shape in shapes],
    )
    expected = functools.partial(plain_attention, counts=bigbird_counts(drawn, 8))
    assert_matches(lambda inputs: function(*inputs), inputs, expected)


@pytest.mark.parametrize("is_relative", [False, True])
def test_bfloat16_stays_near_float64(is_relative):
    drawn = random_blocks(104, num_heads=3, block_size=8)
    attend = attend_with(bigbird_pattern(drawn, 8))
    expected = functools.partial(plain_attention, counts=bigbird_counts(drawn, 8))
    inputs = make_inputs(104, is_relative=is_relative, dtype=tf.bfloat16)
    assert_matches(attend, inputs, expected, BFLOAT16_TOLERANCE, BFLOAT16_TOLERANCE)


def test_large_logits_do_not_overflow():
    inputs = make_inputs(48, is_relative=False)
    inputs = inputs._replace(query=100 * inputs.query, key=100 * inputs.key)
    attend = attend_with(bigbird_pattern(random_blocks(48, num_heads=3, block_size=8), 8))
    assert all(np.isfinite(x).all() for x in output_and_gradients(attend, inputs))


def test_pattern_must_fit_heads_and_tokens():
    pattern = bigbird_pattern(np.zeros([2, 3, 1], int), 8)
    with pytest.raises(ValueError, match="for 2 heads and 40 tokens, expected 3 heads and 48 tok"):
        block_sparse_attention(make_inputs(48), pattern)
    with pytest.raises(ValueError, match="random_blocks from 0 to 6, expected 0 to 5"):
        bigbird_pattern(np.array([[[0], [6], [1], [2]]] * 3), 8)
    with pytest.raises(ValueError, match=r"shape \[2, 3\], expected three axes"):
        bigbird_pattern(np.zeros([2, 3], int), 8)


def test_local_layer_rejects_partial_blocks():
    layer = make_tiny_layer("local")
    with pytest.raises(ValueError, match=r"tokens=40, expected a multiple of block_size=16 of at"):
        layer(tf.zeros([1, 40, layer.config.channels]), layer.position_features(40))


def test_layers_draw_their_own_random_blocks():
    config = preset("senformer_tiny", random_block_plan="uniform", num_random_blocks=1)
    one, other = (make_layer(config, layer) for layer in (0, 1))
    x = tf.random.stateless_normal([1, 16 * 8, config.channels], [1, 2])
    assert (one(x).numpy() != other(x).numpy()).any()
    one.fixed_random_blocks = other.fixed_random_blocks = np.full([4, 6, 1], 3, np.int32)
    np.testing.assert_array_equal(one(x), other(x))


@pytest.mark.parametrize("kind", ["bigbird", "bigbird_relative"])
@pytest.mark.parametrize("plan", RANDOM_BLOCK_PLANS)
def test_layers_work_without_random_blocks(kind, plan):
    options = {"num_random_blocks": 0, "random_block_plan": plan}
    config = preset("senformer_tiny", attention=kind, **options)
    layer = make_layer(config)
    x = tf.random.stateless_normal([1, 64 * 16, config.channels], [1, 2])
    with tf.GradientTape() as tape:  # 1,024 tokens, for which the published code has another plan
        tape.watch(x)
        block = layer(x, layer.position_features(64 * 16))[0, 30 * 16 : 31 * 16]
    read = tf.reduce_max(tf.abs(tape.gradient(block, x)), axis=-1)
    blocks = np.flatnonzero(tf.reduce_max(tf.reshape(read, [64, 16]), axis=-1))
    assert blocks.tolist() == [0, 29, 30, 31, 63]
