"""The mutation experiment finds the known receptive field of simple models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scanned_models import BASE_SCORES, LENGTH, PLAN, effects, make_model, predict_locally

from senformer.experiments.receptive_field.passes import full_passes
from senformer.experiments.receptive_field.pattern import reachable_bins
from senformer.experiments.receptive_field.scan import (
    ScanPlan,
    gradient_effects,
    is_reached,
    mutation_positions_bp,
    noise_floor,
)

MEAN_DIFFERENCE = np.mean([abs(a - b) for a in BASE_SCORES for b in BASE_SCORES if a != b])


def test_positions_are_those_of_the_study(shared):
    study = pd.read_csv(shared / "published" / "receptive_field.csv")
    expected = sorted(study["mutation_position_bp"].unique())
    assert mutation_positions_bp(196_608).tolist() == expected


@pytest.mark.parametrize("number", [1, 11])
def test_positions_reject_a_number_out_of_range(number):
    with pytest.raises(ValueError, match=f"num_positions={number}, expected 2 to"):
        mutation_positions_bp(10, number)


def test_mutation_effects_are_those_of_the_bases():
    frame = effects(num_sequences=400)
    change = frame.pivot(index="mutation_position_bp", columns="bin", values="abs_change")
    assert change.loc[0].eq(0).all()  # outside of the predicted bins
    assert (change.loc[300] > 0).tolist() == [True, False, False, False]
    assert (change.loc[639] > 0).tolist() == [False, False, True, False]
    assert change.loc[300, 0] == pytest.approx(1.5 * MEAN_DIFFERENCE, rel=0.1)  # tracks 1 and -2
    np.testing.assert_allclose(frame["abs_change_of_mean"], frame["abs_change"] / 3, rtol=1e-6)
    assert frame["bin"].tolist() == [0, 1, 2, 3] * 3
    assert frame["bin_start_bp"].tolist() == [256, 384, 512, 640] * 3


def test_mutations_replace_one_base_by_any_other():
    sequences = recorded_sequences(num_sequences=60, batch_size=4)
    shifts = set()
    for original, *mutants in sequences.reshape(-1, 4, LENGTH, 4):
        np.testing.assert_array_equal(original.sum(axis=-1), 1)
        for mutant, position in zip(mutants, PLAN["positions_bp"], strict=True):
            assert np.flatnonzero((original != mutant).any(axis=-1)).tolist() == [position]
            np.testing.assert_array_equal(np.sort(mutant[position]), [0, 0, 0, 1])
            shifts.add(int(mutant[position].argmax() - original[position].argmax()) % 4)
    assert shifts == {1, 2, 3}


def test_sequences_depend_on_seed_and_index_alone():
    few = recorded_sequences(num_sequences=1)
    np.testing.assert_array_equal(recorded_sequences(num_sequences=3)[: len(few)], few)
    assert not effects().equals(effects(seed=2))


def recorded_sequences(**settings) -> np.ndarray:
    sequences = []

    def predict(sequence):
        sequences.append(sequence)
        return predict_locally(sequence)

    effects(predict, **settings)
    return np.concatenate(sequences)


def test_mutation_effects_ignore_the_batch_size():
    one, many = effects(batch_size=1), effects(batch_size=3)
    np.testing.assert_allclose(one["abs_change"], many["abs_change"], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"positions_bp": [0, -1]}, "position -1 bp, expected 0 to 1023"),
        ({"positions_bp": [0, LENGTH]}, "position 1024 bp, expected 0 to 1023"),
        ({"num_sequences": 0}, "num_sequences=0, expected an integer of at least 1"),
        ({"batch_size": 0}, "batch_size=0, expected an integer of at least 1"),
    ],
)
def test_mutation_effects_reject_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        effects(**settings)


def test_noise_floor_is_far_below_effects():
    floor = noise_floor(full_passes(predict_locally), ScanPlan(**PLAN))
    effect = effects()
    keys = ["mutation_position_bp", "bin", "bin_start_bp"]
    assert floor[keys].equals(effect[keys])
    reached = effect["abs_change"] > 0
    assert (floor["abs_change"][reached] < 1e-3 * effect["abs_change"][reached]).all()
    assert floor["abs_change"][~reached].eq(0).all()


def test_noise_floor_shows_rounding():
    def predict_with_rounding(sequence: np.ndarray) -> np.ndarray:
        rounded = np.float32(1e6) + predict_locally(sequence)  # float32 steps of 1/16
        return rounded + np.float32(1e3) * predict_locally(sequence).sum(axis=1, keepdims=True)

    plan = ScanPlan(**{**PLAN, "positions_bp": [300], "num_sequences": 20})
    assert noise_floor(full_passes(predict_with_rounding), plan)["abs_change"].max() > 1e-3


def test_is_reached_compares_with_noise_by_bin():
    changes = effects().assign(model="Enformer", abs_change=2e-5)
    noise = changes.assign(abs_change=np.tile([1e-6, 1e-5, 1e-4, 0.0], 3))
    reached = is_reached(changes, noise.sample(frac=1, random_state=0))
    assert reached.tolist() == [True, False, False, True] * 3
    with pytest.raises(ValueError, match=r"no noise measured for .*'model': 'Enformer'"):
        is_reached(changes, changes.assign(model="S-Enformer"))


def predict_linearly(sequence: tf.Tensor) -> tf.Tensor:
    by_base = tf.linalg.matvec(sequence, BASE_SCORES)
    scores = tf.reduce_sum(tf.reshape(by_base, [1, 8, 128]), axis=-1)[:, 2:6]
    return tf.stack([scores, -2 * scores], axis=-1)


def test_gradient_effects_equal_mutations_if_linear():
    gradients = gradient_effects(
        predict_linearly, sequence_length_bp=LENGTH, bins=[0, 3], num_sequences=300, seed=1
    )
    assert gradients["bin_start_bp"].unique().tolist() == [256, 640]
    own = gradients["position_bp"] == gradients["bin_start_bp"] + 64
    effect = gradients["abs_change_of_mean"]
    assert effect[~own].eq(0).all()
    np.testing.assert_allclose(effect[own], 0.5 * MEAN_DIFFERENCE, rtol=0.02)  # of tracks 1, -2


@pytest.mark.slow
def test_gradient_effects_are_zero_out_of_reach():
    model = make_model("bigbird", num_layers=1, block_size=4, num_random_blocks=0)
    sizes = {"sequence_length_bp": 32 * 128}
    gradients = gradient_effects(
        lambda sequence: model(sequence)["human"], bins=[4], num_sequences=1, seed=0, **sizes
    )
    starts = gradients["position_bp"].to_numpy() - 64
    first, last = (
        reachable_bins(model.config, positions_bp=bases, num_layers=1, **sizes)[:, 4]
        for bases in (starts, starts + 127)
    )
    np.testing.assert_array_equal(gradients["abs_change_of_mean"] > 0, first | last)


def test_gradient_effects_reject_an_unknown_bin():
    with pytest.raises(ValueError, match="bin 4, expected 0 to 3"):
        gradient_effects(
            predict_linearly, sequence_length_bp=LENGTH, bins=[4], num_sequences=1, seed=1
        )
