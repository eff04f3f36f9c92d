import numpy as np
import pandas as pd
import pytest

from senformer.config import preset
from senformer.data import datasets
from senformer.data.tracks import track_types
from senformer.data.windows import InputWindow
from senformer.evaluation import resampling
from senformer.evaluation.per_sequence import fit_per_sequence
from senformer.evaluation.predictions import predictor
from senformer.evaluation.track_accuracy import accuracy_per_sequence, evaluate_track_types
from senformer.experiments import run_data
from senformer.model.enformer import Enformer

LENGTH_BP = 10_240


@pytest.fixture(scope="module")
def human(small_data):
    return run_data.open_data(small_data, "unused")["human"]


@pytest.fixture(scope="module")
def models(human):
    tracks = {"human": human.num_tracks}
    return {
        name: Enformer(preset(name, tracks=tracks, target_length=48, num_transformer_layers=1))
        for name in ("enformer_tiny", "senformer_tiny")
    }


def test_fits_use_each_models_predictions(human, models):
    fits = accuracy_per_sequence(
        models, human, "test", sequence_length_bp=LENGTH_BP, num_sequences=2
    )
    assert list(fits["sequence"].unique()) == [0, 1]
    for name, model in models.items():
        alone = fit_per_sequence(
            {name: predictor(model, "human")},
            datasets.examples(human, "test", InputWindow(LENGTH_BP, 48)).take(2),
            track_types(human.targets),
        )
        of_model = fits[fits["model"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(of_model, alone, atol=1e-6)


def test_interval_matches_resampled_values(human, models):
    """The evaluation streams records; the reference holds all values in memory."""
    model = models["enformer_tiny"]
    table = evaluate_track_types(model, human, "test", sequence_length_bp=LENGTH_BP).table
    examples = datasets.examples(human, "test", InputWindow(LENGTH_BP, 48))
    pairs = [(x["target"].numpy(), x["sequence"].numpy()[None]) for x in examples]
    targets = np.stack([target for target, _ in pairs])
    predictions = np.concatenate([predictor(model, "human")(sequence) for _, sequence in pairs])
    x, y = (values.reshape(-1, values.shape[-1]) for values in (targets, predictions))
    sequences = np.repeat(np.arange(len(targets)), targets.shape[1])
    r = resampling.resample_r_of_values(x, y, sequences)
    of_type = track_types(human.targets).to_numpy() == "CAGE"
    low, high = resampling.interval(np.nanmean(r[:, of_type], axis=1))
    row = table.set_index("track_type").loc["CAGE"]
    np.testing.assert_allclose(row[["pearson_r_low", "pearson_r_high"]].astype(float), [low, high])
    assert (table["pearson_r_low"] <= table["pearson_r_high"]).all()
