"""Spliced passes equal full ones, at every place of a sequence."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scanned_models import ARGUMENTS, model_of, predictor, variants_of

from senformer.experiments.receptive_field import passes
from senformer.experiments.receptive_field.passes import full_passes, spliced_passes
from senformer.experiments.receptive_field.pattern import reachable_bins
from senformer.experiments.receptive_field.scan import mutation_effects, mutation_positions_bp


class TestSplicedPasses:
    ENDS_AND_SEAMS = (0, 1, 127, 128, 390, 640, 1000)

    @pytest.mark.parametrize(
        ("kind", "tokens"),
        [
            ("dense", 8),
            ("bigbird", 32),
            pytest.param("dense", 13, marks=pytest.mark.slow),
            pytest.param("dense", 32, marks=pytest.mark.slow),
        ],
    )
    def test_equal_full_passes_from_the_first_base_to_the_last(self, kind, tokens):
        model = model_of(kind, block_size=4)
        from_left = [position for position in self.ENDS_AND_SEAMS if position < tokens * 128]
        positions = from_left + [tokens * 128 - 1 - position for position in from_left]
        variants = variants_of(tokens, positions)
        expected = full_passes(predictor(model))(variants)
        spliced = spliced_passes(model, "human", batch_size=4)(variants)
        atol = 4e-6 * np.abs(expected).max()
        np.testing.assert_allclose(spliced, expected, rtol=0, atol=atol)
        change = np.abs(expected[1:] - expected[0]).max(axis=(1, 2))
        assert (change > 10 * atol).all()  # so that equality means something

    @pytest.mark.parametrize("pooling", ["attention", "max"])
    def test_every_base_of_a_token_is_spliced_right(self, pooling):
        model = model_of("dense", pooling=pooling)
        variants = variants_of(20, list(range(1280, 1408, 9)))
        expected = full_passes(predictor(model), batch_size=8)(variants)
        spliced = spliced_passes(model, "human", batch_size=8)(variants)
        np.testing.assert_allclose(spliced, expected, rtol=0, atol=4e-6 * np.abs(expected).max())

    def test_one_token_less_would_not_do(self, monkeypatch):
        model = model_of("dense")
        variants = variants_of(20, [1280, 1407])
        expected = full_passes(predictor(model))(variants)
        monkeypatch.setattr(passes, "_CHANGED_TOKENS", 3)
        spliced = spliced_passes(model, "human")(variants)
        assert np.abs(spliced - expected).max() > 2e-5 * np.abs(expected).max()

    def test_a_bin_out_of_reach_does_not_change_at_all(self):
        model = model_of("bigbird", num_layers=1, block_size=4, num_random_blocks=0)
        arguments = {**ARGUMENTS, "sequence_length_bp": 32 * 128, "positions_bp": [1100, 3000]}
        frame = mutation_effects(spliced_passes(model, "human"), **arguments)
        allowed = reachable_bins(
            model.config, sequence_length_bp=32 * 128, positions_bp=[1100, 3000], num_layers=1
        ).reshape(-1)
        assert 0 < allowed.sum() < len(frame)
        assert frame["abs_change"][~allowed].eq(0).all()
        assert frame["abs_change"][allowed].gt(0).all()

    def test_an_unknown_head_is_named(self):
        with pytest.raises(ValueError, match="head='rat', expected one of human, mouse"):
            spliced_passes(model_of("dense"), "rat")

    @pytest.mark.slow
    def test_equal_full_passes_where_the_trunk_is_windowed_and_channels_are_many(self):
        model = model_of("dense", channels=768, num_heads=8, num_transformer_layers=4)
        positions = mutation_positions_bp(300 * 128).tolist()
        variants = variants_of(300, positions)
        expected = full_passes(predictor(model))(variants)
        spliced = spliced_passes(model, "human")(variants)
        np.testing.assert_allclose(spliced, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "bigbird"])
def test_a_differentiable_pass_is_the_models_with_its_gradient(kind):
    model = model_of(kind, block_size=4)
    sequence = tf.constant(variants_of(32, [0]).sequence[np.newaxis])
    results = []
    for predict in (passes.differentiable_pass(model, "human"), lambda x: model(x)["human"]):
        with tf.GradientTape() as tape:
            tape.watch(sequence)
            prediction = predict(sequence)
            of_bin = tf.reduce_mean(prediction[0, 1])
        results.append((prediction.numpy(), tape.gradient(of_bin, sequence).numpy()))
    for mine, expected in zip(*results, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
