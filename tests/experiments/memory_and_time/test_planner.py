"""The planner recovers a known law of memory and counts parameters as the model does."""

import itertools

import numpy as np
import pandas as pd
import pytest

from senformer.config import preset
from senformer.experiments.memory_and_time import planner
from senformer.experiments.memory_and_time.planner import PlannedStep
from senformer.model.enformer import Enformer, attention_variables

STEP = PlannedStep("dense", "attention")


def simulated_measurements(noise=0.0):
    """Simulate measurements that follow the planner's own law."""
    law = {("dense", "attention"): planner.Fit((0.25, 20.0, 1.5, 3.0), 0.0, 0.0, 0, 0)}
    generator = np.random.default_rng(0)
    rows = []
    for layers, length in itertools.product([1, 11], range(131_072, 786_433, 131_072)):
        step = STEP._replace(sequence_length_bp=length, num_transformer_layers=layers)
        peak_gb = planner.predict_peak_gb(law, step) * (1 + noise * generator.normal())
        rows.append({**step._asdict(), "status": "ok", "peak_memory_gb": peak_gb})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def model():
    return planner.fit_memory(simulated_measurements())


@pytest.mark.parametrize("name", ["enformer_tiny", "senformer_tiny"])
@pytest.mark.parametrize("pooling", ["attention", "max"])
def test_num_parameters_match_the_model(name, pooling):
    config = preset(name, pooling=pooling, tracks={"human": 7, "mouse": 2}, target_length=8)
    made = Enformer(config)

    def count(variables):
        return sum(int(v.shape.num_elements()) for v in variables)

    assert planner.num_parameters(config) == {
        "attention": count(attention_variables(made)),
        "all": count(made.trainable_variables),
    }


def test_fit_memory_finds_the_law(model):
    fit = model["dense", "attention"]
    np.testing.assert_allclose(fit.coefficients, (0.25, 20, 1.5, 3), rtol=1e-5)
    assert fit.largest_error < 1e-6
    assert (fit.num_points, fit.longest_bp) == (12, 786_432)


def test_fit_memory_reports_left_out_errors():
    fit = planner.fit_memory(simulated_measurements(noise=0.05))["dense", "attention"]
    assert 0.01 < fit.median_error < 0.1
    assert fit.median_error <= fit.largest_error
    assert all(c >= 0 for c in fit.coefficients)


def test_fit_memory_ignores_steps_without_a_peak(model):
    frame = simulated_measurements()
    failed = frame.assign(status="out_of_memory", peak_memory_gb=None)
    assert planner.fit_memory(pd.concat([frame, failed])) == model
    with pytest.raises(ValueError, match="0 usable measurements, expected three of a kind"):
        planner.fit_memory(failed)


def test_divided_batch_keeps_another_gradient(model):
    divided = STEP._replace(is_divided=True)
    added_gb = planner.predict_peak_gb(model, divided) - planner.predict_peak_gb(model, STEP)
    trained = planner.num_parameters(preset("enformer"))["attention"]
    np.testing.assert_allclose(added_gb, 4e-9 * trained)


@pytest.mark.parametrize("budget_gb", [8, 24, 80])
def test_longest_sequence_fits_and_the_next_does_not(model, budget_gb):
    longest_bp = planner.longest_sequence_bp(model, STEP, budget_gb=budget_gb)
    peak_gb, next_peak_gb = (
        planner.predict_peak_gb(model, STEP._replace(sequence_length_bp=length_bp))
        for length_bp in (longest_bp, longest_bp + 8192)
    )
    assert peak_gb <= budget_gb < next_peak_gb


def test_longest_sequence_is_zero_below_the_weights(model):
    assert planner.longest_sequence_bp(model, STEP, budget_gb=0.5) == 0


def test_longest_sequence_needs_a_growing_fit():
    falling = simulated_measurements().query("num_transformer_layers == 11")
    falling = falling.assign(peak_memory_gb=4 - 1e-6 * falling["sequence_length_bp"])
    with pytest.raises(ValueError, match="does not grow with the sequence"):
        planner.longest_sequence_bp(planner.fit_memory(falling), STEP, budget_gb=24)


def test_predict_peak_names_the_fitted_kinds(model):
    with pytest.raises(ValueError, match=r"nothing measured for bigbird \(all\), only for dense"):
        planner.predict_peak_gb(model, PlannedStep("bigbird", "all"))
