"""Streaming correlation equals NumPy's on all data at once; protocols mean what they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from senformer.data.tracks import TRACK_TYPES
from senformer.evaluation import evaluation
from senformer.evaluation.evaluation import PearsonSums, Protocol
from senformer.report import published

TYPES = ["CAGE", "DNase/ATAC", "CAGE", "TF ChIP", "CAGE"]
"""The track types of the little examples below."""


def examples(num_sequences: int = 6, bins: int = 16, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Records whose sequence holds, scaled, what `predict` shall predict; track 4 is constant."""
    random = np.random.default_rng(seed)
    level = 10.0 ** np.arange(len(TYPES))  # tracks differ in height, as real ones do
    records = []
    for _ in range(num_sequences):
        target = random.gamma(1.0, size=(bins, len(TYPES))) * level
        target[:, 4] = 3.0
        noise = random.gamma(1.0, size=target.shape) * level
        records.append(
            {"sequence": (target + noise).astype(np.float32), "target": target.astype(np.float32)}
        )
    return records


def predict(sequence: np.ndarray) -> np.ndarray:
    return sequence


def all_of(records: list[dict[str, np.ndarray]], key: str) -> np.ndarray:
    return np.stack([record[key] for record in records]).astype(np.float64)


def corr(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(np.ravel(x), np.ravel(y))[0, 1])


def streamed(x: np.ndarray, y: np.ndarray, batch: int) -> PearsonSums:
    sums = evaluation.start(x.shape[-1])
    for begin in range(0, len(x), batch):
        sums = evaluation.update(sums, x[begin : begin + batch], y[begin : begin + batch])
    return sums


class TestSums:
    def test_ten_million_values_far_from_zero_where_float32_fails(self):
        random = np.random.default_rng(0)
        offset = 4096.0
        x = (offset + random.normal(size=(10_000_000, 1))).astype(np.float32)
        y = (x + random.normal(size=x.shape).astype(np.float32)).astype(np.float32)
        expected = corr(x.astype(np.float64), y.astype(np.float64))
        r = evaluation.pearson_r(streamed(x, y, batch=123_457))[0]
        assert r == pytest.approx(expected, abs=1e-6)
        assert abs(float32_sums_r(x[:, 0], y[:, 0]) - expected) > 0.1

    def test_workers_that_merge_get_what_one_pass_gets(self):
        random = np.random.default_rng(1)
        x = random.normal(loc=[0, 1e3, -1e6], size=(1000, 3))
        y = 0.5 * x + random.normal(size=x.shape)
        parts = [streamed(x[part], y[part], 7) for part in np.array_split(np.arange(1000), 4)]
        merged = evaluation.merge(
            evaluation.merge(parts[3], parts[0]), evaluation.merge(parts[2], parts[1])
        )
        expected = [corr(x[:, track], y[:, track]) for track in range(3)]
        np.testing.assert_allclose(evaluation.pearson_r(merged), expected, atol=1e-9)
        np.testing.assert_allclose(merged.target_mean, x.mean(axis=0), rtol=1e-12)

    def test_nothing_is_the_neutral_element(self):
        sums = streamed(np.eye(4), np.arange(16.0).reshape(4, 4), 2)
        for merged in (
            evaluation.merge(sums, evaluation.start(4)),
            evaluation.merge(evaluation.start(4), sums),
        ):
            for part, expected in zip(merged, sums, strict=True):
                np.testing.assert_array_equal(part, expected)

    def test_leading_axes_do_not_matter(self):
        random = np.random.default_rng(2)
        x, y = random.normal(size=(2, 3, 5, 4))
        whole = evaluation.update(evaluation.start(4), x, y)
        flat = evaluation.update(evaluation.start(4), x.reshape(-1, 4), y.reshape(-1, 4))
        np.testing.assert_array_equal(evaluation.pearson_r(whole), evaluation.pearson_r(flat))

    def test_a_constant_track_has_no_r_even_where_its_mean_rounds(self):
        x = np.random.default_rng(3).normal(size=(1000, 3))
        y = x.copy()
        x[:, 0] = 0.1
        y[:, 1] = np.float32(1 / 3)
        sums = streamed(x, y, 13)
        np.testing.assert_array_equal(evaluation.is_constant(sums), [True, True, False])
        np.testing.assert_array_equal(np.isnan(evaluation.pearson_r(sums)), [True, True, False])

    def test_r_does_not_change_with_scale_and_shift_and_stays_within_one(self):
        x = np.random.default_rng(4).normal(size=(50, 1))
        assert evaluation.pearson_r(streamed(x, 3e-9 * x + 7, 50))[0] == pytest.approx(1.0)
        assert abs(evaluation.pearson_r(streamed(x, -1e9 * x, 50))[0]) <= 1.0

    def test_values_that_are_not_finite_are_named(self):
        x = np.zeros((4, 3))
        y = x.copy()
        y[2, 1] = np.nan
        with pytest.raises(ValueError, match="prediction of track 1 holds a value that is not"):
            evaluation.update(evaluation.start(3), x, y)

    def test_shapes_must_agree(self):
        with pytest.raises(ValueError, match=r"target is \(4, 3\), prediction \(4, 2\)"):
            evaluation.update(evaluation.start(3), np.zeros((4, 3)), np.zeros((4, 2)))


def float32_sums_r(x: np.ndarray, y: np.ndarray) -> float:
    """The accumulators of the published evaluation: raw float32 sums, batch after batch."""
    n = np.float32(0)
    sx = sy = sxx = syy = sxy = np.float32(0)
    for begin in range(0, len(x), 896):
        a, b = x[begin : begin + 896], y[begin : begin + 896]
        n += np.float32(len(a))
        sx, sy = sx + a.sum(), sy + b.sum()
        sxx, syy, sxy = sxx + (a * a).sum(), syy + (b * b).sum(), sxy + (a * b).sum()
    assert sxx.dtype == np.float32
    variance = max(float(sxx - sx * sx / n) * float(syy - sy * sy / n), 1e-12)
    return float(sxy - sx * sy / n) / variance**0.5


class TestPerTrack:
    def test_equals_numpy_over_all_bins_and_sequences(self):
        records = examples()
        x, y = all_of(records, "target"), all_of(records, "sequence")
        frame = evaluation.correlation_per_track(predict, records)
        expected = [corr(x[..., t], y[..., t]) for t in range(4)]
        np.testing.assert_allclose(frame["pearson_r"][:4], expected, atol=1e-9)
        assert np.isnan(frame["pearson_r"][4])
        assert frame["constant"].tolist() == [False, False, False, False, True]
        assert (frame["num_values"] == 6 * 16).all()
        np.testing.assert_allclose(frame["prediction_mean"], y.mean(axis=(0, 1)), rtol=1e-9)

    def test_the_batch_size_does_not_matter(self):
        one = evaluation.correlation_per_track(predict, examples(), batch_size=1)
        four = evaluation.correlation_per_track(predict, examples(), batch_size=4)
        pd.testing.assert_frame_equal(one, four, rtol=1e-12)

    def test_log1p_compares_logarithms(self):
        records = examples()
        x, y = np.log1p(all_of(records, "target")), np.log1p(all_of(records, "sequence"))
        frame = evaluation.correlation_per_track(predict, records, log1p=True)
        assert frame["pearson_r"][2] == pytest.approx(corr(x[..., 2], y[..., 2]), abs=1e-6)

    def test_tf_data_is_read_as_it_comes(self):
        import tensorflow as tf

        records = examples()
        dataset = tf.data.Dataset.from_generator(
            lambda: iter(records),
            output_signature={
                "sequence": tf.TensorSpec([16, 5], tf.float32),
                "target": tf.TensorSpec([16, 5], tf.float32),
            },
        )
        frame = evaluation.correlation_per_track(lambda s: tf.constant(s), dataset, batch_size=2)
        pd.testing.assert_frame_equal(frame, evaluation.correlation_per_track(predict, records))

    def test_no_records_are_an_error(self):
        with pytest.raises(ValueError, match="no examples to evaluate"):
            evaluation.correlation_per_track(predict, [])

    def test_predictions_of_another_shape_are_an_error(self):
        with pytest.raises(ValueError, match=r"predictions are \(1, 8, 5\), targets \(1, 16, 5\)"):
            evaluation.correlation_per_track(lambda s: s[:, ::2], examples())


class TestPerSequence:
    def test_both_kinds_of_r_equal_their_definitions(self):
        records = examples()
        frame = evaluation.fit_per_sequence({"copy": predict}, records, TYPES, batch_size=4)
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
        frame = evaluation.fit_per_sequence({"copy": predict}, records, TYPES)
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
        frame = evaluation.fit_per_sequence({"copy": predict}, records, TYPES)
        assert (frame[["mean_above", "median_above"]] == 0).all(axis=None)

    def test_models_are_told_apart_and_see_the_same_sequences(self):
        records = examples()
        models = {"copy": predict, "double": lambda s: 2 * s}
        both = evaluation.fit_per_sequence(models, records, TYPES, batch_size=4)
        for name, model in models.items():
            alone = evaluation.fit_per_sequence({name: model}, records, TYPES, batch_size=4)
            mine = both[both["model"] == name].reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, alone)
        r = both.pivot(index=["sequence", "track_type"], columns="model", values="pearson_r")
        np.testing.assert_allclose(r["copy"], r["double"], atol=1e-12)

    def test_types_and_tracks_must_be_as_many(self):
        with pytest.raises(ValueError, match="4 track types for 5 tracks"):
            evaluation.fit_per_sequence({"copy": predict}, examples(), TYPES[:4])

    def test_an_unknown_type_is_named(self):
        with pytest.raises(ValueError, match="track type 'chip': expected one of DNase/ATAC"):
            evaluation.fit_per_sequence({"copy": predict}, examples(), [*TYPES[:4], "chip"])

    def test_no_records_are_an_error(self):
        with pytest.raises(ValueError, match="no examples to evaluate"):
            evaluation.fit_per_sequence({"copy": predict}, [], TYPES)


class TestEvaluate:
    def test_each_aggregation_equals_its_definition(self):
        records = examples()
        x, y = all_of(records, "target"), all_of(records, "sequence")
        protocols = {name: Protocol(TYPES, name) for name in evaluation.AGGREGATIONS}
        frame = evaluation.evaluate(predict, records, protocols, batch_size=4)
        cage = frame[frame["track_type"] == "CAGE"].set_index("protocol")
        per_sequence = [[corr(x[s, :, t], y[s, :, t]) for s in range(6)] for t in (0, 2)]
        tracks = [0, 2, 4]
        across = [corr(x[s, b, tracks], y[s, b, tracks]) for s in range(6) for b in range(16)]
        expected = {
            "per_track": np.mean([corr(x[..., t], y[..., t]) for t in (0, 2)]),
            "per_sequence": np.mean(per_sequence),
            "across_tracks": np.mean(across),
            "pooled": corr(x[..., tracks], y[..., tracks]),
        }
        for name, r in expected.items():
            assert cage.loc[name, "pearson_r"] == pytest.approx(r, abs=1e-9), name
        assert cage["num_constant"].eq(1).all()
        assert cage["num_tracks"].to_dict() == {
            "per_track": 2,
            "per_sequence": 2,
            "across_tracks": 3,
            "pooled": 3,
        }

    def test_tracks_of_different_height_make_the_pooled_r_high(self):
        # The reason to tell the two apart: predicting no more than each track's height is enough.
        records = examples()
        heights = all_of(records, "target").mean(axis=(0, 1))
        shuffled = np.random.default_rng(0)

        def heights_only(sequence: np.ndarray) -> np.ndarray:
            return heights * (1 + 0.01 * shuffled.normal(size=sequence.shape))

        protocols = {name: Protocol(TYPES, name) for name in ("per_track", "pooled")}
        frame = evaluation.evaluate(heights_only, records, protocols)
        r = frame.set_index(["protocol", "track_type"])["pearson_r"]
        assert r["pooled", "CAGE"] > 0.6
        assert abs(r["per_track", "CAGE"]) < 0.2

    def test_scales_and_groupings_are_told_apart_in_one_pass(self):
        records = examples()
        other = ["CAGE", "CAGE", "CAGE", "TF ChIP", "CAGE"]
        calls = []

        def counted(sequence: np.ndarray) -> np.ndarray:
            calls.append(len(sequence))
            return sequence

        frame = evaluation.evaluate(
            counted,
            records,
            {"raw": Protocol(TYPES), "log": Protocol(TYPES, log1p=True), "other": Protocol(other)},
            batch_size=3,
        )
        assert calls == [3, 3]
        for name, types, log1p in (
            ("raw", TYPES, False),
            ("log", TYPES, True),
            ("other", other, False),
        ):
            alone = evaluation.mean_by_track_type(
                evaluation.correlation_per_track(predict, records, log1p=log1p), types
            )
            mine = frame[frame["protocol"] == name].drop(columns="protocol").reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, alone, rtol=1e-9)

    def test_central_bins_are_those_in_the_middle(self):
        records = examples()
        middle = [{key: value[6:10] for key, value in one.items()} for one in records]
        for name in evaluation.AGGREGATIONS:
            central = {"some": Protocol(TYPES, name, central_bins=4)}
            whole = {"some": Protocol(TYPES, name)}
            pd.testing.assert_frame_equal(
                evaluation.evaluate(predict, records, central),
                evaluation.evaluate(predict, middle, whole),
            )
        with pytest.raises(ValueError, match="central_bins=17: expected 1 to 16"):
            evaluation.evaluate(predict, records, {"more": Protocol(TYPES, central_bins=17)})

    def test_averaged_predictions_are_compared_as_one(self):
        # Random noise that differs between views: their mean is closer to the truth than one.
        random = np.random.default_rng(5)
        bins = random.integers(4, size=(6, 16))
        records = [
            {"sequence": np.eye(4, dtype=np.float32)[one], "target": np.eye(4)[one][:, :2]}
            for one in bins
        ]
        shown = []

        def noisy(sequence: np.ndarray) -> np.ndarray:
            shown.append(sequence)
            return sequence[..., :2] + random.normal(size=sequence[..., :2].shape)

        protocols = {
            name: Protocol(["CAGE", "CAGE"], averaging=name) for name in ("none", "strands")
        }
        frame = evaluation.evaluate(
            noisy, records, protocols, batch_size=6, strand_pairs=[1, 0]
        ).set_index("protocol")
        assert len(shown) == 2  # the protocols share the view that is not reversed
        np.testing.assert_array_equal(shown[1], shown[0][:, ::-1, ::-1])
        assert 0 < frame.loc["none", "pearson_r"] < 1
        assert frame.loc["none", "pearson_r"] != frame.loc["strands", "pearson_r"]

    def test_an_unknown_averaging_is_named(self):
        with pytest.raises(ValueError, match="averaging='both', expected one of none, strands"):
            Protocol(TYPES, averaging="both")

    def test_an_unknown_aggregation_is_named(self):
        with pytest.raises(ValueError, match="aggregation='mean', expected one of per_track"):
            Protocol(TYPES, "mean")

    def test_no_protocols_or_records_are_errors(self):
        with pytest.raises(ValueError, match="no protocols"):
            evaluation.evaluate(predict, examples(), {})
        with pytest.raises(ValueError, match="no examples"):
            evaluation.evaluate(predict, [], {"paper": Protocol(TYPES)})


class TestMeanByTrackType:
    def test_constant_tracks_are_counted_and_left_out(self):
        per_track = pd.DataFrame({"pearson_r": [0.2, np.nan, 0.4, np.nan]})
        types = ["CAGE", "CAGE", "CAGE", "RNA"]
        frame = evaluation.mean_by_track_type(per_track, pd.Series(types, index=[9, 8, 7, 6]))
        assert frame["track_type"].tolist() == ["CAGE", "RNA"]
        assert frame["pearson_r"][0] == pytest.approx(0.3)
        assert np.isnan(frame["pearson_r"][1])
        assert frame["num_tracks"].tolist() == [2, 0]
        assert frame["num_constant"].tolist() == [1, 1]


class TestComparePerSequence:
    def test_gives_the_numbers_of_the_study(self, shared):
        frame = published.read_correlation_per_sequence(
            shared / "published" / "correlation_per_sequence.csv"
        )
        found = evaluation.compare_per_sequence(frame).set_index("track_type")
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
        row = evaluation.compare_per_sequence(frame).iloc[0]
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
            row = evaluation.compare_per_sequence(frame, num_bootstrap=300, seed=trial).iloc[0]
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
        row = evaluation.compare_per_sequence(frame).iloc[0]
        assert row["num_sequences"] == 2
        assert row["share_senformer_ahead"] == 0.5
        assert np.isnan(row["pearson_r"])

    def test_a_missing_column_is_named(self):
        with pytest.raises(ValueError, match="no column 'senformer_pearson_r'"):
            evaluation.compare_per_sequence(
                pd.DataFrame(columns=["sequence", "track_type", "enformer_pearson_r"])
            )


def test_the_types_used_here_are_the_projects():
    assert set(TYPES) <= set(TRACK_TYPES)
