import numpy as np
import pytest
import tensorflow as tf
from slow_cases import BIGBIRD_SIZES

from senformer.config import preset
from senformer.model.attention import block_gather
from senformer.model.attention.bigbird import (
    BigBirdAttention,
    block_sparse_attention,
    random_blocks,
)
from senformer.model.compute import device, xla

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
BFLOAT16_TOLERANCE = 1e-2


def counts_of(drawn, blocks):
    """How often each block of keys counts for each block of queries, `[heads, blocks, blocks]`."""
    counts = np.zeros([len(drawn), blocks, blocks])
    counts[:, [0, -1]] = 1
    for head, rows in enumerate(drawn):
        for row, random in enumerate(rows):
            fixed = {0, row, row + 1, row + 2, blocks - 1}
            for block in [*fixed, *random]:
                counts[head, row + 1, block] += 1
    return counts


def reference(query, key, value, upstream, drawn, block_size):
    """Output and gradients in float64, with every weight written down."""
    query, key, value, upstream = (np.float64(x) for x in (query, key, value, upstream))
    scale = query.shape[-1] ** -0.5
    counts = counts_of(drawn, query.shape[2] // block_size)
    counts = counts.repeat(block_size, axis=1).repeat(block_size, axis=2)
    logits = np.einsum("bhqd,bhkd->bhqk", query, key) * scale
    logits = np.where(counts > 0, logits, -np.inf)
    weights = counts * np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    weights_gradient = np.einsum("bhqd,bhkd->bhqk", upstream, value)
    correction = (weights * weights_gradient).sum(-1, keepdims=True)
    logits_gradient = weights * (weights_gradient - correction) * scale
    return (
        np.einsum("bhqk,bhkd->bhqd", weights, value),
        np.einsum("bhqk,bhkd->bhqd", logits_gradient, key),
        np.einsum("bhqk,bhqd->bhkd", logits_gradient, query),
        np.einsum("bhqk,bhqd->bhkd", weights, upstream),
    )


def output_and_gradients(query, key, value, upstream, drawn, block_size):
    with tf.GradientTape() as tape:
        tape.watch([query, key, value])
        output = block_sparse_attention(query, key, value, drawn, block_size=block_size)
    return output, *tape.gradient(output, [query, key, value], output_gradients=upstream)


def arrays(tokens, *, batch=2, heads=2, size=16, value_size=24, seed=0):
    """Query, key, value and upstream gradient; logits of a few units, as in a trained model."""
    generator = np.random.default_rng(seed)
    sizes = (size, size, value_size, value_size)
    return [
        tf.constant(2 * generator.normal(size=[batch, heads, tokens, n]), tf.float32) for n in sizes
    ]


def assert_close(ours, expected, tolerance):
    error = np.abs(np.float64(ours) - expected).max() / np.abs(expected).max()
    assert error <= tolerance


@pytest.mark.parametrize(("tokens", "block_size", "num_random"), BIGBIRD_SIZES)
@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_output_and_gradients_equal_a_float64_reference(
    tokens, block_size, num_random, device_type, monkeypatch
):
    monkeypatch.setattr(block_gather, "GPU_CHUNK_BYTES", 1e6)  # one chunk of rows and several
    drawn = random_blocks(tokens, num_heads=2, block_size=block_size, num_random=num_random)
    inputs = arrays(tokens)
    with device.traced_for(device_type):
        function = xla.program(lambda *inputs: output_and_gradients(*inputs, drawn, block_size))
    output, *gradients = function(*inputs)
    expected, *expected_gradients = reference(*inputs, drawn, block_size)
    assert_close(output, expected, OUTPUT_TOLERANCE)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert_close(ours, theirs, GRADIENT_TOLERANCE)


def test_a_random_block_that_a_row_attends_to_already_counts_twice():
    drawn = np.array([[[0, 2], [2, 2], [3, 1], [5, 5]]] * 2)  # global, window and random ones
    inputs = arrays(48)
    for ours, theirs in zip(
        output_and_gradients(*inputs, drawn, 8), reference(*inputs, drawn, 8), strict=True
    ):
        assert_close(ours, theirs, GRADIENT_TOLERANCE)


def test_the_batch_may_be_unknown():
    drawn = random_blocks(48, num_heads=2, block_size=8)
    signature = [tf.TensorSpec([None, *x.shape[1:]], tf.float32) for x in arrays(48)]
    function = tf.function(
        lambda *inputs: output_and_gradients(*inputs, drawn, 8), input_signature=signature
    )
    inputs = arrays(48, batch=3)
    for ours, theirs in zip(function(*inputs), reference(*inputs, drawn, 8), strict=True):
        assert_close(ours, theirs, GRADIENT_TOLERANCE)


def test_bfloat16_stays_near_float32():
    drawn = random_blocks(104, num_heads=2, block_size=8)
    inputs = [tf.cast(x, tf.bfloat16) for x in arrays(104)]
    ours = output_and_gradients(*inputs, drawn, 8)
    assert {x.dtype for x in ours} == {tf.bfloat16}
    exact = reference(*(tf.cast(x, tf.float32) for x in inputs), drawn, 8)
    for result, expected in zip(ours, exact, strict=True):
        assert_close(tf.cast(result, tf.float32), expected, BFLOAT16_TOLERANCE)


def test_large_logits_do_not_overflow():
    query, key, value, upstream = arrays(48)
    drawn = random_blocks(48, num_heads=2, block_size=8)
    results = output_and_gradients(100 * query, 100 * key, value, upstream, drawn, 8)
    assert all(np.isfinite(x).all() for x in results)


def test_random_blocks_of_another_shape_are_named():
    query, key, value, _ = arrays(48)
    with pytest.raises(ValueError, match=r"shape \[2, 3, 1\], expected \[2 heads, 4 blocks"):
        block_sparse_attention(query, key, value, np.zeros([2, 3, 1], int), block_size=8)
    with pytest.raises(ValueError, match="random_blocks from 0 to 6, expected 0 to 5"):
        drawn = np.array([[[0], [6], [1], [2]]] * 2)
        block_sparse_attention(query, key, value, drawn, block_size=8)


def test_the_layer_attends_with_its_own_random_blocks():
    config = preset("senformer_tiny", random_block_plan="uniform", num_random_blocks=1)
    generator = tf.random.Generator.from_seed(0)
    one, other = (BigBirdAttention(config, layer, generator, "attention") for layer in (0, 1))
    for mine, theirs in zip(one.variables, other.variables, strict=True):
        theirs.assign(mine)
    x = tf.random.stateless_normal([1, 16 * 8, config.channels], [1, 2])
    assert (one(x).numpy() != other(x).numpy()).any()
    one.fixed_random_blocks = other.fixed_random_blocks = np.full([4, 6, 1], 3, np.int32)
    np.testing.assert_array_equal(one(x), other(x))
