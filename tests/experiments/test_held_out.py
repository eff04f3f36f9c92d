import numpy as np
import pytest

from senformer.data import datasets, record_folders
from senformer.data.simulation import simulate
from senformer.data.tracks import track_types
from senformer.data.windows import InputWindow
from senformer.experiments.held_out import AT_PROMOTERS, HeldOutAccuracy

TARGET_LENGTH = 64


@pytest.fixture(scope="module")
def human(tmp_path_factory):
    folder = simulate.write_dataset(
        tmp_path_factory.mktemp("simulated") / "data",
        sequence_length_bp=16_384,
        target_length=TARGET_LENGTH,
        num_sequences={"human": {"train": 1, "valid": 1, "test": 8}},
    )
    return record_folders.open_folders(folder)["human"]


@pytest.fixture(scope="module")
def targets(human):
    examples = datasets.examples(human, "test", InputWindow(16_384, TARGET_LENGTH))
    return np.stack([example["target"].numpy() for example in examples])


def test_score_gives_r_of_the_predictions(human, targets):
    noise = np.random.default_rng(0).normal(size=targets.shape)
    predictions = targets[:6] + targets.std() * noise[:6]
    accuracy = HeldOutAccuracy(human, TARGET_LENGTH, num_sequences=6)
    score = accuracy.score(predictions)
    assert score.sums.nbytes < predictions.astype(np.float32).nbytes / 4
    r = dict(zip(accuracy.measures, accuracy.resampled_r(score)[0], strict=True))
    expected = [
        np.corrcoef(targets[:6, :, track].ravel(), predictions[..., track].ravel())[0, 1]
        for track in np.flatnonzero(track_types(human.targets) == "CAGE")
    ]
    assert r["CAGE"] == pytest.approx(np.mean(expected))
    levels = [accuracy.promoters.levels(values) for values in (targets[:6], predictions)]
    assert r[AT_PROMOTERS] == pytest.approx(np.corrcoef(*levels)[0, 1])


def test_score_rejects_predictions_of_other_records(human, targets):
    accuracy = HeldOutAccuracy(human, TARGET_LENGTH, num_sequences=6)
    with pytest.raises(ValueError, match="longer"):
        accuracy.score(targets)
    with pytest.raises(ValueError, match="expected the same shape"):
        accuracy.score(targets[:6, :32])
