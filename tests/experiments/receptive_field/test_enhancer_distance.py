import numpy as np
import pytest

from senformer.data import datasets, record_folders
from senformer.data.simulation import simulate
from senformer.data.windows import InputWindow
from senformer.experiments.receptive_field import enhancer_distance

TARGET_LENGTH = 192
BANDS_BP = (0, 8_192, 32_768, 131_072, 393_216)


@pytest.fixture(scope="module")
def human(tmp_path_factory):
    folder = simulate.write_dataset(
        tmp_path_factory.mktemp("simulated") / "human",
        num_sequences={"human": {"train": 1, "valid": 1, "test": 100}},
    )
    return record_folders.open_folders(folder)["human"]


@pytest.fixture(scope="module")
def promoters(human):
    return enhancer_distance.PromotersOfSplit(human, "test", TARGET_LENGTH)


def expected_levels(human, promoters, seen_bp=None):
    cropped = (human.target_length - TARGET_LENGTH) // 2
    values = simulate.compute_expected_targets(human, "test", seen_bp=seen_bp)
    return promoters.levels(values[:, cropped:-cropped])


def test_effects_of_all_bands_are_what_the_genome_says_of_each_promoter(promoters):
    total = promoters.effects_by_distance(BANDS_BP).sum(axis=1)
    distal = promoters.table.apply(lambda row: row[f"distal_{row['biosample']}"], axis=1)
    np.testing.assert_allclose(total, distal, rtol=1e-9)
    assert len(promoters.table) > 5 * 100


def test_levels_are_read_where_the_promoters_stand(human, promoters):
    """Measured levels are counts of the expected ones; a bin aside they would be unlike."""
    examples = datasets.examples(human, "test", InputWindow(32_768, TARGET_LENGTH))
    measured = promoters.levels(np.stack([example["target"].numpy() for example in examples]))
    expected = expected_levels(human, promoters)
    assert np.corrcoef(measured, expected)[0, 1] > 0.97
    assert measured.mean() == pytest.approx(expected.mean(), rel=0.02)


def test_who_knows_all_uses_all_and_who_knows_nothing_none(human, promoters):
    expected = expected_levels(human, promoters)
    all_known, none_known = (
        enhancer_distance.share_used_by_distance(
            promoters, [predicted], expected, edges_bp=BANDS_BP
        )
        for predicted in (expected, expected_levels(human, promoters, seen_bp=0))
    )
    np.testing.assert_allclose(all_known["share_used"], 1, atol=0.05)
    np.testing.assert_allclose(none_known["share_used"], 0, atol=0.05)
    for table in (all_known, none_known):
        assert (table["share_low"] <= table["share_used"]).all()
        assert (table["share_used"] <= table["share_high"]).all()


@pytest.mark.parametrize("seen_bp", [65_536, 262_144])
def test_who_knows_what_an_input_holds_uses_what_it_holds(human, promoters, seen_bp):
    used = enhancer_distance.share_used_by_distance(
        promoters,
        [expected_levels(human, promoters, seen_bp)],
        expected_levels(human, promoters),
        edges_bp=BANDS_BP,
    )["share_used"]
    seen = promoters.effects_by_distance(BANDS_BP, seen_bp=seen_bp).sum(axis=0)
    held = seen / promoters.effects_by_distance(BANDS_BP).sum(axis=0)
    np.testing.assert_allclose(used, held, atol=0.2)
    assert held[0] > 0.99 and held[-1] < 0.2


def test_intervals_shrink_with_the_records_and_differences_are_paired(human, promoters):
    measured = expected_levels(human, promoters)
    noise = np.random.default_rng(0).normal(scale=measured.std(), size=[2, len(measured)])
    alike = [measured + noise[0], measured + noise[0] + 0.01 * noise[1]]
    r = enhancer_distance.r_over_promoters(promoters, alike, measured)
    np.testing.assert_allclose(r[0], [np.corrcoef(measured, levels)[0, 1] for levels in alike])
    assert (r[:, 0] - r[:, 1]).std() < 0.1 * r[:, 0].std()
    assert 0.01 < r[:, 0].std() < 0.05
