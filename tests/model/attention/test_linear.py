import numpy as np
import pytest
import tensorflow as tf
from attention_reference import (
    BFLOAT16_TOLERANCE,
    assert_matches,
    make_inputs,
    output_and_gradients,
)

from senformer.model.attention.linear import linear_attention
from senformer.model.compute import device, xla


def quadratic(inputs):
    """Attend with every weight written down, in float64."""
    query, key, value = (tf.cast(x, tf.float64) for x in inputs[:3])
    weights = tf.einsum("bhqd,bhkd->bhqk", tf.nn.elu(query) + 1, tf.nn.elu(key) + 1)
    return tf.matmul(weights / tf.reduce_sum(weights, axis=-1, keepdims=True), value)


@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_linear_matches_the_quadratic_form(device_type):
    with device.traced_for(device_type):
        attend = xla.program(linear_attention)
    assert_matches(attend, make_inputs(40, is_relative=False), quadratic)


def test_queries_far_below_zero_keep_weights():
    inputs = make_inputs(40, is_relative=False)
    low = inputs._replace(query=inputs.query - 40)
    assert all(np.isfinite(x).all() for x in output_and_gradients(linear_attention, low))
    low = inputs._replace(query=inputs.query - 30)
    np.testing.assert_allclose(linear_attention(low), quadratic(low), atol=1e-4)


def test_bfloat16_stays_near_float64():
    inputs = make_inputs(64, is_relative=False, dtype=tf.bfloat16)
    assert_matches(linear_attention, inputs, quadratic, BFLOAT16_TOLERANCE, BFLOAT16_TOLERANCE)
