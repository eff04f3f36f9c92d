import numpy as np
import pytest
import tensorflow as tf
from slow_cases import slow

from senformer.config import preset
from senformer.model import trunk
from senformer.model.compute import device
from senformer.model.enformer import Enformer


@pytest.fixture(scope="module", params=["attention", "max"])
def model(request):
    config = preset("enformer_tiny", pooling=request.param, target_length=8, tracks={"human": 1})
    model = Enformer(config)
    generator = tf.random.Generator.from_seed(0)
    for block in model.trunk:
        for part in block.submodules:  # change initial statistics and offsets
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


def whole(model, sequence):
    return trunk.embed(model.trunk_in_evaluation(), sequence)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(trunk, "WINDOW_TOKENS", 8)
    monkeypatch.setattr(trunk, "EARLY_WINDOW_TOKENS", 2)


def in_windows(model, sequence):
    return trunk.embed_in_windows(model.trunk_in_evaluation(), sequence)


@pytest.mark.parametrize("device_type", ["cpu", slow("gpu")])
# One window, an exact fit, remainders.
@pytest.mark.parametrize("tokens", [slow(14), 15, slow(16), 23, slow(40)])
def test_windows_match_the_whole_sequence(model, tokens, device_type):
    sequence = random_sequence(tokens)
    expected = whole(model, sequence).numpy()
    with device.traced_for(device_type):
        windows = in_windows(model, sequence).numpy()
    assert windows.shape == expected.shape
    np.testing.assert_allclose(windows, expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("tokens", [slow(5), slow(16), 23])  # one window, exact fit, remainder
def test_gradient_in_windows_matches_the_whole(model, monkeypatch, tokens):
    monkeypatch.setattr(trunk, "EARLY_WINDOW_TOKENS", 8)
    sequence = random_sequence(tokens)
    upstream = tf.random.Generator.from_seed(1).normal([2, tokens, model.config.channels])
    expected = gradient_of(trunk.embed, model, sequence, upstream)
    gradient = gradient_of(trunk.embed_differentiably, model, sequence, upstream)
    np.testing.assert_allclose(gradient, expected, atol=4e-6 * np.abs(expected).max())


def gradient_of(embed, model, sequence, upstream):
    @tf.function
    def gradient(sequence, upstream):
        with tf.GradientTape() as tape:
            tape.watch(sequence)
            tokens = embed(model.trunk_in_evaluation(), sequence)
        return tape.gradient(tokens, sequence, output_gradients=upstream)

    return gradient(sequence, upstream).numpy()


@pytest.mark.parametrize("num_blocks", [trunk.NUM_EARLY_BLOCKS, 1 + trunk.NUM_TOWER_BLOCKS])
def test_smaller_margin_changes_tokens(model, monkeypatch, num_blocks):
    sequence = random_sequence(40)
    expected = whole(model, sequence).numpy()
    margin_of = trunk.reach_positions
    monkeypatch.setattr(trunk, "reach_positions", lambda n: margin_of(n) - 2 * (n == num_blocks))
    windows = in_windows(model, sequence).numpy()
    assert np.abs(windows - expected).max() > 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("num_blocks", [trunk.NUM_EARLY_BLOCKS, 1 + trunk.NUM_TOWER_BLOCKS])
def test_reach_bp_is_exact(model, num_blocks):
    blocks = model.trunk_in_evaluation()[:num_blocks]
    bp, reach = 2**num_blocks, trunk.reach_bp(num_blocks)
    middle = 10 * 128 // bp
    sequence = random_sequence(20, batch=1).numpy()
    expected = trunk.embed(blocks, tf.constant(sequence)).numpy()[0, middle]

    def differs(base):
        changed = sequence.copy()
        changed[0, base] = 1 - changed[0, base]
        actual = trunk.embed(blocks, tf.constant(changed)).numpy()[0, middle]
        return np.abs(actual - expected).max() > 0

    first, last = middle * bp - reach, middle * bp + bp - 1 + reach
    assert not differs(first - 1)
    assert not differs(last + 1)
    if model.config.pooling == "attention":  # a maximum may hide one base
        assert differs(first)
        assert differs(last)


def test_early_blocks_run_in_shorter_windows(model):
    stem, *tower = model.trunk_in_evaluation()
    lengths = {"stem": set(), "late": set()}

    def record_length(name, block):
        def run(x):
            lengths[name].add(x.shape[1])
            return block(x)

        return run

    blocks = [record_length("stem", stem), *tower[:2], record_length("late", tower[2]), *tower[3:]]
    trunk.embed_in_windows(blocks, random_sequence(40))
    margin = 3  # tokens, and positions of 8 bp
    assert lengths == {"stem": {2 * 128 + 2 * margin * 8}, "late": {(8 + 2 * margin) * 16}}


def test_windows_accept_unknown_batch_size(model):
    sequence = random_sequence(23, batch=3)
    run = tf.function(
        lambda x: in_windows(model, x),
        input_signature=[tf.TensorSpec([None, sequence.shape[1], 4])],
    )
    np.testing.assert_allclose(run(sequence), whole(model, sequence), atol=1e-4)
