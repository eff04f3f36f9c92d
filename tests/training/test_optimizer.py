import numpy as np
import pytest
import tensorflow as tf

from senformer.training.optimizer import Adam


def reference(x, gradients, learning_rates):
    """Compute Adam in float64 by Kingma and Ba's algorithm 1."""
    m = v = np.zeros_like(x)
    for t, (g, learning_rate) in enumerate(zip(gradients, learning_rates, strict=True), start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        corrected = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        x = x - learning_rate * corrected
    return x


@pytest.mark.parametrize(
    ("decay_steps", "learning_rates"),
    [
        (None, [1e-2] * 20),
        (10, [*np.linspace(1e-2, 0, 11), *[0] * 9]),
        (40, np.linspace(1e-2, 1e-2 * 21 / 40, 20)),
    ],
)
def test_adam_matches_float64_reference(decay_steps, learning_rates):
    generator = np.random.default_rng(0)
    start, gradients = generator.normal(size=5), generator.normal(size=(20, 5))
    variable = tf.Variable(start, dtype=tf.float32)
    adam = Adam(1e-2, [variable], decay_steps=decay_steps)
    apply = tf.function(lambda g: adam.apply([g]))
    for gradient in gradients:
        apply(tf.constant(gradient, tf.float32))
    np.testing.assert_allclose(variable, reference(start, gradients, learning_rates), atol=1e-5)
    assert int(adam.step) == 20


def test_adam_keeps_variables_without_gradient():
    with_gradient, without = tf.Variable([1.0]), tf.Variable([1.0])
    adam = Adam(1e-2, [with_gradient, without])
    adam.apply([tf.ones([1]), tf.ones([1])])
    before = without.numpy(), adam.m[1].numpy(), adam.v[1].numpy()
    adam.apply([tf.ones([1]), None])
    np.testing.assert_array_equal([without, adam.m[1], adam.v[1]], before)
