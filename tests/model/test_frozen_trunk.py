"""The trunk of fewer operations gives what its modules give."""

import numpy as np
import pytest
import tensorflow as tf

from senformer.config import preset
from senformer.model import frozen_trunk, trunk
from senformer.model.compute import device
from senformer.model.enformer import Enformer


@pytest.fixture(scope="module", params=["attention", "max"])
def model(request: pytest.FixtureRequest) -> Enformer:
    """A model of which no variable is as it is made, so that every one counts."""
    model = Enformer(preset("enformer_tiny", pooling=request.param))
    generator = tf.random.Generator.from_seed(2)
    for variable in (v for block in model.trunk for v in block.variables if v.dtype == tf.float32):
        factors = generator.uniform(variable.shape, 0.5, 1.5)
        variable.assign(variable * factors + 0.1 * (factors - 1))
    return model


def test_tokens_equal_those_of_the_modules(model: Enformer) -> None:
    expected = trunk.embed(model.trunk_in_evaluation(), sequences())
    actual = trunk.embed(frozen_trunk.frozen_trunk(model.stem, model.tower), sequences())
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_gradients_equal_those_of_the_modules(model: Enformer) -> None:
    def gradient(blocks: list[trunk.Block]) -> np.ndarray:
        x = sequences()
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(trunk.embed(blocks, x) ** 2)
        return tape.gradient(total, x).numpy()

    expected = gradient(model.trunk_in_evaluation())
    actual = gradient(frozen_trunk.frozen_trunk(model.stem, model.tower))
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


def test_it_is_for_float32_on_a_cpu() -> None:
    with device.traced_for("cpu"):
        assert frozen_trunk.is_faster(tf.float32)
        assert not frozen_trunk.is_faster(tf.bfloat16)
    with device.traced_for("gpu"):
        assert not frozen_trunk.is_faster(tf.float32)


def sequences() -> tf.Tensor:
    bases = tf.random.Generator.from_seed(0).uniform([2, 1280], maxval=4, dtype=tf.int32)
    return tf.one_hot(bases, 4)
