"""Describe receptive-field curves: effects by position, and steps at block edges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from senformer.model import trunk
from senformer.model.attention.random_blocks import DEFAULT_BLOCK_SIZE
from senformer.study import effect_curves, published_tables

FIRST_BIN_BP = 40_960


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
    assert trunk.reach_tokens() == effect_curves.TRUNK_REACH_TOKENS
    assert effect_curves.BLOCK_TOKENS == DEFAULT_BLOCK_SIZE
    assert effect_curves.BLOCK_BP == 8192


def test_find_steps_finds_a_block_edge():
    changes = np.where(np.arange(192) < 128, 1.0, 0.2)
    step = greatest_step(changes)
    assert step["step_where_blocks_meet"] == pytest.approx(5)
    assert step["step_bp"] == FIRST_BIN_BP + 128 * 128 and step["step_bp"] % 8192 == 0
    assert step["step_elsewhere"] == 1


def test_find_steps_finds_a_step_within_a_block():
    step = greatest_step(np.where(np.arange(192) < 96, 1.0, 3.0))
    assert step["step_where_blocks_meet"] == 1
    assert step["step_elsewhere"] == pytest.approx(3)


def test_find_steps_ignores_single_bins():
    changes = np.ones(192)
    changes[[64, 100]] = 50
    step = greatest_step(changes)
    assert (step["step_where_blocks_meet"], step["step_elsewhere"]) == (1, 1)


def test_find_steps_ignores_the_convolutions():
    changes = np.ones(192)
    changes[60:67] = 50  # three tokens to either side of token 63 of the curve
    position_bp = FIRST_BIN_BP + 128 * 63 + 127
    assert greatest_step(changes, position_bp=position_bp)["step_elsewhere"] == 1
    changes[67] = changes[68] = changes[69] = changes[70] = changes[71] = 50
    assert greatest_step(changes, position_bp=position_bp)["step_elsewhere"] > 1


@pytest.fixture(scope="module")
def stored():
    return published_tables.read_receptive_field()


class TestStoredCurves:
    def test_effect_by_position(self, stored):
        effect = effect_curves.effect_by_position(stored).set_index("mutation_position_bp")
        means = {
            0: (3.1e-5, 3.4e-5),
            24_575: (2.5e-4, 1.1e-4),
            98_303: (1.1e-3, 1.0e-4),
            172_031: (2.7e-4, 8.4e-6),
            196_607: (3.1e-5, 3.2e-5),
        }
        for position, both in means.items():
            found = effect.loc[position, ["enformer_abs_change", "senformer_abs_change"]]
            assert [float(f"{value:.1e}") for value in found] == list(both)
        ahead = effect.index[effect["senformer_over_enformer"] > 1]
        assert ahead.tolist() == [0, 196_607]
        assert effect_curves.effect_by_position(stored).attrs == stored.attrs

    def test_only_s_enformer_steps_at_block_edges(self, stored):
        steps = effect_curves.find_steps(stored).set_index(["model", "mutation_position_bp"])
        of_middle = steps.loc["S-Enformer"].loc[[98_303, 122_879, 147_455]]
        assert (of_middle["step_where_blocks_meet"] > 7).all()
        assert (of_middle["step_elsewhere"] < 1.3).all()
        assert (of_middle["step_bp"] % 8192 == 0).all()
        enformers = steps.loc["Enformer"]
        assert enformers["step_where_blocks_meet"].max() < 1.5


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
