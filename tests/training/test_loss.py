import numpy as np
import pytest
import tensorflow as tf

from senformer.training.loss import poisson_loss, poisson_loss_of_logits


def test_poisson_loss_is_minimal_at_target():
    target = tf.constant([0.5, 2.0, 7.0])
    at_target = float(poisson_loss(target, target))
    assert at_target < float(poisson_loss(target, target * 1.1))
    assert at_target < float(poisson_loss(target, target * 0.9))
    expected = np.mean([0.5 - 0.5 * np.log(0.5), 2 - 2 * np.log(2), 7 - 7 * np.log(7)])
    assert at_target == pytest.approx(expected, rel=1e-6)


def test_loss_of_logits_matches_float64_reference():
    random = np.random.default_rng(0)
    target = random.poisson(2.0, [2, 8, 5]).astype("float32")
    logits = random.normal(0, 6, [2, 8, 5]).astype("float32")
    logits[0, 0] = [-40, -20, 0, 20, 40]  # includes predictions far below the epsilon
    loss, gradient = loss_and_gradient(lambda *x: 3 * poisson_loss_of_logits(*x), target, logits)
    expected_loss, expected = loss_and_gradient(
        lambda target, logits: 3 * poisson_loss(target, tf.nn.softplus(logits)),
        target.astype("float64"),
        logits.astype("float64"),
    )
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def loss_and_gradient(function, target, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = function(tf.constant(target), logits)
    return float(loss), tape.gradient(loss, logits).numpy()
