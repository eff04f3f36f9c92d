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


def predict_fully(model, variants):
    return full_passes(lambda x: model.predict_on_batch(x)["human"].numpy())(variants)


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
    model = make_model(kind, block_size=4)
    from_left = [position for position in FROM_LEFT if position < tokens * 128]
    variants = make_variants(tokens, from_left + [tokens * 128 - 1 - x for x in from_left])
    expected = predict_fully(model, variants)
    spliced = spliced_passes(model, "human", batch_size=4)(variants)
    atol = 4e-6 * np.abs(expected).max()
    np.testing.assert_allclose(spliced, expected, rtol=0, atol=atol)
    effect = np.abs(expected[1:] - expected[0]).max(axis=(1, 2))
    assert (effect > 10 * atol).all()  # else the equality shows nothing


@pytest.mark.parametrize("pooling", ["attention", "max"])
def test_spliced_passes_equal_for_every_base(pooling):
    model = make_model("dense", pooling=pooling)
    variants = make_variants(20, list(range(1280, 1408, 9)))
    expected = predict_fully(model, variants)
    spliced = spliced_passes(model, "human", batch_size=8)(variants)
    np.testing.assert_allclose(spliced, expected, rtol=0, atol=4e-6 * np.abs(expected).max())


def test_spliced_passes_need_every_changed_token(monkeypatch):
    model = make_model("dense")
    variants = make_variants(20, [1280, 1407])
    monkeypatch.setattr(passes, "_CHANGED_TOKENS", 3)
    expected = predict_fully(model, variants)
    spliced = spliced_passes(model, "human")(variants)
    assert np.abs(spliced - expected).max() > 2e-5 * np.abs(expected).max()


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
    expected = predict_fully(model, variants)
    spliced = spliced_passes(model, "human")(variants)
    np.testing.assert_allclose(spliced, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


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
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
