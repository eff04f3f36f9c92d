import numpy as np
import pytest
import tensorflow as tf
from attention_reference import assert_all_close, output_and_gradients, relative_arrays

from senformer.model.attention.linear import linear_attention
from senformer.model.compute import device, xla


def quadratic(query, key, value):
    """Every weight written down, in float64."""
    query, key, value = (tf.cast(x, tf.float64) for x in (query, key, value))
    weights = tf.einsum("bhqd,bhkd->bhqk", tf.nn.elu(query) + 1, tf.nn.elu(key) + 1)
    return tf.matmul(weights / tf.reduce_sum(weights, axis=-1, keepdims=True), value)


@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_output_and_gradients_equal_the_quadratic_form(device_type):
    inputs = relative_arrays(40)[:3]
    with device.traced_for(device_type):
        function = xla.program(linear_attention)
    assert_all_close(
        output_and_gradients(function, inputs), output_and_gradients(quadratic, inputs)
    )


def test_a_query_far_below_zero_still_has_weights():
    query, key, value = relative_arrays(40)[:3]
    results = output_and_gradients(linear_attention, [query - 40, key, value])
    assert all(np.isfinite(x).all() for x in results)
    expected = quadratic(tf.cast(query, tf.float64) - 30, key, value)
    np.testing.assert_allclose(linear_attention(query - 30, key, value), expected, atol=1e-4)


def test_bfloat16_stays_near_float32():
    inputs = [tf.cast(x, tf.bfloat16) for x in relative_arrays(64)[:3]]
    ours = output_and_gradients(linear_attention, inputs)
    assert {x.dtype for x in ours} == {tf.bfloat16}
    assert_all_close(ours, output_and_gradients(quadratic, inputs), 1e-2, 1e-2)
