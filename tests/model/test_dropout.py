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
MANY = 2**20


def dropped(rate, seed, size=MANY):
    """Which of `size` values are dropped, as 0 and 1."""
    return np.asarray(dropout(tf.ones([size]), rate, seed) == 0, np.float64)


def deviations(counts, rate):
    """How many standard deviations a share of dropped values is from its rate."""
    return (counts.mean() - rate) / np.sqrt(rate * (1 - rate) / counts.size)


def test_it_is_a_function_of_its_seed():
    x = tf.ones([20, 30])
    np.testing.assert_array_equal(dropout(x, 0.4, SEED), dropout(x, 0.4, SEED))
    assert (dropout(x, 0.4, SEED).numpy() != dropout(x, 0.4, split_seed(SEED, 2)[1]).numpy()).any()


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.4])
def test_it_drops_the_rate_and_keeps_the_mean(rate):
    assert abs(deviations(dropped(rate, SEED), rate)) < 4
    kept = dropout(tf.ones([100]), rate, SEED).numpy()
    np.testing.assert_allclose(kept[kept > 0], 1 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("distance", [1, 2, 3, 64, 1024, 1536, 3072])
def test_a_value_says_nothing_of_another(distance):
    is_dropped = dropped(0.05, SEED)
    both = is_dropped[distance:] * is_dropped[:-distance]
    assert abs(deviations(both, 0.05**2)) < 4


# The first and the second word of a seed, by one and by much, and seeds made of it.
@pytest.mark.parametrize(
    "other",
    [
        *([8, 8], [7, 9], [7, -12345], [-12345, 8], [8, 7]),
        *split_seed(SEED, 2).numpy().tolist(),
        seed_heads(SEED, tf.range(8)).numpy().tolist()[7],
    ],
)
def test_a_seed_says_nothing_of_another(other):
    both = dropped(0.05, SEED) * dropped(0.05, tf.constant(other))
    assert abs(deviations(both, 0.05**2)) < 4


def test_what_is_dropped_passes_no_gradient_and_what_is_kept_its_scale():
    x = tf.Variable(tf.random.stateless_normal([8, 9], [0, 0]))
    with tf.GradientTape() as tape:
        y = dropout(x, 0.25, SEED)
    np.testing.assert_allclose(tape.gradient(y, x), y / x, rtol=1e-6)


@pytest.mark.parametrize("shape", [[24], [4, 6], [2, 3, 4]])
def test_inside_a_compiled_pass_it_drops_the_same(shape):
    x = tf.reshape(tf.range(1.0, 25.0), shape)
    compiled = tf.function(lambda x: drop(x, 0.4, SEED), jit_compile=True)(x)
    np.testing.assert_array_equal(compiled, dropout(x, 0.4, SEED))


def test_no_seed_means_no_dropout():
    x = tf.ones([3, 3])
    assert dropout(x, 0.4, None) is x
    assert drop(x, 0.4, None) is x


def test_of_a_part_it_drops_what_it_drops_of_the_whole():
    whole = tf.ones([4, 6, 8])
    dropped = drop(whole, 0.4, SEED)
    seed, sets = SEED[tf.newaxis], tf.constant([1, 2])
    part = PlacedDropout(0.4, seed, set_places=sets * 6 * 8, row_places=tf.range(6) * 8)
    np.testing.assert_array_equal(drop_placed(tf.ones([2, 6, 8]), part), dropped[1:3])


def test_a_part_of_a_batch_drops_what_it_drops_in_the_whole():
    x = tf.random.stateless_normal([6, 5, 7], [1, 2])
    of_part = tf.concat([SEED, [4]], axis=0)
    for whole, part in (
        (SEED, of_part),
        (split_seed(SEED, 3)[2], split_seed(of_part, 3)[2]),
    ):
        np.testing.assert_array_equal(dropout(x[4:], 0.4, part), dropout(x, 0.4, whole)[4:])
        together = relu_and_dropout(x, 0.4, whole, Residuals())
        np.testing.assert_array_equal(relu_and_dropout(x[4:], 0.4, part, Residuals()), together[4:])


def test_seeds_split_in_two_ways_are_the_same_seeds_and_no_two_are():
    seeds = split_seed(SEED, 100).numpy()
    np.testing.assert_array_equal(seeds[:10], split_seed(SEED, 10))
    assert len(np.unique(seeds, axis=0)) == 100


@pytest.mark.parametrize("seed", [None, SEED])
def test_relu_and_dropout_is_one_after_the_other_with_its_gradient(seed):
    x = tf.Variable(tf.random.stateless_normal([8, 9], [0, 0]))
    with tf.GradientTape(persistent=True) as tape:
        together = relu_and_dropout(x, 0.25, seed, Residuals())
        apart = dropout(tf.nn.relu(x), 0.25, seed)
    np.testing.assert_array_equal(together, apart)
    np.testing.assert_allclose(tape.gradient(together, x), tape.gradient(apart, x), rtol=1e-6)


def test_a_repeated_relu_has_its_gradient_without_its_input():
    x = tf.random.stateless_normal([8, 9], [0, 0])
    residuals = Residuals()
    y = relu_and_dropout(x, 0.25, SEED, residuals)
    with tf.GradientTape() as tape:
        anything = tf.zeros_like(x)
        tape.watch(anything)
        again = relu_and_dropout(anything, 0.25, SEED, residuals.for_recomputation(after=y))
    expected = np.where(y > 0, 1 / 0.75, 0)
    np.testing.assert_allclose(tape.gradient(again, anything), expected, rtol=1e-6)
