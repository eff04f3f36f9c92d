"""The pattern of attention bounds what a base can reach."""

from __future__ import annotations

import numpy as np
import pytest

from senformer.config import preset
from senformer.experiments.receptive_field.pattern import (
    allowed_shares,
    bigbird_heads,
    bigbird_pattern_of_heads,
    pattern_of_layer,
    reachable_bins,
    reachable_blocks,
    share_of_keys_kept,
)
from senformer.experiments.receptive_field.scan import mutation_positions_bp
from senformer.model.attention.random_blocks import random_blocks
from senformer.study import claims

STUDY = {
    "sequence_length_bp": claims.SEQUENCE_LENGTH_BP,
    "positions_bp": mutation_positions_bp(claims.SEQUENCE_LENGTH_BP),
}


class TestPattern:
    def blocks(self, blocks: int = 24, **changed) -> np.ndarray:
        return random_blocks(blocks * 64, num_heads=8, **changed)

    def test_bigbird_sees_global_window_and_random_blocks(self):
        drawn = self.blocks()
        pattern = bigbird_pattern_of_heads(drawn).any(axis=0)
        assert pattern.shape == (24, 24)
        assert pattern[[0, -1]].all()
        assert pattern[:, [0, -1]].all()
        for row in range(1, 23):
            expected = {0, 23, row - 1, row, row + 1, *np.ravel(drawn[:, row - 1]).tolist()}
            assert set(np.flatnonzero(pattern[row])) == expected

    def test_bigbird_reaches_everywhere_from_two_layers_on_but_not_from_one(self):
        pattern = bigbird_pattern_of_heads(self.blocks()).any(axis=0)
        assert not reachable_blocks(pattern, 1).all()
        assert reachable_blocks(pattern, 2).all()

    def test_without_global_blocks_the_window_reaches_one_block_per_layer(self):
        index = np.arange(9)
        window = np.abs(index[:, None] - index) <= 1
        for num_layers in range(5):
            reached = reachable_blocks(window, num_layers)
            np.testing.assert_array_equal(reached, np.abs(index[:, None] - index) <= num_layers)

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

    def test_heads_are_counted_that_draw_a_block(self):
        drawn = np.array([[[3], [0], [0]], [[3], [4], [1]]])  # 2 heads, 5 blocks
        heads = bigbird_heads(drawn)
        assert heads[1, 3] == 2
        assert heads[3, 1] == 1
        assert heads[2].tolist() == [2, 2, 2, 2, 2]


class TestReachableBins:
    def test_dense_attention_reaches_all_from_one_layer(self):
        config = preset("enformer_tiny")
        reached = [reachable_bins(config, num_layers=n, **STUDY) for n in (0, 1)]
        assert reached[0].shape == (9, 896)
        assert reached[0].sum(axis=1).max() == 6  # the trunk's 259 bp on either side of a base
        assert reached[1].all()

    def test_a_window_reaches_one_more_block_with_every_layer(self):
        config = preset("enformer_tiny", attention="local", target_length=128)
        middle = {"sequence_length_bp": 128 * 128, "positions_bp": [68 * 128]}  # of block 4 of 8
        for num_layers in (1, 2):
            reached = reachable_bins(config, num_layers=num_layers, **middle)[0]
            first, last = (4 - num_layers) * 16, (5 + num_layers) * 16
            np.testing.assert_array_equal(np.flatnonzero(reached), np.arange(first, last))

    def test_a_pattern_that_the_tokens_decide_is_refused(self):
        config = preset("enformer_tiny", attention="reformer", target_length=128)
        with pytest.raises(
            ValueError, match=r"attention='reformer', expected one of dense, .* lin"
        ):
            reachable_bins(config, num_layers=1, sequence_length_bp=128 * 128, positions_bp=[0])

    def test_the_studys_reaches_all_from_two_layers_but_not_from_one(self):
        config = preset("senformer")
        assert not reachable_bins(config, num_layers=1, **STUDY).all()
        assert reachable_bins(config, num_layers=2, **STUDY).all()

    def test_the_trunk_carries_a_base_over_the_edge_of_a_block(self):
        config = preset("senformer_tiny", num_random_blocks=0)
        first_of_block = 100 * 16 * 128 // 4
        before, after = reachable_bins(
            config.replace(target_length=896),
            sequence_length_bp=196_608,
            positions_bp=[first_of_block - 260, first_of_block - 259],
            num_layers=1,
        )
        assert after.sum() == before.sum() + 16

    def test_longer_inputs_keep_a_smaller_share_of_keys(self):
        config = preset("senformer")
        shares = [share_of_keys_kept(config, bp) for bp in (196_608, 786_432)]
        # Of each head two global blocks, a window of three and three random ones, and rows that
        # see all.
        assert 5 / 24 < shares[0] < 8 / 24 + 2 / 24 and 5 / 96 < shares[1] < 8 / 96 + 2 / 96
        assert share_of_keys_kept(preset("enformer"), 196_608) == 1

    def test_shares_are_tabulated_by_model_and_number_of_layers(self):
        configs = [preset("enformer"), preset("senformer")]
        table = allowed_shares(configs, num_layers=[1, 2], **STUDY)
        share = table.pivot(index="mutation_position_bp", columns="line", values="share")
        assert set(share) == {
            f"{kind}, {n}" for kind in ("dense", "bigbird") for n in ("1 layer", "2 layers")
        }
        assert (share["dense, 1 layer"] == 1).all() and (share["bigbird, 2 layers"] == 1).all()
        one = reachable_bins(preset("senformer"), num_layers=1, **STUDY).mean(axis=1)
        np.testing.assert_array_equal(share["bigbird, 1 layer"], one)

    def test_the_studys_random_blocks_are_among_the_leading_ones(self):
        table = pattern_of_layer(preset("senformer"), 0, 196_608)
        heads = table.pivot(index="query_block", columns="key_block", values="num_heads")
        query, key = np.indices(heads.shape)
        is_fixed = (abs(query - key) <= 1) | np.isin(query, [0, 23]) | np.isin(key, [0, 23])
        seen = heads.to_numpy()
        assert (seen[is_fixed] == 8).all()
        assert (seen[~is_fixed & (key >= 11)] == 0).all()
        assert seen[~is_fixed & (key < 11)].any()

    def test_a_pattern_of_self_attention_is_refused(self):
        with pytest.raises(ValueError, match="attention='dense', expected one of bigbird, "):
            pattern_of_layer(preset("enformer"), 0, 196_608)

    def test_more_layers_than_the_model_has_are_refused(self):
        with pytest.raises(ValueError, match="num_layers=3: expected 0 to 2"):
            reachable_bins(preset("senformer_tiny"), num_layers=3, **STUDY)
