import numpy as np
import pytest
import tensorflow as tf

from senformer import trunk
from senformer.config import preset
from senformer.enformer import Enformer


@pytest.fixture(scope="module", params=["attention", "max"])
def model(request):
    config = preset("enformer_tiny", pooling=request.param, target_length=8, tracks={"human": 1})
    model = Enformer(config)
    generator = tf.random.Generator.from_seed(0)
    for block in model.trunk:
        for part in block.submodules:  # statistics and offsets that are not the identity
            if hasattr(part, "moving_mean"):
                part.offset.assign(generator.normal(part.offset.shape))
                part.moving_mean.average.assign(generator.normal(part.offset.shape))
                part.moving_variance.average.assign(generator.uniform(part.offset.shape) + 0.5)
            if hasattr(part, "b") and part.b is not None:
                part.b.assign(generator.normal(part.b.shape))
    return model


def random_sequence(tokens, batch=2):
    bases = np.random.default_rng(tokens).integers(0, 4, size=(batch, tokens * 128))
    return tf.one_hot(bases, 4)


def whole(model):
    return lambda sequence: model._embed_whole(sequence, False, ())


@pytest.mark.parametrize("tokens", [14, 15, 16, 23, 40])  # one window, exact fit, remainders
def test_windows_equal_the_whole(model, tokens):
    sequence = random_sequence(tokens)
    expected = whole(model)(sequence).numpy()
    windows = trunk.embed_in_windows(whole(model), sequence, window_tokens=8).numpy()
    assert windows.shape == expected.shape
    np.testing.assert_allclose(windows, expected, atol=2e-6 * np.abs(expected).max())


def test_a_smaller_margin_would_not_do(model, monkeypatch):
    sequence = random_sequence(40)
    expected = whole(model)(sequence).numpy()
    monkeypatch.setattr(trunk, "reach_tokens", lambda: 1)
    windows = trunk.embed_in_windows(whole(model), sequence, window_tokens=8).numpy()
    assert np.abs(windows - expected).max() > 1e-4 * np.abs(expected).max()


def test_a_base_reaches_exactly_as_far_as_reach_bp_says(model):
    tokens, middle = 20, 10
    sequence = random_sequence(tokens, batch=1).numpy()
    expected = whole(model)(tf.constant(sequence)).numpy()[0, middle]

    def differs(position):
        changed = sequence.copy()
        changed[0, position] = 1 - changed[0, position]
        return np.abs(whole(model)(tf.constant(changed)).numpy()[0, middle] - expected).max() > 0

    first, last = middle * 128 - trunk.reach_bp(), middle * 128 + 127 + trunk.reach_bp()
    assert not differs(first - 1)
    assert not differs(last + 1)
    if model.config.pooling == "attention":  # a maximum may hide one base
        assert differs(first)
        assert differs(last)


def test_windows_work_for_a_batch_of_unknown_size(model):
    sequence = random_sequence(23, batch=3)
    run = tf.function(
        lambda x: trunk.embed_in_windows(whole(model), x, window_tokens=8),
        input_signature=[tf.TensorSpec([None, sequence.shape[1], 4])],
    )
    np.testing.assert_allclose(run(sequence), whole(model)(sequence), atol=1e-4)
