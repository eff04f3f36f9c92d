import numpy as np
import pytest

from senformer.config import preset
from senformer.data import opening, simulate
from senformer.experiments import causes, length, variants
from senformer.experiments.held_out_accuracy import AT_PROMOTERS, HeldOutAccuracy
from senformer.model.enformer import Enformer
from senformer.training.train import TrainingPlan

LENGTH_BP = 20_480
TARGET_LENGTH = 64


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = simulate.write_dataset(
        tmp_path_factory.mktemp("simulated") / "data",
        sequence_length_bp=16_384,
        target_length=TARGET_LENGTH,
        num_sequences={"human": {"train": 3, "valid": 1, "test": 4}},
        flank_bp=8_192,
    )
    return opening.open_folders(folder)


@pytest.fixture(scope="module")
def enformer(folders):
    tracks = {"human": folders["human"].num_tracks, "mouse": 3}
    return Enformer(preset("enformer_tiny", tracks=tracks, target_length=TARGET_LENGTH), seed=0)


@pytest.fixture(scope="module")
def plans():
    return [
        TrainingPlan(
            steps=2, sequence_length_bp=LENGTH_BP, flanks="genome", learning_rate=1e-3, seed=seed
        )
        for seed in (0, 1)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def costs(folders, enformer, plans, run):
    path = causes.steps_to_senformer(enformer.config)
    return causes.cost_of_changes(path, plans, enformer, folders, run)


def test_the_path_ends_at_the_study_s_model_one_field_at_a_time(enformer):
    path = causes.steps_to_senformer(enformer.config)
    last = enformer.config.replace(**path[-1].changes)
    assert last == preset("senformer_tiny", tracks=last.tracks, target_length=TARGET_LENGTH)
    assert [change.of for change in path] == [causes.ENFORMER, *(c.name for c in path[:-1])]
    assert len(path) >= 6


def test_what_the_steps_cost_adds_up_to_what_all_of_them_cost(costs):
    for _, rows in costs.groupby(["when", "measure"]):
        ends = rows.set_index("model")["pearson_r"]
        assert rows["cost"].sum() == pytest.approx(ends.iloc[0] - ends.iloc[-1])
        assert (rows["cost_low"] <= rows["cost"] + 1e-12).all()
        assert (rows["cost"] <= rows["cost_high"] + 1e-12).all()
    assert set(costs["measure"]) >= {"CAGE", AT_PROMOTERS}


def test_before_training_new_attention_adds_nothing_whatever_it_knows(costs):
    """Its output starts at zero, so what it is told and how wide it is cannot matter yet."""
    before = costs[(costs["when"] == "before") & (costs["measure"] == "CAGE")].set_index("model")
    alike = before.loc[["new attention weights", "no positions", "wide queries and keys"]]
    np.testing.assert_allclose(alike["pearson_r"], alike["pearson_r"].iloc[0], rtol=1e-5)


@pytest.mark.parametrize("number", range(8))
def test_every_model_beside_the_path_starts_from_enformer(enformer, plans, number):
    change = causes.other_patterns(enformer.config)[number]
    for variant in causes._variants(change, plans[:1], "before"):
        assert set(variant.model(enformer).heads) == {"human"}


def test_a_comparison_that_was_stopped_goes_on(folders, enformer, plans, run, costs, monkeypatch):
    monkeypatch.setattr(variants.train, "train", None)  # would fail if it were called
    path = causes.steps_to_senformer(enformer.config)
    again = causes.cost_of_changes(path, plans, enformer, folders, run)
    assert again.equals(costs)


def test_ceilings_stand_beside_what_was_trained_for_a_length(folders, enformer, run):
    compared = length.variants_by_length(
        ["dense", "bigbird_relative"],
        [16_384, LENGTH_BP],
        [0],
        steps=1,
        learning_rate=1e-3,
        batch_size=1,
        block_size=16,
    )
    predicted = length.predictions_by_length(compared, enformer, folders, run)
    held_out = HeldOutAccuracy(folders["human"], TARGET_LENGTH)
    accuracy = length.accuracy_by_length(predicted, held_out)
    of_promoters = accuracy[accuracy["measure"] == AT_PROMOTERS]
    assert of_promoters.groupby("attention").size().to_dict() == {
        "bigbird_relative": 2,
        length.CEILING: 2,
        "dense": 2,
        length.NO_ENHANCER: 1,
    }
    r = of_promoters.set_index(["attention", "sequence_length_bp"])["pearson_r"]
    best = simulate.expected_targets(folders["human"], "test", seen_bp=LENGTH_BP)
    assert r[length.CEILING, LENGTH_BP] == pytest.approx(held_out.resampled_r(best)[0, -1])
    used = length.use_by_distance(predicted, held_out.promoters, folders["human"])
    assert len(used) == 7 * 7
