"""The attention pattern bounds what a base can reach."""

from __future__ import annotations

import numpy as np
import pytest

from senformer.config import preset
from senformer.experiments.receptive_field.pattern import (
    allowed_shares,
    bigbird_pattern,
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


def test_bigbird_pattern_has_global_window_random():
    drawn = random_blocks(24 * 64, num_heads=8)
    patterns = bigbird_pattern(drawn)
    assert patterns.shape == (8, 24, 24)
    assert patterns[:, [0, -1]].all() and patterns[:, :, [0, -1]].all()
    for pattern, random in zip(patterns, drawn, strict=True):
        for block in range(1, 23):
            expected = {0, 23, block - 1, block, block + 1, *random[block - 1].tolist()}
            assert set(np.flatnonzero(pattern[block])) == expected


def test_reachable_blocks_match_a_matrix_product():
    random = np.random.default_rng(0)
    patterns = random.random((3, 12, 12)) < 0.15
    weights = [np.eye(12) + p * random.random((12, 12)) for p in patterns]
    product = weights[2] @ weights[1] @ weights[0]
    np.testing.assert_array_equal(reachable_blocks(patterns), product > 0)


def test_reachable_bins_of_dense_attention():
    config = preset("enformer_tiny")
    trunk_alone, one_layer = [reachable_bins(config, num_layers=n, **STUDY) for n in (0, 1)]
    assert trunk_alone.shape == (9, 896)
    assert trunk_alone.sum(axis=1).max() == 6  # 259 bp on either side of a base
    assert one_layer.all()


@pytest.mark.parametrize("num_layers", [1, 2])
def test_reachable_bins_of_a_window_grow_by_layers(num_layers):
    config = preset("enformer_tiny", attention="local", target_length=128)
    middle = {"sequence_length_bp": 128 * 128, "positions_bp": [68 * 128]}  # in block 4 of 8
    reached = reachable_bins(config, num_layers=num_layers, **middle)[0]
    first, last = (4 - num_layers) * 16, (5 + num_layers) * 16
    np.testing.assert_array_equal(np.flatnonzero(reached), np.arange(first, last))


def test_trunk_carries_a_base_over_a_block_edge():
    config = preset("senformer_tiny", num_random_blocks=0, target_length=896)
    block_start = 100 * 16 * 128 // 4
    before, after = reachable_bins(
        config,
        sequence_length_bp=196_608,
        positions_bp=[block_start - 260, block_start - 259],
        num_layers=1,
    )
    assert after.sum() == before.sum() + 16


def test_share_of_keys_falls_with_the_input_length():
    config = preset("senformer")
    shares = [share_of_keys_kept(config, bp) for bp in (196_608, 786_432)]
    # Two global blocks, a window of three, up to three random blocks, and two global queries.
    assert 5 / 24 < shares[0] < 8 / 24 + 2 / 24 and 5 / 96 < shares[1] < 8 / 96 + 2 / 96
    assert share_of_keys_kept(preset("enformer"), 196_608) == 1


def test_allowed_shares_by_model_and_layers():
    table = allowed_shares([preset("enformer"), preset("senformer")], num_layers=[1, 2], **STUDY)
    share = table.pivot(index="mutation_position_bp", columns="line", values="share")
    assert set(share) == {
        f"{kind}, {n}" for kind in ("dense", "bigbird") for n in ("1 layer", "2 layers")
    }
    assert (share["dense, 1 layer"] == 1).all() and (share["bigbird, 2 layers"] == 1).all()
    one = reachable_bins(preset("senformer"), num_layers=1, **STUDY).mean(axis=1)
    np.testing.assert_array_equal(share["bigbird, 1 layer"], one)
    assert one.min() < 1


def test_study_random_blocks_are_leading_ones():
    table = pattern_of_layer(preset("senformer"), 0, 196_608)
    heads = table.pivot(index="query_block", columns="key_block", values="num_heads")
    query, key = np.indices(heads.shape)
    is_fixed = (abs(query - key) <= 1) | np.isin(query, [0, 23]) | np.isin(key, [0, 23])
    num_heads = heads.to_numpy()
    assert (num_heads[is_fixed] == 8).all()
    assert (num_heads[~is_fixed & (key >= 11)] == 0).all()
    assert num_heads[~is_fixed & (key < 11)].any()


def test_patterns_reject_other_models():
    reformer = preset("enformer_tiny", attention="reformer", target_length=128)
    with pytest.raises(ValueError, match=r"attention='reformer', expected one of dense, .* lin"):
        reachable_bins(reformer, num_layers=1, sequence_length_bp=128 * 128, positions_bp=[0])
    with pytest.raises(ValueError, match="attention='dense', expected one of bigbird, "):
        pattern_of_layer(preset("enformer"), 0, 196_608)
    with pytest.raises(ValueError, match="num_layers=3, expected 0 to 2"):
        reachable_bins(preset("senformer_tiny"), num_layers=3, **STUDY)
