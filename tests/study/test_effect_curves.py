"""Describe receptive-field curves: effects by position, and steps at block edges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from senformer.model import trunk
from senformer.model.attention.random_blocks import DEFAULT_BLOCK_SIZE
from senformer.study import effect_curves, published_tables

FIRST_BIN_BP = 40_960
BINS = np.arange(192)


def curve(changes, *, position_bp=0, model="S-Enformer"):
    return pd.DataFrame(
        {
            "model": model,
            "mutation_position_bp": position_bp,
            "bin": range(len(changes)),
            "bin_start_bp": FIRST_BIN_BP + 128 * np.arange(len(changes)),
            "abs_change": changes,
        }
    )


def greatest_step(changes, **about):
    return effect_curves.find_steps(curve(changes, **about)).iloc[0]


def test_constants_match_the_model():
    assert trunk.reach_positions() == effect_curves.TRUNK_REACH_TOKENS
    assert effect_curves.BLOCK_TOKENS == DEFAULT_BLOCK_SIZE


@pytest.mark.parametrize(
    ("changes", "where_blocks_meet", "elsewhere"),
    [
        (np.where(BINS < 128, 1.0, 0.2), 5, 1),
        (np.where(BINS < 96, 1.0, 3.0), 1, 3),
        (np.where(np.isin(BINS, [64, 100]), 50.0, 1.0), 1, 1),
    ],
    ids=["block edge", "within a block", "single bins"],
)
def test_find_steps_separates_block_edges(changes, where_blocks_meet, elsewhere):
    step = greatest_step(changes)
    assert step["step_where_blocks_meet"] == pytest.approx(where_blocks_meet)
    assert step["step_elsewhere"] == pytest.approx(elsewhere)
    if where_blocks_meet > 1:
        assert step["step_bp"] == FIRST_BIN_BP + 128 * 128


@pytest.mark.parametrize(("last_bin", "is_step"), [(66, False), (71, True)])
def test_find_steps_ignores_the_convolutions(last_bin, is_step):
    """Convolutions carry a change by three tokens; the changed base lies in bin 63."""
    changes = np.where(np.isin(BINS, range(60, last_bin + 1)), 50.0, 1.0)
    step = greatest_step(changes, position_bp=FIRST_BIN_BP + 128 * 63 + 127)
    assert (step["step_elsewhere"] > 1) == is_step


def test_effect_by_position_averages_over_bins():
    stored = published_tables.read_receptive_field()
    effect = effect_curves.effect_by_position(stored).set_index("mutation_position_bp")
    by_model = stored.groupby(["model", "mutation_position_bp"])["abs_change"].mean()
    enformer, senformer = (by_model[model] for model in effect_curves.MODELS)
    np.testing.assert_allclose(effect["enformer_abs_change"], enformer)
    np.testing.assert_allclose(effect["senformer_over_enformer"], senformer / enformer)
    assert effect.attrs == stored.attrs


def test_compare_effects_needs_more_than_the_ends():
    effect = pd.DataFrame({"mutation_position_bp": range(9)})
    ratios = {"ends": [2, 2, 0.5, 0.5, 0.5, 0.5, 0.5, 2, 2], "outermost": [2] + [0.5] * 7 + [2]}
    found = {
        name: effect_curves.compare_effects(effect.assign(senformer_over_enformer=ratio))
        for name, ratio in ratios.items()
    }
    assert found["ends"][1] and not found["outermost"][1]
    assert found["outermost"][0].endswith("is the greater when base 0 or 8 is changed")
    nowhere = effect_curves.compare_effects(effect.assign(senformer_over_enformer=0.5))
    assert nowhere == ("of 9 positions, S-Enformer's effect is the greater nowhere", False)
