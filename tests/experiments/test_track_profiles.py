import dataclasses

import numpy as np
import pytest

from senformer.config import preset
from senformer.data import datasets
from senformer.data.tracks import track_types
from senformer.data.windows import InputWindow
from senformer.evaluation.predictions import predictor
from senformer.experiments.track_profiles import choose_tracks, track_profiles
from senformer.model.enformer import Enformer

LENGTH_BP = 10_240


@pytest.fixture(scope="module")
def models(human):
    sizes = {"tracks": {"human": human.num_tracks}, "target_length": 48}
    return {
        "Enformer": Enformer(preset("enformer_tiny", **sizes)),
        "S-Enformer": Enformer(preset("senformer_tiny", **sizes), seed=1),
    }


def test_profiles_hold_experiment_and_predictions(human, models):
    frame = track_profiles(models, human, [3, 0], sequence=1, sequence_length_bp=LENGTH_BP)
    example = list(datasets.examples(human, "test", InputWindow(LENGTH_BP, 48)))[1]
    sources = {"experiment": example["target"].numpy()}
    for name, model in models.items():
        sources[name] = predictor(model, "human")(example["sequence"].numpy()[np.newaxis])[0]
    for track in (3, 0):
        profiles = frame[frame["track"] == human.targets["description"].iloc[track]]
        for source, values in sources.items():
            rows = profiles[profiles["source"] == source]
            np.testing.assert_allclose(rows["value"], values[:, track], rtol=1e-5)
            assert rows["bin"].tolist() == list(range(48))


def test_profiles_tell_equal_descriptions_apart(human, models):
    targets = human.targets.assign(description="CAGE:liver")
    strands = dataclasses.replace(human, targets=targets)
    frame = track_profiles(models, strands, [3, 0], sequence=1, sequence_length_bp=LENGTH_BP)
    identifiers = targets["identifier"].iloc[[3, 0]]
    assert list(frame["track"].unique()) == [f"CAGE:liver ({name})" for name in identifiers]
    assert frame.groupby(["track", "source"]).size().eq(48).all()


def test_profiles_reject_a_missing_record(human, models):
    with pytest.raises(ValueError, match="sequence=3, expected 0 to 2"):
        track_profiles(models, human, [0], sequence=3, sequence_length_bp=LENGTH_BP)


def test_choose_tracks_by_type_or_by_name(human):
    chosen = choose_tracks(human, seed=1)
    types = track_types(human.targets).iloc[chosen]
    assert sorted(types) == sorted(track_types(human.targets).unique())
    assert chosen == choose_tracks(human, seed=1)
    name = human.targets["description"].iloc[5]
    assert choose_tracks(human, [name]) == [5]
    with pytest.raises(ValueError, match="no track 'CAGE:nothing'"):
        choose_tracks(human, ["CAGE:nothing"])
