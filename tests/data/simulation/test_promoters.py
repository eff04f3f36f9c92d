import numpy as np
import pytest

from senformer.data import record_folders
from senformer.data.simulation import simulate
from senformer.data.simulation.promoters import compute_contributions, find_promoters

TARGET_LENGTH = 32


@pytest.fixture(scope="module")
def human(tmp_path_factory):
    folder = simulate.write_dataset(
        tmp_path_factory.mktemp("simulated") / "data",
        sequence_length_bp=8_192,
        target_length=TARGET_LENGTH,
        num_sequences={"human": {"train": 1, "valid": 1, "test": 20}},
        flank_bp=8_192,
    )
    return record_folders.open_folders(folder)["human"]


def test_find_promoters_in_targets(human):
    promoters = find_promoters(human, "test", TARGET_LENGTH)
    assert promoters["bin"].between(0, TARGET_LENGTH - 1).all()
    starts_bp = human.intervals_of("test")["start"].to_numpy()[promoters["row"]]
    margin_bp = (8_192 - 128 * TARGET_LENGTH) // 2
    np.testing.assert_array_equal(
        (promoters["position_bp"] - starts_bp - margin_bp) // 128, promoters["bin"]
    )


def test_find_promoters_skips_empty_records(human):
    promoters = find_promoters(human, "test", TARGET_LENGTH)
    assert promoters["row"].nunique() < 20, "every record has a promoter"
    assert not promoters.isna().any(axis=None)
    assert not promoters.duplicated(["element"]).any()


def test_contributions_sum_to_distal_effects(human):
    promoters = find_promoters(human, "test", TARGET_LENGTH)
    effects = compute_contributions(human, promoters).groupby("promoter")["effect_blood"].sum()
    summed = effects.reindex(promoters.index, fill_value=0.0)
    np.testing.assert_allclose(summed, promoters["distal_blood"], atol=1e-12)
