import numpy as np
import pytest
import tensorflow as tf

from senformer.config import preset
from senformer.model.attention.layer import make_attention

CONFIG = preset("enformer_tiny", block_size=4, tracks={"human": 1}, target_length=1)


def make_layer(config):
    layer = make_attention(config, 0, tf.random.Generator.from_seed(0), "attention")
    layer.output.w.assign(tf.eye(config.channels))
    return layer


@pytest.mark.parametrize(
    ("attention", "relative_positions", "knows_order"),
    [("dense", True, True), ("dense", False, False), ("tiled", False, False)],
)
def test_without_positions_the_order_of_the_keys_does_not_matter(
    attention, relative_positions, knows_order
):
    config = CONFIG.replace(attention=attention, relative_positions=relative_positions)
    layer = make_layer(config)
    x = tf.random.stateless_normal([1, 32, config.channels], [0, 1])
    features = layer.position_features(32)
    attended, of_reversed = layer(x, features), layer(x[:, ::-1], features)[:, ::-1]
    is_same = np.allclose(attended, of_reversed, atol=1e-4 * np.abs(attended).max())
    # Turning the tokens round keeps distances but not directions, which Enformer's features tell.
    assert is_same == (not knows_order)


def test_the_option_is_a_truth_value():
    with pytest.raises(ValueError, match="relative_positions='no', expected True or False"):
        CONFIG.replace(relative_positions="no")
