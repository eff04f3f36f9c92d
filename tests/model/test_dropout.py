import numpy as np
import pytest
import tensorflow as tf

from senformer.model.compute.recomputation import Residuals
from senformer.model.dropout import (
    PlacedDropout,
    drop,
    drop_placed,
    dropout,
    relu_and_dropout,
    seed_heads,
    split_seed,
)

SEED = tf.constant([7, 8])


def drop_mask(rate, seed):
    """Return which of 2^20 values are dropped, as 0 and 1."""
    return np.asarray(dropout(tf.ones([2**20]), rate, seed) == 0, np.float64)


def deviation(mask, rate):
    """Return how many standard deviations a share of dropped values is from its rate."""
    return abs(mask.mean() - rate) / np.sqrt(rate * (1 - rate) / mask.size)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.4])
def test_dropout_has_its_rate_and_keeps_the_mean(rate):
    assert deviation(drop_mask(rate, SEED), rate) < 4
    kept = dropout(tf.ones([100]), rate, SEED).numpy()
    np.testing.assert_allclose(kept[kept > 0], 1 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("distance", [1, 2, 3, 64, 1024, 1536, 3072])
def test_dropped_values_are_independent(distance):
    mask = drop_mask(0.05, SEED)
    assert deviation(mask[distance:] * mask[:-distance], 0.05**2) < 4


# Seeds that differ in one word, by one and by much, and seeds derived from it.
@pytest.mark.parametrize(
    "other",
    [
        *([8, 8], [7, 9], [7, -12345], [-12345, 8], [8, 7]),
        *split_seed(SEED, 2).numpy().tolist(),
        seed_heads(SEED, tf.range(8)).numpy().tolist()[7],
    ],
)
def test_masks_of_seeds_are_independent(other):
    both = drop_mask(0.05, SEED) * drop_mask(0.05, tf.constant(other))
    assert deviation(both, 0.05**2) < 4


def test_dropout_gradient_has_the_same_mask():
    x = tf.Variable(tf.random.stateless_normal([8, 9], [0, 0]))
    with tf.GradientTape() as tape:
        y = dropout(x, 0.25, SEED)
    np.testing.assert_allclose(tape.gradient(y, x), y / x, rtol=1e-6)


@pytest.mark.parametrize("shape", [[24], [4, 6], [2, 3, 4]])
def test_drop_equals_dropout_in_a_compiled_pass(shape):
    x = tf.reshape(tf.range(1.0, 25.0), shape)
    compiled = tf.function(lambda x: drop(x, 0.4, SEED), jit_compile=True)(x)
    np.testing.assert_array_equal(compiled, dropout(x, 0.4, SEED))


def test_no_seed_means_no_dropout():
    x = tf.ones([3, 3])
    assert dropout(x, 0.4, None) is x
    assert drop(x, 0.4, None) is x


def test_drop_placed_equals_drop_of_the_whole():
    dropped = drop(tf.ones([4, 6, 8]), 0.4, SEED)
    seed, sets = SEED[tf.newaxis], tf.constant([1, 2])
    part = PlacedDropout(0.4, seed, set_places=sets * 6 * 8, row_places=tf.range(6) * 8)
    np.testing.assert_array_equal(drop_placed(tf.ones([2, 6, 8]), part), dropped[1:3])


def test_split_seeds_are_distinct():
    seeds = split_seed(SEED, 100).numpy()
    np.testing.assert_array_equal(seeds[:10], split_seed(SEED, 10))
    assert len(np.unique(seeds, axis=0)) == 100


@pytest.mark.parametrize("seed", [None, SEED])
def test_relu_and_dropout_equals_both_in_turn(seed):
    x = tf.Variable(tf.random.stateless_normal([8, 9], [0, 0]))
    with tf.GradientTape(persistent=True) as tape:
        together = relu_and_dropout(x, 0.25, seed, Residuals())
        in_turn = dropout(tf.nn.relu(x), 0.25, seed)
    np.testing.assert_array_equal(together, in_turn)
    np.testing.assert_allclose(tape.gradient(together, x), tape.gradient(in_turn, x), rtol=1e-6)


def test_recomputed_relu_needs_no_input():
    x = tf.random.stateless_normal([8, 9], [0, 0])
    residuals = Residuals()
    y = relu_and_dropout(x, 0.25, SEED, residuals)
    with tf.GradientTape() as tape:
        other = tf.zeros_like(x)
        tape.watch(other)
        recomputed = relu_and_dropout(other, 0.25, SEED, residuals.for_recomputation(after=y))
    expected = np.where(y > 0, 1 / 0.75, 0)
    np.testing.assert_allclose(tape.gradient(recomputed, other), expected, rtol=1e-6)
