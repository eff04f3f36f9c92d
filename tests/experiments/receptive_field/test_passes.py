"""Spliced passes equal full passes at every position of a sequence."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scanned_models import PLAN, make_model, make_variants

from senformer.experiments.receptive_field import passes
from senformer.experiments.receptive_field.passes import full_passes, spliced_passes
from senformer.experiments.receptive_field.pattern import reachable_bins
from senformer.experiments.receptive_field.scan import (
    ScanPlan,
    mutation_effects,
    mutation_positions_bp,
)

FROM_LEFT = (0, 1, 127, 128, 390, 640, 1000)


def predict_both(model, variants, batch_size=1):
    """Return predictions of spliced and of full passes."""
    full = full_passes(lambda x: model.predict_on_batch(x)["human"].numpy())
    return spliced_passes(model, "human", batch_size=batch_size)(variants), full(variants)


def assert_close(found, expected, tolerance=4e-6):
    atol = tolerance * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [
        ("dense", 8),
        ("bigbird", 32),
        pytest.param("dense", 13, marks=pytest.mark.slow),
        pytest.param("dense", 32, marks=pytest.mark.slow),
    ],
)
def test_spliced_passes_equal_full_ones(kind, tokens):
    from_left = [position for position in FROM_LEFT if position < tokens * 128]
    variants = make_variants(tokens, from_left + [tokens * 128 - 1 - x for x in from_left])
    spliced, expected = predict_both(make_model(kind, block_size=4), variants, batch_size=4)
    assert_close(spliced, expected)
    effect = np.abs(expected[1:] - expected[0]).max(axis=(1, 2))
    assert (effect > 4e-5 * np.abs(expected).max()).all()  # else the equality shows nothing


@pytest.mark.parametrize("pooling", ["attention", "max"])
def test_spliced_passes_equal_for_every_base(pooling):
    variants = make_variants(20, list(range(1280, 1408, 9)))
    assert_close(*predict_both(make_model("dense", pooling=pooling), variants, batch_size=8))


def test_spliced_passes_need_every_changed_token(monkeypatch):
    monkeypatch.setattr(passes, "_CHANGED_TOKENS", 3)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_close(*predict_both(make_model("dense"), make_variants(20, [1280, 1407])), 2e-5)


def test_spliced_passes_leave_unreachable_bins():
    model = make_model("bigbird", num_layers=1, block_size=4, num_random_blocks=0)
    places = {"sequence_length_bp": 32 * 128, "positions_bp": [1100, 3000]}
    plan = ScanPlan(**{**PLAN, **places})
    abs_change = mutation_effects(spliced_passes(model, "human"), plan)["abs_change"]
    allowed = reachable_bins(model.config, num_layers=1, **places).reshape(-1)
    assert 0 < allowed.sum() < len(abs_change)
    np.testing.assert_array_equal(abs_change > 0, allowed)


def test_spliced_passes_name_an_unknown_head():
    with pytest.raises(ValueError, match="head='rat', expected one of human, mouse"):
        spliced_passes(make_model("dense"), "rat")


@pytest.mark.slow
def test_spliced_passes_equal_with_a_windowed_trunk():
    model = make_model("dense", channels=768, num_heads=8, num_transformer_layers=4)
    variants = make_variants(300, mutation_positions_bp(300 * 128).tolist())
    assert_close(*predict_both(model, variants), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "bigbird"])
def test_differentiable_pass_equals_the_model(kind):
    model = make_model(kind, block_size=4)
    sequence = tf.constant(make_variants(32, [0]).sequence[np.newaxis])
    results = []
    for predict in (passes.differentiable_pass(model, "human"), lambda x: model(x)["human"]):
        with tf.GradientTape() as tape:
            tape.watch(sequence)
            prediction = predict(sequence)
            mean_of_bin = tf.reduce_mean(prediction[0, 1])
        results.append((prediction.numpy(), tape.gradient(mean_of_bin, sequence).numpy()))
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, 1e-5)
