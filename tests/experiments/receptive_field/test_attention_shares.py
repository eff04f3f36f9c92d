"""Attention that a sparse pattern keeps is a share of a trained model's dense attention."""

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


def test_attention_kept_sums_to_one_by_head(shares):
    by_head = shares.groupby(["layer", "head"])["share_of_attention"].sum()
    assert len(by_head) == SPARSE.num_transformer_layers * SPARSE.num_heads
    np.testing.assert_allclose(by_head, 1, rtol=1e-5)
    assert shares["share_kept"].between(0, 1).all()


def test_uniform_attention_is_kept_by_chance(sequences):
    model = model_with_uniform_attention()
    shares = attention_shares.attention_kept(model, SPARSE, sequences[:1])
    np.testing.assert_allclose(shares["share_kept"], shares["share_kept_by_chance"], rtol=1e-5)


def test_attention_to_the_own_token_is_kept(sequences):
    model = model_with_uniform_attention()
    for block in model.transformer:
        layer = block.attention
        layer.position_bias.assign(tf.ones_like(layer.position_bias))
        features = layer.position_features(LENGTH_BP // 128)
        narrowest = tf.argmax(features[features.shape[0] // 2] - tf.reduce_mean(features, 0))
        weights = np.zeros(layer.relative_key.w.shape)
        weights[narrowest] = 10.0
        layer.relative_key.w.assign(weights)
    shares = attention_shares.attention_kept(model, SPARSE, sequences[:1])
    nearest = shares[shares["nearest_bp"] == 0]
    assert (nearest["share_of_attention"] > 0.99).all()
    assert (nearest["share_kept"] > 0.99).all()


def model_with_uniform_attention() -> Enformer:
    model = Enformer(DENSE, seed=0)
    for block in model.transformer:
        for variable in block.attention.trainable_variables:
            variable.assign(tf.zeros_like(variable))
    return model


def test_attention_weights_reproduce_the_layer(enformer):
    layer = enformer.transformer[0].attention
    x = tf.random.stateless_normal([2, 64, DENSE.channels], [1, 2])
    features = layer.position_features(64)
    value = tf.reshape(layer.value(x), [2, 64, DENSE.num_heads, -1])
    attended = tf.einsum("bhqk,bkhv->bqhv", layer.weights(x, features), value)
    layer.output.w.assign(tf.eye(DENSE.channels))
    np.testing.assert_allclose(
        tf.reshape(attended, [2, 64, -1]), layer(x, features), rtol=1e-4, atol=1e-5
    )


def test_attention_kept_rejects_sparse_models(enformer, sequences):
    with pytest.raises(ValueError, match="attention='bigbird', expected a kind with Enformer's"):
        attention_shares.attention_kept(Enformer(SPARSE), SPARSE, sequences)
    with pytest.raises(ValueError, match="no sequences"):
        attention_shares.attention_kept(enformer, SPARSE, [])
