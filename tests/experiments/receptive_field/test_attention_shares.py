import numpy as np
import pytest
import tensorflow as tf

from senformer.config import preset
from senformer.experiments.receptive_field import attention_shares
from senformer.model.enformer import Enformer

LENGTH_BP = 16_384
SPARSE = preset("senformer_tiny", tracks={"human": 3}, target_length=32)
DENSE = SPARSE.replace(attention="dense")


@pytest.fixture(scope="module")
def sequences():
    rng = np.random.default_rng(0)
    return [np.eye(4, dtype=np.float32)[rng.integers(4, size=LENGTH_BP)] for _ in range(2)]


@pytest.fixture(scope="module")
def enformer():
    return Enformer(DENSE, seed=0)


@pytest.fixture(scope="module")
def shares(enformer, sequences):
    return attention_shares.attention_kept(enformer, SPARSE, sequences)


def test_each_head_gives_all_of_its_attention_to_some_band(shares):
    by_head = shares.groupby(["layer", "head"])["share_of_attention"].sum()
    assert len(by_head) == SPARSE.num_transformer_layers * SPARSE.num_heads
    np.testing.assert_allclose(by_head, 1, rtol=1e-5)
    assert shares["share_kept"].between(0, 1).all()


def test_attention_that_falls_on_all_keys_alike_is_kept_by_chance(sequences):
    model = Enformer(DENSE, seed=0)
    for block in model.transformer:
        for variable in block.attention.trainable_variables:
            variable.assign(tf.zeros_like(variable))
    shares = attention_shares.attention_kept(model, SPARSE, sequences[:1])
    np.testing.assert_allclose(shares["share_kept"], shares["share_kept_by_chance"], rtol=1e-5)


def test_attention_to_neighbours_is_kept_whole(sequences):
    model = Enformer(DENSE, seed=0)
    for block in model.transformer:
        # A query that likes the central mask alone: its narrowest feature is the token itself.
        layer = block.attention
        for variable in layer.trainable_variables:
            variable.assign(tf.zeros_like(variable))
        layer.position_bias.assign(tf.ones_like(layer.position_bias))
        features = layer.position_features(LENGTH_BP // 128)
        at_zero = tf.argmax(features[features.shape[0] // 2] - tf.reduce_mean(features, 0))
        layer.relative_key.w.assign(
            tf.tensor_scatter_nd_update(
                tf.zeros_like(layer.relative_key.w),
                [[at_zero, n] for n in range(layer.relative_key.w.shape[1])],
                [10.0] * layer.relative_key.w.shape[1],
            )
        )
    shares = attention_shares.attention_kept(model, SPARSE, sequences[:1])
    nearest = shares[shares["nearest_bp"] == 0]
    assert (nearest["share_of_attention"] > 0.99).all()
    assert (nearest["share_kept"] > 0.99).all()


def test_the_weights_are_those_that_the_layer_attends_with(enformer):
    layer = enformer.transformer[0].attention
    x = tf.random.stateless_normal([2, 64, DENSE.channels], [1, 2])
    features = layer.position_features(64)
    value = tf.reshape(layer.value(x), [2, 64, DENSE.num_heads, -1])
    attended = tf.einsum("bhqk,bkhv->bqhv", layer.weights(x, features), value)
    layer.output.w.assign(tf.eye(DENSE.channels))
    np.testing.assert_allclose(
        tf.reshape(attended, [2, 64, -1]), layer(x, features), rtol=1e-4, atol=1e-5
    )


def test_a_model_without_such_weights_is_refused(sequences):
    with pytest.raises(ValueError, match="attention='bigbird', expected a kind with Enformer's"):
        attention_shares.attention_kept(Enformer(SPARSE), SPARSE, sequences)
    with pytest.raises(ValueError, match="no sequences"):
        attention_shares.attention_kept(Enformer(DENSE), SPARSE, [])
