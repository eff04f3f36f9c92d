import numpy as np
import pytest
import tensorflow as tf

from senformer.config import preset
from senformer.model import frozen_trunk, trunk
from senformer.model.compute import device
from senformer.model.enformer import Enformer


@pytest.fixture(scope="module", params=["attention", "max"])
def model(request):
    """Return a model in which every variable differs from its initial value."""
    model = Enformer(preset("enformer_tiny", pooling=request.param))
    generator = tf.random.Generator.from_seed(2)
    for variable in (v for block in model.trunk for v in block.variables if v.dtype == tf.float32):
        factors = generator.uniform(variable.shape, 0.5, 1.5)
        variable.assign(variable * factors + 0.1 * (factors - 1))
    return model


def tokens_and_gradient(blocks):
    bases = tf.random.Generator.from_seed(0).uniform([2, 1280], maxval=4, dtype=tf.int32)
    sequence = tf.one_hot(bases, 4)
    with tf.GradientTape() as tape:
        tape.watch(sequence)
        tokens = trunk.embed(blocks, sequence)
        total = tf.reduce_sum(tokens**2)
    return tokens, tape.gradient(total, sequence)


def test_frozen_trunk_matches_modules(model):
    found = tokens_and_gradient(frozen_trunk.frozen_trunk(model.stem, model.tower))
    for array, expected in zip(
        found, tokens_and_gradient(model.trunk_in_evaluation()), strict=True
    ):
        np.testing.assert_allclose(array, expected, atol=1e-5 * np.abs(expected).max())


def test_is_faster_in_float32_on_a_cpu():
    with device.traced_for("cpu"):
        assert frozen_trunk.is_faster(tf.float32)
        assert not frozen_trunk.is_faster(tf.bfloat16)
    with device.traced_for("gpu"):
        assert not frozen_trunk.is_faster(tf.float32)
