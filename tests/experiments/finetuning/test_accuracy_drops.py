import numpy as np
import pandas as pd
import pytest

from senformer.data.simulation import simulate
from senformer.experiments.finetuning import ablation_runs, ablations, accuracy_drops
from senformer.experiments.held_out import AT_PROMOTERS, HeldOutAccuracy
from senformer.experiments.parameters import FinetuningParameters
from senformer.experiments.receptive_field import input_length
from senformer.experiments.workspace import Workspace
from senformer.model.enformer import Enformer

LENGTH_BP = 20_480
TARGET_LENGTH = 64


def make_workspace(data, output_folder, **parameters):
    """Return a workspace with an untrained Enformer."""
    p = FinetuningParameters(
        data=str(data),
        output_folder=str(output_folder),
        target_length=TARGET_LENGTH,
        num_test_sequences=8,
        compared_length_bp=LENGTH_BP,
        compared_steps=2,
        num_seeds=2,
        **parameters,
    )
    workspace = Workspace(p)
    tracks = {"human": workspace.human.num_tracks, "mouse": 3}
    workspace._enformer = Enformer(p.enformer_config.replace(tracks=tracks), seed=0)
    return workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, flanked_data):
    return make_workspace(flanked_data, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def plans(workspace):
    return ablation_runs.training_plans(workspace.human, workspace.parameters)


@pytest.fixture(scope="module")
def measures(workspace):
    return HeldOutAccuracy(workspace.human, TARGET_LENGTH, 8)


def measure_path(workspace, plans, measures, num_steps=None):
    path = ablations.steps_to_senformer(workspace.enformer().config)[:num_steps]
    return accuracy_drops.measure_accuracy_drops(path, plans, workspace, measures)


@pytest.fixture(scope="module")
def drops(workspace, plans, measures):
    return measure_path(workspace, plans[:1], measures, num_steps=2)


def test_step_drops_add_up_to_the_whole_drop(drops):
    assert set(drops["measure"]) >= {"CAGE", AT_PROMOTERS}
    for _, rows in drops.groupby(["when", "measure"]):
        step, r = rows["step_pearson_r_drop"], rows["pearson_r"]
        assert step.sum() == pytest.approx(r.iloc[0] - r.iloc[-1])
        assert (rows["step_pearson_r_drop_low"] <= step + 1e-12).all()
        assert (step <= rows["step_pearson_r_drop_high"] + 1e-12).all()


@pytest.mark.slow
def test_untrained_new_attention_outputs_zero(workspace, plans, measures):
    """Positions and widths then have no effect on r."""
    untrained = [plan.replace(steps=0) for plan in plans]
    before = measure_path(workspace, untrained, measures).query("measure == 'CAGE'")
    r = before.query("when == 'before'").set_index("model")["pearson_r"]
    of_new = r[["new attention weights", "no positions", "wide queries and keys"]]
    np.testing.assert_allclose(of_new, of_new.iloc[0], rtol=1e-5)


def test_accuracy_drops_are_read_from_files(workspace, plans, measures, drops, monkeypatch):
    monkeypatch.setattr(ablation_runs.train, "train", None)  # fails if it is called
    assert measure_path(workspace, plans[:1], measures, num_steps=2).equals(drops)


@pytest.mark.slow
def test_score_ablation_needs_no_trunk_cache(workspace, plans, measures, tmp_path, capfd):
    run = ablation_runs.AblationRun(config_fields={}, start="warm start", plan=plans[0])
    cached = ablation_runs.score_ablation(run, workspace, measures)
    uncached = make_workspace(workspace.parameters.data, tmp_path, largest_trunk_cache_gb=0.0)
    score = ablation_runs.score_ablation(run, uncached, measures)
    for actual, expected in zip(score, cached, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)
    assert not (tmp_path / "trunk").exists()
    assert "more than largest_trunk_cache_gb=0;" in capfd.readouterr().err


def test_summarize_drops_separates_significant_ones():
    drop = pd.Series([0, 0.2, -0.2, 0.1])
    margin = pd.Series([0, 0.1, 0.1, 0.2])
    names = ["pearson_r_drop", "pearson_r_drop_low", "pearson_r_drop_high"]
    frame = pd.concat([drop, drop - margin, drop + margin], axis=1, keys=names)
    drops = frame.join(frame.add_prefix("step_")).assign(
        model=["Enformer", "no positions", "narrow keys", "biases"],
        pearson_r=0.8,
        when="after",
        measure="CAGE",
    )
    assert accuracy_drops.summarize_drops(drops, "CAGE") == (
        "Enformer's r of CAGE is 0.800; that of the last model is lower by 0.100 (-0.100 to 0.300)."
        " Significant drops (95 % interval excludes zero): no positions, 0.200 (0.100 to 0.300)."
        " Significant gains: narrow keys, -0.200 (-0.300 to -0.100)."
        " Not distinguishable from zero: biases."
    )


@pytest.mark.slow
def test_scores_by_length_include_ceilings(workspace, plans, measures):
    compared = input_length.runs_by_length(
        ["dense", "bigbird_relative"], [16_384, LENGTH_BP], plans[:1], block_size=16
    )
    scores = input_length.scores_by_length(compared, workspace, measures)
    accuracy = input_length.accuracy_by_length(scores, measures)
    of_promoters = accuracy[accuracy["measure"] == AT_PROMOTERS]
    assert of_promoters.groupby("attention").size().to_dict() == {
        "bigbird_relative": 2,
        input_length.CEILING: 2,
        "dense": 2,
        input_length.NO_ENHANCER: 1,
    }
    r = of_promoters.set_index(["attention", "sequence_length_bp"])["pearson_r"]
    best = simulate.compute_expected_targets(workspace.human, "test", seen_bp=LENGTH_BP)
    score = measures.score(best[:8])
    assert r[input_length.CEILING, LENGTH_BP] == pytest.approx(measures.resampled_r(score)[0, -1])
    used = input_length.use_by_distance(scores, measures.promoters, workspace)
    assert len(used) == 7 * 7
