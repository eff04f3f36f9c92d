import dataclasses

import numpy as np
import pandas as pd
import pytest

from senformer.config import preset
from senformer.data import record_folders
from senformer.data.simulation import simulate
from senformer.experiments.finetuning import ablation_runs, ablations, accuracy_drops
from senformer.experiments.held_out import AT_PROMOTERS
from senformer.experiments.receptive_field import input_length
from senformer.model.enformer import Enformer

LENGTH_BP = 20_480
TARGET_LENGTH = 64


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = simulate.write_dataset(
        tmp_path_factory.mktemp("simulated") / "data",
        sequence_length_bp=16_384,
        target_length=TARGET_LENGTH,
        num_sequences={"human": {"train": 3, "valid": 1, "test": 10}},
        flank_bp=8_192,
    )
    return record_folders.open_folders(folder)


@pytest.fixture(scope="module")
def enformer(folders):
    tracks = {"human": folders["human"].num_tracks, "mouse": 3}
    return Enformer(preset("enformer_tiny", tracks=tracks, target_length=TARGET_LENGTH), seed=0)


@pytest.fixture(scope="module")
def run(folders, enformer, tmp_path_factory):
    return ablation_runs.Run(
        enformer=enformer,
        folders=folders,
        output_folder=tmp_path_factory.mktemp("run"),
        num_test_sequences=8,
        largest_trunk_cache_gb=4.0,
    )


@pytest.fixture(scope="module")
def plans(run):
    return run.plans(
        sequence_length_bp=LENGTH_BP, steps=2, learning_rate=1e-3, batch_size=1, seeds=[0, 1]
    )


@pytest.fixture(scope="module")
def path(enformer):
    return ablations.steps_to_senformer(enformer.config)


@pytest.fixture(scope="module")
def costs(path, plans, run):
    return accuracy_drops.measure_accuracy_drops(path[:2], plans[:1], run)


@pytest.fixture(scope="module")
def costs_of_the_whole_path(path, plans, run):
    return accuracy_drops.measure_accuracy_drops(path, plans, run)


@pytest.mark.parametrize(
    "compared", ["costs", pytest.param("costs_of_the_whole_path", marks=pytest.mark.slow)]
)
def test_what_the_steps_cost_adds_up_to_what_all_of_them_cost(compared, request):
    costs = request.getfixturevalue(compared)
    for _, rows in costs.groupby(["when", "measure"]):
        ends = rows.set_index("model")["pearson_r"]
        assert rows["step_pearson_r_drop"].sum() == pytest.approx(ends.iloc[0] - ends.iloc[-1])
        assert (rows["step_pearson_r_drop_low"] <= rows["step_pearson_r_drop"] + 1e-12).all()
        assert (rows["step_pearson_r_drop"] <= rows["step_pearson_r_drop_high"] + 1e-12).all()
    assert set(costs["measure"]) >= {"CAGE", AT_PROMOTERS}


@pytest.mark.slow
def test_before_training_new_attention_adds_nothing_whatever_it_knows(costs_of_the_whole_path):
    """Its output starts at zero, so what it is told and how wide it is cannot matter yet."""
    costs = costs_of_the_whole_path
    before = costs[(costs["when"] == "before") & (costs["measure"] == "CAGE")].set_index("model")
    alike = before.loc[["new attention weights", "no positions", "wide queries and keys"]]
    np.testing.assert_allclose(alike["pearson_r"], alike["pearson_r"].iloc[0], rtol=1e-5)


def test_a_comparison_that_was_stopped_goes_on(path, plans, run, costs, monkeypatch):
    monkeypatch.setattr(ablation_runs.train, "train", None)  # would fail if it were called
    again = accuracy_drops.measure_accuracy_drops(path[:2], plans[:1], run)
    assert again.equals(costs)


@pytest.mark.slow
def test_with_no_room_for_tokens_the_same_is_predicted_and_it_is_said(run, plans, tmp_path, capfd):
    variant = ablation_runs.Variant(changes={}, start="warm start", plan=plans[0])
    accuracy = run.held_out_accuracy()
    kept = ablation_runs.held_out_score(variant, run, accuracy)
    elsewhere = dataclasses.replace(run, output_folder=tmp_path, largest_trunk_cache_gb=0.0)
    score = ablation_runs.held_out_score(variant, elsewhere, accuracy)
    for again, first in zip(score, kept, strict=True):
        np.testing.assert_allclose(again, first, rtol=1e-3, atol=1e-3)
    assert not (tmp_path / "trunk").exists()
    assert "more than largest_trunk_cache_gb=0;" in capfd.readouterr().err


def test_what_was_found_names_what_costs_more_than_its_interval():
    def row(model, cost, low, high):
        r, loss = (
            0.8 - cost,
            {"pearson_r_drop": cost, "pearson_r_drop_low": low, "pearson_r_drop_high": high},
        )
        costs = {
            "pearson_r": r,
            "step_pearson_r_drop": cost,
            "step_pearson_r_drop_low": low,
            "step_pearson_r_drop_high": high,
        }
        return {"model": model, "when": "after", "measure": "CAGE"} | costs | loss

    costs = pd.DataFrame(
        [
            row("Enformer", 0, 0, 0),
            row("no positions", 0.2, 0.1, 0.3),
            row("biases", 0.1, -0.1, 0.3),
        ]
    )
    assert accuracy_drops.summarize_drops(costs, "CAGE") == (
        "Of Enformer's r of CAGE, 0.800, 0.100 (-0.100 to 0.300) is lost from end to end. "
        "Costs that are told from nothing: no positions, 0.200 (0.100 to 0.300). "
        "Not told from nothing: biases."
    )


@pytest.mark.slow
def test_ceilings_stand_beside_what_was_trained_for_a_length(folders, run, plans):
    compared = input_length.variants_by_length(
        ["dense", "bigbird_relative"], [16_384, LENGTH_BP], plans[:1], block_size=16
    )
    held_out = run.held_out_accuracy()
    scores = input_length.scores_by_length(compared, run, held_out)
    accuracy = input_length.accuracy_by_length(scores, held_out)
    of_promoters = accuracy[accuracy["measure"] == AT_PROMOTERS]
    assert of_promoters.groupby("attention").size().to_dict() == {
        "bigbird_relative": 2,
        input_length.CEILING: 2,
        "dense": 2,
        input_length.NO_ENHANCER: 1,
    }
    r = of_promoters.set_index(["attention", "sequence_length_bp"])["pearson_r"]
    best = simulate.compute_expected_targets(folders["human"], "test", seen_bp=LENGTH_BP)[:8]
    cropped = (best.shape[1] - TARGET_LENGTH) // 2
    best = best[:, cropped : cropped + TARGET_LENGTH]
    score = held_out.score(best)
    assert r[input_length.CEILING, LENGTH_BP] == pytest.approx(held_out.resampled_r(score)[0, -1])
    used = input_length.use_by_distance(scores, held_out.promoters, run)
    assert len(used) == 7 * 7
