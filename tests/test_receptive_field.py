"""The mutation experiment finds the reach that a model is known to have; attention bounds it."""

from __future__ import annotations

import numpy as np
import pytest

from senformer import receptive_field
from senformer.attention.bigbird import random_blocks
from senformer.receptive_field import mutation_effects, noise_floor, reachable_blocks

LENGTH = 8 * 128
BINS = 4  # the central ones of 8
WEIGHTS = np.array([1.0, 2.0, 4.0, 8.0], np.float32)


def local(sequence: np.ndarray) -> np.ndarray:
    """Predict from each bin's own bases alone: two tracks, one the negative double of the other."""
    scores = sequence.reshape(len(sequence), 8, 128, 4)[:, 2:6].sum(axis=2) @ WEIGHTS
    return np.stack([scores, -2 * scores], axis=-1)  # [batch, bins, tracks]


def effects(predict=local, **changed):
    arguments = {
        "sequence_length_bp": LENGTH,
        "positions_bp": [0, 300, 639],
        "num_sequences": 5,
        "seed": 1,
    }
    return mutation_effects(predict, **{**arguments, **changed})


class TestPositions:
    def test_nine_on_enformers_input_are_those_of_the_study(self, shared):
        import pandas as pd

        study = pd.read_csv(shared / "published" / "receptive_field.csv")
        expected = sorted(study["mutation_position_bp"].unique())
        assert receptive_field.mutation_positions_bp(196_608).tolist() == expected

    def test_first_and_last_base_are_included(self):
        assert receptive_field.mutation_positions_bp(10, 3).tolist() == [0, 4, 9]

    @pytest.mark.parametrize("number", [1, 11])
    def test_too_few_or_too_many_are_refused(self, number):
        with pytest.raises(ValueError, match=f"num_positions={number}: expected 2 to"):
            receptive_field.mutation_positions_bp(10, number)


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

    def test_bins_are_placed_in_the_input(self):
        frame = effects()
        assert list(frame.columns) == ["mutation_position_bp", "bin", "bin_start_bp", "abs_change"]
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
        arguments = {
            "sequence_length_bp": LENGTH,
            "positions_bp": [0, 300, 639],
            "num_sequences": 5,
            "seed": 1,
        }
        floor = noise_floor(local, **arguments)
        effect = effects()
        assert floor[["mutation_position_bp", "bin", "bin_start_bp"]].equals(
            effect[["mutation_position_bp", "bin", "bin_start_bp"]]
        )
        reached = effect["abs_change"] > 0
        assert (floor["abs_change"][reached] < 1e-3 * effect["abs_change"][reached]).all()
        assert floor["abs_change"][~reached].eq(0).all()

    def test_shows_the_rounding_of_a_model_that_loses_digits(self):
        def rounding(sequence: np.ndarray) -> np.ndarray:
            far = np.float32(1e6) + local(sequence)  # float32 near a million: steps of 1/16
            return far + np.float32(1e3) * local(sequence).sum(axis=1, keepdims=True)

        floor = noise_floor(
            rounding, sequence_length_bp=LENGTH, positions_bp=[300], num_sequences=20, seed=0
        )
        assert floor["abs_change"].max() > 1e-3


class TestPattern:
    def blocks(self, blocks: int = 24, **changed) -> np.ndarray:
        return random_blocks(blocks * 64, num_heads=8, **changed)

    def test_bigbird_sees_global_window_and_random_blocks(self):
        drawn = self.blocks()
        pattern = receptive_field.bigbird_pattern(drawn)
        assert pattern.shape == (24, 24)
        assert pattern[[0, -1]].all()
        assert pattern[:, [0, -1]].all()
        for row in range(1, 23):
            expected = {0, 23, row - 1, row, row + 1, *np.ravel(drawn[:, row - 1]).tolist()}
            assert set(np.flatnonzero(pattern[row])) == expected

    def test_bigbird_reaches_everywhere_from_two_layers_on_but_not_from_one(self):
        pattern = receptive_field.bigbird_pattern(self.blocks())
        assert not reachable_blocks(pattern, 1).all()
        assert reachable_blocks(pattern, 2).all()

    def test_without_global_blocks_the_window_reaches_one_block_per_layer(self):
        index = np.arange(9)
        window = np.abs(index[:, None] - index) <= 1
        for layers in range(5):
            reached = reachable_blocks(window, layers)
            np.testing.assert_array_equal(reached, np.abs(index[:, None] - index) <= layers)

    def test_no_layer_reaches_nothing_else_and_dense_reaches_all_from_one(self):
        np.testing.assert_array_equal(reachable_blocks(np.ones((5, 5)), 0), np.eye(5, dtype=bool))
        assert reachable_blocks(np.ones((5, 5)), 1).all()

    def test_layers_that_differ_are_composed_input_first(self):
        first = np.zeros((3, 3), bool)
        first[1, 0] = True  # block 1 reads block 0
        second = np.zeros((3, 3), bool)
        second[2, 1] = True  # then block 2 reads block 1
        assert reachable_blocks([first, second], 2)[2, 0]
        assert not reachable_blocks([second, first], 2)[2, 0]

    def test_is_what_a_product_of_masked_layers_shows(self):
        random = np.random.default_rng(0)
        patterns = random.random((3, 12, 12)) < 0.15
        weights = [np.eye(12) + p * random.random((12, 12)) for p in patterns]
        product = weights[2] @ weights[1] @ weights[0]
        np.testing.assert_array_equal(reachable_blocks(patterns, 3), product > 0)

    def test_a_pattern_that_is_not_square_or_not_per_layer_is_refused(self):
        with pytest.raises(ValueError, match=r"pattern of shape \(2, 3, 4\)"):
            reachable_blocks(np.ones((3, 4)), 2)
        with pytest.raises(ValueError, match=r"expected num_layers=3"):
            reachable_blocks(np.ones((2, 4, 4)), 3)
