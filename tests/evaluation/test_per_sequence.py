"""Fits of a sequence equal their definitions; the comparison gives the study's numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from noisy_records import TYPES, all_of, corr, examples, predict

from senformer.evaluation.per_sequence import compare_per_sequence, fit_per_sequence
from senformer.study import published_tables

CAGE = [0, 2, 4]


def pairs_of_r(x, y) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sequence": range(len(x)),
            "track_type": "CAGE",
            "enformer_pearson_r": x,
            "senformer_pearson_r": y,
        }
    )


def test_fit_equals_its_definition():
    records = examples()
    frame = fit_per_sequence({"copy": predict}, records, TYPES)
    x, y = all_of(records, "target"), all_of(records, "sequence")
    found = frame.set_index(["sequence", "track_type"])
    for sequence in range(6):
        row = found.loc[(sequence, "CAGE")]
        mean = np.mean([corr(x[sequence, :, t], y[sequence, :, t]) for t in (0, 2)])
        pooled = corr(x[sequence][:, CAGE], y[sequence][:, CAGE])
        assert row["pearson_r"] == pytest.approx(mean, abs=1e-9)
        assert row["pooled_pearson_r"] == pytest.approx(pooled, abs=1e-9)
        for name, values in (("experiment", x), ("prediction", y)):
            of_tracks = values[sequence][:, CAGE]
            medians = np.median(of_tracks, axis=0)
            assert row[f"{name}_mean"] == pytest.approx(of_tracks.mean(), rel=1e-6)
            assert row[f"{name}_median"] == pytest.approx(medians.mean(), rel=1e-6)
        assert row["mean_above"] == row["median_above"] == 1.0  # the noise is positive
    assert frame["num_tracks"][frame["track_type"] == "CAGE"].eq(2).all()
    assert frame["track_type"][:3].tolist() == ["DNase/ATAC", "TF ChIP", "CAGE"]


def test_equal_prediction_is_not_above_the_experiment():
    records = [{**record, "sequence": record["target"]} for record in examples()]
    frame = fit_per_sequence({"copy": predict}, records, TYPES)
    assert (frame[["mean_above", "median_above"]] == 0).all(axis=None)


def test_fit_of_two_models_equals_each_alone():
    records = examples()
    models = {"copy": predict, "double": lambda s: 2 * s}
    both = fit_per_sequence(models, records, TYPES)
    for name, model in models.items():
        alone = fit_per_sequence({name: model}, records, TYPES)
        of_model = both[both["model"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(of_model, alone)


@pytest.mark.parametrize(
    ("records", "types", "message"),
    [
        (examples(), TYPES[:4], "4 track types for 5 tracks"),
        (examples(), [*TYPES[:4], "chip"], "track type 'chip': expected one of DNase/ATAC"),
        ([], TYPES, "no examples to evaluate"),
    ],
)
def test_fit_of_bad_input_raises(records, types, message):
    with pytest.raises(ValueError, match=message):
        fit_per_sequence({"copy": predict}, records, types)


def test_comparison_gives_the_studys_numbers():
    frame = published_tables.read_correlation_per_sequence()
    found = compare_per_sequence(frame).set_index("track_type")
    study = published_tables.published_correlation().set_index("track_type")
    order = ["DNase/ATAC", "Histone ChIP", "TF ChIP", "CAGE"]
    assert found.index.tolist() == order
    assert found["pearson_r"].round(3).tolist() == [0.876, 0.898, 0.962, 0.863]
    ahead_percent = (100 * found["share_senformer_ahead"]).round(1)
    assert ahead_percent.tolist() == [15.4, 3.4, 6.4, 14.9]
    assert found["pearson_r"].round(3).tolist() == study.loc[order, "pearson_r"].tolist()
    assert found["num_sequences"].eq(1413).all()
    assert (found["pearson_r_low"] < found["pearson_r"]).all()
    assert (found["pearson_r"] < found["pearson_r_high"]).all()


def test_comparison_of_a_known_relation():
    x = np.linspace(0, 1, 101)
    row = compare_per_sequence(pairs_of_r(x, 0.25 + 0.5 * x)).iloc[0]
    assert row["slope"] == pytest.approx(0.5)
    assert row["intercept"] == pytest.approx(0.25)
    assert row["pearson_r"] == pytest.approx(1.0)
    assert row["share_senformer_ahead"] == pytest.approx(50 / 101)  # equal is not ahead
    error = np.sqrt(50 / 101 * 51 / 101 / 101)  # of a binomial share
    assert row["share_high"] - row["share_low"] == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_interval_covers_the_truth():
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(100):
        pairs = random.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=200)
        row = compare_per_sequence(pairs_of_r(*pairs.T), seed=trial).iloc[0]
        hits += row["pearson_r_low"] <= 0.8 <= row["pearson_r_high"]
    assert 87 <= hits <= 100


def test_comparison_leaves_out_sequences_without_an_r():
    row = compare_per_sequence(pairs_of_r([0.1, np.nan, 0.3], [0.2, 0.3, 0.1])).iloc[0]
    assert row["num_sequences"] == 2
    assert row["num_undefined"] == 1
    assert row["share_senformer_ahead"] == 0.5
    assert np.isnan(row["pearson_r"])


def test_comparison_names_a_missing_column():
    frame = pd.DataFrame(columns=["sequence", "track_type", "enformer_pearson_r"])
    with pytest.raises(ValueError, match="no column 'senformer_pearson_r'"):
        compare_per_sequence(frame)
