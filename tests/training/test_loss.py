"""The loss: least at the target, and the same in one pass as written out."""

import numpy as np
import pytest
import tensorflow as tf

from senformer.training.loss import poisson_loss, poisson_loss_of_logits


def test_the_loss_is_least_where_the_prediction_is_the_target():
    target = tf.constant([0.5, 2.0, 7.0])
    at_target = float(poisson_loss(target, target))
    assert at_target < float(poisson_loss(target, target * 1.1))
    assert at_target < float(poisson_loss(target, target * 0.9))
    expected = np.mean([0.5 - 0.5 * np.log(0.5), 2 - 2 * np.log(2), 7 - 7 * np.log(7)])
    assert at_target == pytest.approx(expected, rel=1e-6)


def test_of_logits_it_is_the_loss_of_their_softplus_and_so_is_its_gradient():
    random = np.random.default_rng(0)
    target = random.poisson(2.0, [2, 8, 5]).astype("float32")
    logits = random.normal(0, 6, [2, 8, 5]).astype("float32")
    logits[0, 0] = [-40, -20, 0, 20, 40]  # where a prediction is nothing beside the epsilon
    loss, gradient = loss_and_gradient(poisson_loss_of_logits, target, logits)
    expected_loss, expected = loss_and_gradient(
        lambda target, logits: poisson_loss(target, tf.nn.softplus(logits)),
        target.astype("float64"),
        logits.astype("float64"),
    )
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_the_gradient_scales_with_what_comes_from_above():
    target, logits = np.ones([1, 2, 3], "float32"), np.zeros([1, 2, 3], "float32")
    _, once = loss_and_gradient(poisson_loss_of_logits, target, logits)
    _, thrice = loss_and_gradient(lambda *x: 3 * poisson_loss_of_logits(*x), target, logits)
    np.testing.assert_allclose(thrice, 3 * once, rtol=1e-6)


def loss_and_gradient(function, target, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = function(tf.constant(target), logits)
    return float(loss), tape.gradient(loss, logits).numpy()
