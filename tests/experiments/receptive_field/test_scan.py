"""The mutation experiment finds the reach that a model is known to have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scanned_models import ARGUMENTS, LENGTH, WEIGHTS, effects, local, model_of

from senformer.experiments.receptive_field.passes import full_passes
from senformer.experiments.receptive_field.pattern import reachable_bins
from senformer.experiments.receptive_field.scan import (
    gradient_effects,
    is_reached,
    mutation_positions_bp,
    noise_floor,
)


class TestPositions:
    def test_nine_on_enformers_input_are_those_of_the_study(self, shared):
        study = pd.read_csv(shared / "published" / "receptive_field.csv")
        expected = sorted(study["mutation_position_bp"].unique())
        assert mutation_positions_bp(196_608).tolist() == expected

    def test_first_and_last_base_are_included(self):
        assert mutation_positions_bp(10, 3).tolist() == [0, 4, 9]

    @pytest.mark.parametrize("number", [1, 11])
    def test_too_few_or_too_many_are_refused(self, number):
        with pytest.raises(ValueError, match=f"num_positions={number}: expected 2 to"):
            mutation_positions_bp(10, number)


class TestMutationEffects:
    def test_only_the_mutated_bin_changes_and_by_the_change_of_its_bases(self):
        frame = effects(num_sequences=400)
        change = frame.pivot(index="mutation_position_bp", columns="bin", values="abs_change")
        assert change.loc[0].eq(0).all()  # before the bins that are predicted
        assert (change.loc[300] > 0).tolist() == [True, False, False, False]
        assert (change.loc[639] > 0).tolist() == [False, False, True, False]
        # |difference| of two different bases, over all pairs, times the mean over tracks of 1 and 2
        pairs = [abs(a - b) for a in WEIGHTS for b in WEIGHTS if a != b]
        assert change.loc[300, 0] == pytest.approx(1.5 * np.mean(pairs), rel=0.1)

    def test_tracks_that_move_apart_cancel_in_the_change_of_their_mean(self):
        frame = effects()  # the tracks move by 1 and -2 times the same
        np.testing.assert_allclose(frame["abs_change_of_mean"], frame["abs_change"] / 3, rtol=1e-6)

    def test_bins_are_placed_in_the_input(self):
        frame = effects()
        assert list(frame.columns) == [
            "mutation_position_bp",
            "bin",
            "bin_start_bp",
            "abs_change",
            "abs_change_of_mean",
        ]
        assert frame["bin"].tolist() == [0, 1, 2, 3] * 3
        assert frame["bin_start_bp"].tolist() == [256, 384, 512, 640] * 3

    def test_every_mutation_replaces_one_base_by_another_and_all_three_occur(self):
        seen = []

        def watch(sequence):
            seen.append(sequence)
            return local(sequence)

        effects(watch, num_sequences=60, batch_size=4)
        shifts = set()
        for original, *mutants in _groups(seen):
            np.testing.assert_array_equal(original.sum(axis=-1), 1)
            for mutant, position in zip(mutants, [0, 300, 639], strict=True):
                changed = np.flatnonzero((original != mutant).any(axis=-1))
                assert changed.tolist() == [position]
                np.testing.assert_array_equal(np.sort(mutant[position]), [0, 0, 0, 1])
                shifts.add(int(mutant[position].argmax() - original[position].argmax()) % 4)
        assert shifts == {1, 2, 3}

    def test_the_batch_size_does_not_matter(self):
        one, many = effects(batch_size=1), effects(batch_size=3)
        np.testing.assert_allclose(one["abs_change"], many["abs_change"], rtol=1e-6)

    def test_sequences_come_from_the_seed_alone(self):
        assert effects().equals(effects())
        assert not effects().equals(effects(seed=2))

    def test_more_sequences_keep_the_first_ones(self):
        seen: list[np.ndarray] = []
        effects(lambda s: (seen.append(s), local(s))[1], num_sequences=1)
        few = np.concatenate(seen)
        seen.clear()
        effects(lambda s: (seen.append(s), local(s))[1], num_sequences=3)
        np.testing.assert_array_equal(np.concatenate(seen)[: len(few)], few)

    @pytest.mark.parametrize("position", [-1, LENGTH])
    def test_a_position_outside_is_named(self, position):
        with pytest.raises(ValueError, match=f"position {position} bp: expected 0 to 1023"):
            effects(positions_bp=[0, position])

    @pytest.mark.parametrize("name", ["num_sequences", "batch_size"])
    def test_numbers_must_be_positive(self, name):
        with pytest.raises(ValueError, match=f"{name}=0: expected at least 1"):
            effects(**{name: 0})


def _groups(batches: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(batches).reshape(-1, 4, LENGTH, 4)


class TestNoiseFloor:
    def test_is_far_below_an_effect_and_zero_where_nothing_is_read(self):
        floor = noise_floor(full_passes(local), **ARGUMENTS)
        effect = effects()
        places = ["mutation_position_bp", "bin", "bin_start_bp"]
        assert floor[places].equals(effect[places])
        reached = effect["abs_change"] > 0
        assert (floor["abs_change"][reached] < 1e-3 * effect["abs_change"][reached]).all()
        assert floor["abs_change"][~reached].eq(0).all()

    def test_shows_the_rounding_of_a_model_that_loses_digits(self):
        def rounding(sequence: np.ndarray) -> np.ndarray:
            far = np.float32(1e6) + local(sequence)  # float32 near a million: steps of 1/16
            return far + np.float32(1e3) * local(sequence).sum(axis=1, keepdims=True)

        arguments = {**ARGUMENTS, "positions_bp": [300], "num_sequences": 20}
        floor = noise_floor(full_passes(rounding), **arguments)
        assert floor["abs_change"].max() > 1e-3

    def test_a_change_reaches_a_bin_where_it_stands_clear_of_the_noise_there(self):
        changes = effects().assign(model="Enformer", abs_change=2e-5)
        noise = changes.assign(abs_change=np.tile([1e-6, 1e-5, 1e-4, 0.0], 3))
        reached = is_reached(changes, noise.sample(frac=1, random_state=0))
        assert reached.tolist() == [True, False, False, True] * 3

    def test_noise_that_was_not_measured_is_named(self):
        changes = effects().assign(model="Enformer")
        with pytest.raises(ValueError, match=r"no noise measured for .*'model': 'Enformer'"):
            is_reached(changes, changes.assign(model="S-Enformer"))


class TestGradients:
    def test_of_a_linear_model_are_what_its_mutations_do(self):
        def linear(sequence: tf.Tensor) -> tf.Tensor:
            return tf.convert_to_tensor(self.scores(sequence))

        arguments = {**ARGUMENTS, "num_sequences": 300}
        del arguments["positions_bp"]
        gradients = gradient_effects(linear, bins=[0, 3], **arguments)
        assert gradients["bin_start_bp"].unique().tolist() == [256, 640]
        own = gradients["position_bp"] == gradients["bin_start_bp"] + 64
        assert gradients["abs_change_of_mean"][~own].eq(0).all()
        pairs = [abs(a - b) for a in WEIGHTS for b in WEIGHTS if a != b]
        expected = 0.5 * np.mean(pairs)  # the mean of tracks 1 and -2
        np.testing.assert_allclose(gradients["abs_change_of_mean"][own], expected, rtol=0.02)

    def scores(self, sequence: tf.Tensor) -> tf.Tensor:
        by_base = tf.linalg.matvec(sequence, WEIGHTS)
        scores = tf.reduce_sum(tf.reshape(by_base, [1, 8, 128]), axis=-1)[:, 2:6]
        return tf.stack([scores, -2 * scores], axis=-1)

    @pytest.mark.slow
    def test_are_zero_where_the_pattern_lets_nothing_through(self):
        model = model_of("bigbird", num_layers=1, block_size=4, num_random_blocks=0)
        gradients = gradient_effects(
            lambda sequence: model(sequence)["human"],
            sequence_length_bp=32 * 128,
            bins=[4],
            num_sequences=1,
            seed=0,
        )
        middles = gradients["position_bp"].tolist()
        arguments = {"sequence_length_bp": 32 * 128, "num_layers": 1}
        starts = np.array([middle - 64 for middle in middles])
        first = reachable_bins(model.config, positions_bp=starts, **arguments)[:, 4]
        last = reachable_bins(model.config, positions_bp=starts + 127, **arguments)[:, 4]
        is_zero = gradients["abs_change_of_mean"].eq(0).to_numpy()
        np.testing.assert_array_equal(is_zero, ~(first | last))

    def test_a_bin_that_is_not_predicted_is_named(self):
        arguments = {**ARGUMENTS, "bins": [4]}
        del arguments["positions_bp"]
        with pytest.raises(ValueError, match="bin 4: expected 0 to 3"):
            gradient_effects(self.scores, **arguments)
