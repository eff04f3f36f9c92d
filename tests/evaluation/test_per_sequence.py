"""Fits of a sequence equal their definitions; the comparison gives the study's numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from noisy_records import TYPES, all_of, corr, examples, predict

from senformer.evaluation import per_sequence
from senformer.study import published


class TestPerSequence:
    def test_both_kinds_of_r_equal_their_definitions(self):
        records = examples()
        frame = per_sequence.fit_per_sequence({"copy": predict}, records, TYPES, batch_size=4)
        x, y = all_of(records, "target"), all_of(records, "sequence")
        found = frame.set_index(["sequence", "track_type"])
        for sequence in range(6):
            mean = np.mean([corr(x[sequence, :, t], y[sequence, :, t]) for t in (0, 2)])
            cage = [0, 2, 4]
            pooled = corr(x[sequence][:, cage], y[sequence][:, cage])
            row = found.loc[(sequence, "CAGE")]
            assert row["pearson_r"] == pytest.approx(mean, abs=1e-9)
            assert row["pooled_pearson_r"] == pytest.approx(pooled, abs=1e-9)
        assert frame["num_tracks"][frame["track_type"] == "CAGE"].eq(2).all()
        assert frame["track_type"][:3].tolist() == ["DNase/ATAC", "TF ChIP", "CAGE"]

    def test_levels_are_means_and_medians_of_tracks(self):
        records = examples()
        frame = per_sequence.fit_per_sequence({"copy": predict}, records, TYPES)
        x, y = all_of(records, "target"), all_of(records, "sequence")
        for sequence in range(6):
            row = frame.set_index(["sequence", "track_type"]).loc[(sequence, "CAGE")]
            cage = [0, 2, 4]
            for name, values in (("experiment", x), ("prediction", y)):
                of_tracks = values[sequence][:, cage]
                assert row[f"{name}_mean"] == pytest.approx(of_tracks.mean(), rel=1e-6)
                medians = np.median(of_tracks, axis=0)
                assert row[f"{name}_median"] == pytest.approx(medians.mean(), rel=1e-6)
            assert row["mean_above"] == row["median_above"] == 1.0  # the noise is positive

    def test_a_prediction_that_equals_the_experiment_is_not_above_it(self):
        records = [{**one, "sequence": one["target"]} for one in examples()]
        frame = per_sequence.fit_per_sequence({"copy": predict}, records, TYPES)
        assert (frame[["mean_above", "median_above"]] == 0).all(axis=None)

    def test_models_are_told_apart_and_see_the_same_sequences(self):
        records = examples()
        models = {"copy": predict, "double": lambda s: 2 * s}
        both = per_sequence.fit_per_sequence(models, records, TYPES, batch_size=4)
        for name, model in models.items():
            alone = per_sequence.fit_per_sequence({name: model}, records, TYPES, batch_size=4)
            mine = both[both["model"] == name].reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, alone)
        r = both.pivot(index=["sequence", "track_type"], columns="model", values="pearson_r")
        np.testing.assert_allclose(r["copy"], r["double"], atol=1e-12)

    def test_types_and_tracks_must_be_as_many(self):
        with pytest.raises(ValueError, match="4 track types for 5 tracks"):
            per_sequence.fit_per_sequence({"copy": predict}, examples(), TYPES[:4])

    def test_an_unknown_type_is_named(self):
        with pytest.raises(ValueError, match="track type 'chip': expected one of DNase/ATAC"):
            per_sequence.fit_per_sequence({"copy": predict}, examples(), [*TYPES[:4], "chip"])

    def test_no_records_are_an_error(self):
        with pytest.raises(ValueError, match="no examples to evaluate"):
            per_sequence.fit_per_sequence({"copy": predict}, [], TYPES)


class TestComparePerSequence:
    def test_gives_the_numbers_of_the_study(self):
        frame = published.read_correlation_per_sequence()
        found = per_sequence.compare_per_sequence(frame).set_index("track_type")
        study = published.per_sequence_comparison().set_index("track_type")
        order = ["DNase/ATAC", "Histone ChIP", "TF ChIP", "CAGE"]
        assert found.index.tolist() == order
        assert found["pearson_r"].round(3).tolist() == [0.876, 0.898, 0.962, 0.863]
        ahead_percent = (100 * found["share_senformer_ahead"]).round(1)
        assert ahead_percent.tolist() == [15.4, 3.4, 6.4, 14.9]
        assert found["pearson_r"].round(3).tolist() == study.loc[order, "pearson_r"].tolist()
        assert found["num_sequences"].eq(1413).all()
        assert (found["pearson_r_low"] < found["pearson_r"]).all()
        assert (found["pearson_r"] < found["pearson_r_high"]).all()

    def test_line_and_share_of_a_known_relation(self):
        x = np.linspace(0, 1, 101)
        frame = pd.DataFrame(
            {
                "sequence": range(101),
                "track_type": "CAGE",
                "enformer_pearson_r": x,
                "senformer_pearson_r": 0.25 + 0.5 * x,
            }
        )
        row = per_sequence.compare_per_sequence(frame).iloc[0]
        assert row["slope"] == pytest.approx(0.5)
        assert row["intercept"] == pytest.approx(0.25)
        assert row["pearson_r"] == pytest.approx(1.0)
        assert row["share_senformer_ahead"] == pytest.approx(50 / 101)  # equal is not ahead
        error = np.sqrt(50 / 101 * 51 / 101 / 101)  # of a binomial share
        assert row["share_high"] - row["share_low"] == pytest.approx(2 * 1.96 * error, rel=0.1)

    def test_the_interval_covers_the_truth_as_often_as_it_says(self):
        random = np.random.default_rng(0)
        covariance = [[1, 0.8], [0.8, 1]]
        hits = 0
        for trial in range(100):
            pairs = random.multivariate_normal([0, 0], covariance, size=200)
            frame = pd.DataFrame(pairs, columns=["enformer_pearson_r", "senformer_pearson_r"])
            frame = frame.assign(sequence=range(200), track_type="CAGE")
            row = per_sequence.compare_per_sequence(frame, num_bootstrap=300, seed=trial).iloc[0]
            hits += row["pearson_r_low"] <= 0.8 <= row["pearson_r_high"]
        assert 87 <= hits <= 100

    def test_sequences_without_an_r_are_left_out_and_too_few_give_none(self):
        frame = pd.DataFrame(
            {
                "sequence": [0, 1, 2],
                "track_type": "CAGE",
                "enformer_pearson_r": [0.1, np.nan, 0.3],
                "senformer_pearson_r": [0.2, 0.3, 0.1],
            }
        )
        row = per_sequence.compare_per_sequence(frame).iloc[0]
        assert row["num_sequences"] == 2
        assert row["num_undefined"] == 1
        assert row["share_senformer_ahead"] == 0.5
        assert np.isnan(row["pearson_r"])

    def test_a_missing_column_is_named(self):
        with pytest.raises(ValueError, match="no column 'senformer_pearson_r'"):
            per_sequence.compare_per_sequence(
                pd.DataFrame(columns=["sequence", "track_type", "enformer_pearson_r"])
            )
