import numpy as np
import pytest

from senformer import comparison, datasets, evaluation, experiments
from senformer.config import preset
from senformer.enformer import Enformer
from senformer.tracks import track_types

LENGTH_BP = 10_240


@pytest.fixture(scope="module")
def human(small_data):
    return experiments.open_data(small_data, "unused")["human"]


@pytest.fixture(scope="module")
def models(human):
    tracks = {"human": human.num_tracks}
    return {
        name: Enformer(preset(f"{name}_tiny", tracks=tracks, target_length=48), seed=seed)
        for seed, name in enumerate(("enformer", "senformer"))
    }


def test_columns_are_the_models_own_correlations(human, models):
    frame = comparison.compare_per_sequence(models, human, sequence_length_bp=LENGTH_BP)
    assert list(frame["sequence"].unique()) == [0, 1, 2]
    for name, model in models.items():
        alone = evaluation.correlation_per_sequence(
            comparison.predictor(model, "human"),
            datasets.examples(human, "test", sequence_length_bp=LENGTH_BP, target_length=48),
            track_types(human.targets),
        ).set_index(["sequence", "track_type"])["pearson_r"]
        column = frame.set_index(["sequence", "track_type"])[f"{name}_pearson_r"]
        np.testing.assert_allclose(column.loc[alone.index], alone, atol=1e-6)
    evaluation.compare_per_sequence(frame)


def test_fewer_sequences_are_the_first_ones(human, models):
    every = comparison.compare_per_sequence(models, human, sequence_length_bp=LENGTH_BP)
    two = comparison.compare_per_sequence(
        models, human, sequence_length_bp=LENGTH_BP, num_sequences=2
    )
    first = every[every["sequence"] < 2].reset_index(drop=True)
    np.testing.assert_array_equal(two["sequence"], first["sequence"])
    np.testing.assert_allclose(two["enformer_pearson_r"], first["enformer_pearson_r"], atol=1e-6)


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
