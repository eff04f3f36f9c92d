"""Predictions of known simulated effects show how far a model sees."""

import numpy as np
import pytest

from senformer.data import datasets
from senformer.data.simulation import simulate
from senformer.data.windows import InputWindow
from senformer.experiments.receptive_field import enhancer_distance

TARGET_LENGTH = 192
BANDS_BP = (0, 8_192, 32_768, 131_072, 393_216)


def expected_levels(records, promoters, seen_bp=None):
    cropped = (records.target_length - TARGET_LENGTH) // 2
    values = simulate.compute_expected_targets(records, "test", seen_bp=seen_bp)
    return promoters.levels(values[:, cropped:-cropped])


def test_effects_by_distance_sum_to_the_distal_effect(promoters):
    total = promoters.effects_by_distance(BANDS_BP).sum(axis=1)
    distal = promoters.table.apply(lambda row: row[f"distal_{row['biosample']}"], axis=1)
    np.testing.assert_allclose(total, distal, rtol=1e-9)
    assert len(promoters.table) > 5 * 100


def test_levels_follow_expected_levels(records_of_promoters, promoters):
    """Measured levels are counts around the expected ones; one bin aside they would differ."""
    examples = datasets.examples(records_of_promoters, "test", InputWindow(32_768, TARGET_LENGTH))
    measured = promoters.levels(np.stack([example["target"].numpy() for example in examples]))
    expected = expected_levels(records_of_promoters, promoters)
    assert np.corrcoef(measured, expected)[0, 1] > 0.97
    assert measured.mean() == pytest.approx(expected.mean(), rel=0.02)


@pytest.mark.parametrize(
    ("seen_bp", "atol"), [(None, 0.05), (0, 0.05), (65_536, 0.2), (262_144, 0.2)]
)
def test_share_used_is_that_within_the_input(records_of_promoters, promoters, seen_bp, atol):
    table = enhancer_distance.share_used_by_distance(
        promoters,
        [expected_levels(records_of_promoters, promoters, seen_bp)],
        expected_levels(records_of_promoters, promoters),
        edges_bp=BANDS_BP,
    )
    seen = promoters.effects_by_distance(BANDS_BP, seen_bp=seen_bp).sum(axis=0)
    within = seen / promoters.effects_by_distance(BANDS_BP).sum(axis=0)
    np.testing.assert_allclose(table["share_used"], within, atol=atol)
    assert (table["share_low"] <= table["share_used"]).all()
    assert (table["share_used"] <= table["share_high"]).all()


def test_r_over_promoters_is_paired_between_models(records_of_promoters, promoters):
    measured = expected_levels(records_of_promoters, promoters)
    noise = np.random.default_rng(0).normal(scale=measured.std(), size=[2, len(measured)])
    predicted = [measured + noise[0], measured + noise[0] + 0.01 * noise[1]]
    r = enhancer_distance.r_over_promoters(promoters, predicted, measured)
    np.testing.assert_allclose(r[0], [np.corrcoef(measured, x)[0, 1] for x in predicted])
    assert (r[:, 0] - r[:, 1]).std() < 0.1 * r[:, 0].std()
    assert 0.01 < r[:, 0].std() < 0.05
