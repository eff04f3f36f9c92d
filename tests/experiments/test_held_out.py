import numpy as np
import pytest

from senformer.data import datasets, record_folders
from senformer.data.tracks import track_types
from senformer.data.windows import InputWindow
from senformer.experiments.held_out import AT_PROMOTERS, HeldOutAccuracy


@pytest.fixture(scope="module")
def human(flanked_data):
    return record_folders.open_folders(flanked_data)["human"]


@pytest.fixture(scope="module")
def accuracy(human):
    return HeldOutAccuracy(human, 64, num_sequences=6)


@pytest.fixture(scope="module")
def targets(human):
    examples = datasets.examples(human, "test", InputWindow(16_384, 64))
    return np.stack([example["target"].numpy() for example in examples])


def test_score_gives_r_of_the_predictions(human, accuracy, targets):
    measured = targets[:6]
    noise = np.random.default_rng(0).normal(size=measured.shape)
    predictions = (measured + targets.std() * noise).astype(np.float32)
    score = accuracy.score(predictions)
    assert score.sums.nbytes < predictions.nbytes / 4
    r = dict(zip(accuracy.measures, accuracy.resampled_r(score)[0], strict=True))
    expected = [
        np.corrcoef(measured[..., track].ravel(), predictions[..., track].ravel())[0, 1]
        for track in np.flatnonzero(track_types(human.targets) == "CAGE")
    ]
    assert r["CAGE"] == pytest.approx(np.mean(expected))
    levels = [accuracy.promoters.levels(values) for values in (measured, predictions)]
    assert r[AT_PROMOTERS] == pytest.approx(np.corrcoef(*levels)[0, 1])


def test_score_rejects_predictions_of_other_records(accuracy, targets):
    with pytest.raises(ValueError, match="longer"):
        accuracy.score(targets)
    with pytest.raises(ValueError, match="expected the same shape"):
        accuracy.score(targets[:6, :32])
