import itertools

import numpy as np
import pandas as pd
import pytest

from senformer.config import PRESETS, preset
from senformer.experiments.memory_and_time import planner
from senformer.model.enformer import Enformer, attention_variables

KEY = {"attention": "dense", "trainable": "attention"}


def made_up(per_token=20.0, per_layer=1.5, per_pair=3.0, constant=0.25, noise=0.0):
    """Measurements that follow the planner's own law."""
    law = {
        ("dense", "attention"): planner.Fit(
            (constant, per_token, per_layer, per_pair), 0.0, 0.0, 0, 0
        )
    }
    generator = np.random.default_rng(0)
    rows = []
    for layers, length in itertools.product([1, 11], range(131_072, 786_433, 131_072)):
        peak = planner.predict_peak_gb(
            law, **KEY, sequence_length_bp=length, num_transformer_layers=layers
        )
        rows.append(
            KEY
            | {
                "sequence_length_bp": length,
                "num_transformer_layers": layers,
                "channels": 1536,
                "batch_size": 1,
                "status": "ok",
                "peak_memory_gb": peak * (1 + noise * generator.normal()),
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", ["enformer_tiny", "senformer_tiny"])
@pytest.mark.parametrize("pooling", ["attention", "max"])
def test_parameters_are_counted_as_the_model_has_them(name, pooling):
    config = preset(name, pooling=pooling, tracks={"human": 7, "mouse": 2}, target_length=8)
    model = Enformer(config)

    def count(variables):
        return sum(int(v.shape.num_elements()) for v in variables)

    assert planner.num_parameters(config) == {
        "attention": count(attention_variables(model)),
        "all": count(model.trainable_variables),
    }


def test_a_part_of_a_batch_takes_a_further_gradient_of_what_is_trained():
    model = planner.fit_memory(made_up())
    same = {"sequence_length_bp": 196_608, **KEY}
    kept_gb = planner.predict_peak_gb(model, is_divided=True, **same) - planner.predict_peak_gb(
        model, **same
    )
    trained = planner.num_parameters(preset("enformer"))["attention"]
    np.testing.assert_allclose(kept_gb, 4e-9 * trained)
    budget = {"budget_gb": 24, **KEY}
    assert planner.longest_sequence_bp(model, is_divided=True, **budget) <= (
        planner.longest_sequence_bp(model, **budget)
    )


def test_the_law_behind_the_points_is_found():
    fit = planner.fit_memory(made_up())["dense", "attention"]
    np.testing.assert_allclose(fit.coefficients, (0.25, 20, 1.5, 3), rtol=1e-5)
    assert fit.largest_error < 1e-6
    assert (fit.num_points, fit.longest_bp) == (12, 786_432)


def test_the_error_is_that_of_points_left_out():
    fit = planner.fit_memory(made_up(noise=0.05))["dense", "attention"]
    assert 0.01 < fit.median_error < 0.1
    assert fit.median_error <= fit.largest_error
    assert all(c >= 0 for c in fit.coefficients)


def test_what_ran_out_of_memory_is_no_point():
    frame = made_up()
    lost = frame.assign(status="out_of_memory", peak_memory_gb=None)
    both = planner.fit_memory(pd.concat([frame, lost]))
    assert both == planner.fit_memory(frame)
    with pytest.raises(ValueError, match="0 usable measurements, expected three of a kind"):
        planner.fit_memory(lost)


@pytest.mark.parametrize("budget_gb", [8, 24, 80])
def test_the_longest_sequence_fits_and_the_next_does_not(budget_gb):
    model = planner.fit_memory(made_up())
    longest = planner.longest_sequence_bp(model, budget_gb=budget_gb, **KEY)
    at = planner.predict_peak_gb(model, sequence_length_bp=longest, **KEY)
    beyond = planner.predict_peak_gb(model, sequence_length_bp=longest + 8192, **KEY)
    assert at <= budget_gb < beyond


def test_a_fit_that_does_not_grow_gives_no_longest_sequence():
    falling = made_up().query("num_transformer_layers == 11")
    falling = falling.assign(peak_memory_gb=4 - 1e-6 * falling["sequence_length_bp"])
    with pytest.raises(ValueError, match="does not grow with the sequence"):
        planner.longest_sequence_bp(planner.fit_memory(falling), budget_gb=24, **KEY)


def test_a_budget_below_the_weights_fits_nothing():
    model = planner.fit_memory(made_up())
    assert planner.longest_sequence_bp(model, budget_gb=0.5, **KEY) == 0


def test_what_was_not_measured_is_named():
    model = planner.fit_memory(made_up())
    with pytest.raises(ValueError, match=r"nothing measured for bigbird \(all\), only for dense"):
        planner.predict_peak_gb(
            model, attention="bigbird", trainable="all", sequence_length_bp=131_072
        )


def test_presets_can_be_counted():
    assert all(planner.num_parameters(config)["all"] > 0 for config in PRESETS.values())
