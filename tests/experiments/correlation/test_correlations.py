import numpy as np
import pandas as pd
import pytest

from senformer.evaluation.per_sequence import compare_per_sequence
from senformer.experiments.correlation import correlations
from senformer.study import claims, judges, published_tables
from senformer.study.verdicts import AGREES, CONTRADICTS, DIFFERS, UNDECIDED

TYPES = list(claims.TRACK_TYPE_NAMES.values())
NUM_SEQUENCES = 40


@pytest.fixture(scope="module")
def fits():
    """Return random rows in the format of `per_sequence.fit_per_sequence`."""
    random = np.random.default_rng(0)
    rows = []
    for sequence in range(NUM_SEQUENCES):
        for track_type in TYPES:
            experiment = random.gamma(1.0, size=2)
            for model in correlations.MODELS.values():
                rows.append(
                    {
                        "sequence": sequence,
                        "model": model,
                        "track_type": track_type,
                        "pearson_r": random.uniform(0.2, 0.5),
                        "pooled_pearson_r": random.uniform(0.6, 0.9),
                        "experiment_mean": experiment[0],
                        "prediction_mean": experiment[0] + 1,
                        "mean_above": random.uniform(0.6, 0.9),
                        "experiment_median": experiment[1],
                        "prediction_median": experiment[1] + 2,
                        "median_above": random.uniform(0.6, 0.9),
                    }
                )
    return pd.DataFrame(rows)


def test_pair_models_keeps_both_kinds_of_r(fits):
    frame = correlations.pair_models(fits)
    for column, r_over in correlations.R_OVER.items():
        wide = frame[frame["r_over"] == r_over].set_index(["sequence", "track_type"])
        for key, name in correlations.MODELS.items():
            own = fits[fits["model"] == name].set_index(["sequence", "track_type"])[column]
            np.testing.assert_array_equal(wide.loc[own.index, f"{key}_pearson_r"], own)
    compared = correlations.compare_models(frame)
    first = frame[frame["r_over"] == compared["r_over"][0]]
    alone = compare_per_sequence(first)
    mine = compared.iloc[: len(alone)].drop(columns="r_over")
    np.testing.assert_array_equal(mine["pearson_r"], alone["pearson_r"])
    assert set(compared["r_over"]) == set(correlations.R_OVER.values())


def test_measure_levels_averages_over_sequences(fits):
    frame = correlations.measure_levels(fits).set_index(["model", "track_type", "statistic"])
    cage = fits[(fits["model"] == "Enformer") & (fits["track_type"] == "CAGE")]
    for statistic in ("mean", "median"):
        row = frame.loc[("Enformer", "CAGE", statistic)]
        assert row["experiment"] == pytest.approx(cage[f"experiment_{statistic}"].mean())
        assert row["prediction"] == pytest.approx(cage[f"prediction_{statistic}"].mean())
        assert row["share_above"] == pytest.approx(cage[f"{statistic}_above"].mean())
        assert row["num_sequences"] == NUM_SEQUENCES
    experiment = frame["experiment"].unstack("model")
    np.testing.assert_allclose(experiment["Enformer"], experiment["S-Enformer"])


@pytest.fixture(scope="module")
def compared(fits):
    return correlations.compare_models(correlations.pair_models(fits))


@pytest.fixture(scope="module")
def levels(fits):
    return correlations.measure_levels(fits)


def judged(compared, levels, unlike=""):
    tables = {"compared": compared, "tendencies": correlations.classify_levels(levels)}
    return judges.judge_claims("correlation", tables, unlike).set_index("key")


def test_every_correlation_claim_is_judged(compared, levels):
    findings = [
        claim.key
        for claim in claims.CLAIMS
        if claim.key.startswith("correlation.") and claim.kind == "finding"
    ]
    assert sorted(judged(compared, levels).index) == sorted(findings)


def test_other_settings_give_no_verdict(compared, levels):
    rows = judged(compared, levels, "here 2 tracks.")
    assert set(rows["verdict"]) == {DIFFERS} and set(rows["reason"]) == {"here 2 tracks."}
    assert rows["measured"].notna().all()


def test_claims_are_compared_with_pooled_r(levels):
    stored = published_tables.read_correlation_per_sequence()
    shuffled = stored.assign(senformer_pearson_r=stored["senformer_pearson_r"].to_numpy()[::-1])
    text, code = correlations.R_OVER.values()
    for r_over, expected in ((code, AGREES), (text, CONTRADICTS)):
        # The study's own values as one kind of r, nonsense as the other.
        kinds = [
            stored.assign(r_over=r_over),
            shuffled.assign(r_over=text if r_over == code else code),
        ]
        rows = judged(correlations.compare_models(pd.concat(kinds)), levels)
        for name in claims.TRACK_TYPE_NAMES:
            assert rows.loc[f"correlation.{name}_pearson_r", "verdict"] == expected


def test_overprediction_needs_every_case(compared, levels):
    key = "correlation.overprediction"
    assert (correlations.classify_levels(levels) == 1).all() and len(levels) == 16
    assert judged(compared, levels).loc[key, "verdict"] == AGREES
    is_first = levels.index == 0
    open_one = levels.assign(share_above_low=levels["share_above_low"].mask(is_first, 0.4))
    row = judged(compared, open_one).loc[key]
    assert row["verdict"] == UNDECIDED and "too high in 15, too low in 0 of 16" in row["measured"]
    low_one = open_one.assign(share_above_high=levels["share_above_high"].mask(is_first, 0.45))
    assert judged(compared, low_one).loc[key, "verdict"] == CONTRADICTS


def test_share_interval_is_over_sequences(fits):
    levels = correlations.measure_levels(fits)
    shares = fits[(fits["model"] == "Enformer") & (fits["track_type"] == "CAGE")]["mean_above"]
    row = levels.query("model == 'Enformer' and track_type == 'CAGE' and statistic == 'mean'")
    width = float((row["share_above_high"] - row["share_above_low"]).iloc[0])
    assert width == pytest.approx(2 * 1.96 * shares.std() / NUM_SEQUENCES**0.5, rel=0.2)


def test_missing_track_types_are_reported(fits, levels):
    no_cage = correlations.compare_models(
        correlations.pair_models(fits[fits["track_type"] != "CAGE"])
    )
    row = judged(no_cage, levels).loc["correlation.cage_pearson_r"]
    assert pd.isna(row["measured"]) and row["reason"] == "there are no such tracks."
