from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from senformer.config import preset
from senformer.data import datasets
from senformer.data.tracks import track_types
from senformer.evaluation import evaluation
from senformer.experiments import comparison, run_models
from senformer.model.enformer import Enformer

LENGTH_BP = 10_240
MODELS = {"enformer": "Enformer", "senformer": "S-Enformer"}


@pytest.fixture(scope="module")
def human(small_data):
    return run_models.open_data(small_data, "unused")["human"]


@pytest.fixture(scope="module")
def models(human):
    tracks = {"human": human.num_tracks}
    return {
        name: Enformer(preset(f"{key}_tiny", tracks=tracks, target_length=48), seed=seed)
        for seed, (key, name) in enumerate(MODELS.items())
    }


@pytest.fixture(scope="module")
def fits(human, models):
    return comparison.fit_per_sequence(models, human, sequence_length_bp=LENGTH_BP)


def test_fits_are_of_each_models_own_predictions(human, models, fits):
    assert list(fits["sequence"].unique()) == [0, 1, 2]
    for name, model in models.items():
        alone = evaluation.fit_per_sequence(
            {name: comparison.predictor(model, "human")},
            datasets.examples(human, "test", sequence_length_bp=LENGTH_BP, target_length=48),
            track_types(human.targets),
        )
        mine = fits[fits["model"] == name].reset_index(drop=True)
        np.testing.assert_allclose(mine["pearson_r"], alone["pearson_r"], atol=1e-6)


def test_fewer_sequences_are_the_first_ones(human, models, fits):
    two = comparison.fit_per_sequence(models, human, sequence_length_bp=LENGTH_BP, num_sequences=2)
    first = fits[fits["sequence"] < 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(two, first, atol=1e-6)


def test_profiles_are_the_experiment_and_the_predictions(human, models):
    tracks = [3, 0]
    frame = comparison.track_profiles(
        models, human, tracks, sequence=1, sequence_length_bp=LENGTH_BP
    )
    examples = datasets.examples(human, "test", sequence_length_bp=LENGTH_BP, target_length=48)
    example = list(examples)[1]
    sources = {"experiment": example["target"].numpy()}
    for name, model in models.items():
        sequence = example["sequence"].numpy()[np.newaxis]
        sources[name] = comparison.predictor(model, "human")(sequence)[0]
    for track in tracks:
        description = human.targets["description"].iloc[track]
        for source, values in sources.items():
            rows = frame[(frame["track"] == description) & (frame["source"] == source)]
            np.testing.assert_allclose(rows["value"], values[:, track], rtol=1e-5)
            assert rows["bin"].tolist() == list(range(48))


def test_a_record_that_is_not_there_is_refused(human, models):
    with pytest.raises(ValueError, match="sequence=3, expected 0 to 2"):
        comparison.track_profiles(models, human, [0], sequence=3, sequence_length_bp=LENGTH_BP)


def test_tracks_are_one_of_each_type_or_those_named(human):
    chosen = comparison.choose_tracks(human, seed=1)
    types = track_types(human.targets).iloc[chosen]
    assert sorted(types) == sorted(track_types(human.targets).unique())
    assert chosen == comparison.choose_tracks(human, seed=1)
    name = human.targets["description"].iloc[5]
    assert comparison.choose_tracks(human, [name]) == [5]
    with pytest.raises(ValueError, match="no track 'CAGE:nothing'"):
        comparison.choose_tracks(human, ["CAGE:nothing"])


def test_what_is_unlike_the_study_is_named(human, models):
    reason = comparison.unlike_the_study(
        models["Enformer"],
        human,
        sequence_length_bp=196_608,
        num_sequences=2,
        published_weights=False,
    )
    assert f"{human.num_tracks} tracks instead of 5,313" in reason
    assert "channels instead of 1,536" in reason
    assert "2 test sequences instead of 1,937" in reason
    assert " bp instead" not in reason
    assert "weights trained in this run" in reason


def test_a_run_like_the_study_is_comparable():
    like = SimpleNamespace(config=preset("enformer"))
    records = SimpleNamespace(num_tracks=5313, intervals_of=lambda split: range(1937))
    arguments = {"sequence_length_bp": 196_608, "num_sequences": None, "published_weights": True}
    assert comparison.unlike_the_study(like, records, **arguments) == ""
