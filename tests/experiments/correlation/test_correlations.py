import itertools

import numpy as np
import pandas as pd
import pytest

from senformer.evaluation.per_sequence import compare_per_sequence
from senformer.experiments.correlation import correlations
from senformer.study import claims, judges, published_tables
from senformer.study.verdicts import AGREES, CONTRADICTS, UNDECIDED

NUM_SEQUENCES = 40
OVERPREDICTION = "correlation.overprediction"


@pytest.fixture(scope="module")
def fits():
    """Return random rows in the format of `per_sequence.fit_per_sequence`."""
    rows = itertools.product(
        range(NUM_SEQUENCES), claims.TRACK_TYPE_NAMES.values(), correlations.MODELS.values()
    )
    frame = pd.DataFrame(rows, columns=["sequence", "track_type", "model"])
    random = np.random.default_rng(0)
    for column in ("pearson_r", "pooled_pearson_r", "mean_above", "median_above"):
        frame[column] = random.uniform(0.6, 0.9, len(frame))
    for statistic in ("mean", "median"):
        frame[f"experiment_{statistic}"] = random.gamma(1.0, size=len(frame))
        frame[f"prediction_{statistic}"] = frame[f"experiment_{statistic}"] + 1
    return frame


@pytest.fixture(scope="module")
def compared(fits):
    return correlations.compare_models(correlations.pair_models(fits))


@pytest.fixture(scope="module")
def levels(fits):
    return correlations.measure_levels(fits)


def judge(compared, levels):
    evidence = {"compared": compared, "tendencies": correlations.classify_levels(levels)}
    return judges.judge_claims("correlation", evidence).set_index("key")


def test_pair_models_keeps_both_kinds_of_r(fits, compared):
    frame = correlations.pair_models(fits)
    for column, r_over in correlations.R_OVER.items():
        rows = frame[frame["r_over"] == r_over].set_index(["sequence", "track_type"])
        for key, name in correlations.MODELS.items():
            own = fits[fits["model"] == name].set_index(["sequence", "track_type"])[column]
            np.testing.assert_array_equal(rows.loc[own.index, f"{key}_pearson_r"], own)
        expected = compare_per_sequence(rows.reset_index())
        selected = compared[compared["r_over"] == r_over]
        np.testing.assert_array_equal(selected["pearson_r"], expected["pearson_r"])


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_measure_levels_averages_over_sequences(fits, levels, statistic):
    of_model = fits[(fits["model"] == "Enformer") & (fits["track_type"] == "CAGE")]
    index = ["model", "track_type", "statistic"]
    row = levels.set_index(index).loc[("Enformer", "CAGE", statistic)]
    means = of_model.mean(numeric_only=True)
    for name in ("experiment", "prediction"):
        assert row[name] == pytest.approx(means[f"{name}_{statistic}"])
    assert row["share_above"] == pytest.approx(means[f"{statistic}_above"])
    width = row["share_above_high"] - row["share_above_low"]
    error = of_model[f"{statistic}_above"].std() / NUM_SEQUENCES**0.5
    assert width == pytest.approx(2 * 1.96 * error, rel=0.2)
    assert row["num_sequences"] == NUM_SEQUENCES


@pytest.mark.parametrize(("column", "verdict"), [(1, AGREES), (0, CONTRADICTS)])
def test_claims_are_compared_with_pooled_r(levels, column, verdict):
    """The study's own values are one kind of r, values in reversed order the other."""
    stored = published_tables.read_correlation_per_sequence()
    reversed_r = stored.assign(senformer_pearson_r=stored["senformer_pearson_r"].to_numpy()[::-1])
    kinds = list(correlations.R_OVER.values())
    both = [stored.assign(r_over=kinds[column]), reversed_r.assign(r_over=kinds[1 - column])]
    rows = judge(correlations.compare_models(pd.concat(both)), levels).drop(OVERPREDICTION)
    assert len(rows) == 2 * len(claims.TRACK_TYPE_NAMES)
    assert set(rows["verdict"]) == {verdict}


def test_overprediction_needs_every_case(compared, levels):
    assert judge(compared, levels).loc[OVERPREDICTION, "verdict"] == AGREES
    is_first = levels.index == 0
    unclear = levels.assign(share_above_low=levels["share_above_low"].mask(is_first, 0.4))
    row = judge(compared, unclear).loc[OVERPREDICTION]
    assert row["verdict"] == UNDECIDED and "too high in 15, too low in 0 of 16" in row["measured"]
    low = unclear.assign(share_above_high=levels["share_above_high"].mask(is_first, 0.45))
    assert judge(compared, low).loc[OVERPREDICTION, "verdict"] == CONTRADICTS


def test_missing_track_types_are_reported(compared, levels):
    judged = judge(compared[compared["track_type"] != "CAGE"], levels)
    row = judged.loc["correlation.cage_pearson_r"]
    assert pd.isna(row["measured"]) and row["reason"] == "there are no such tracks."
