"""Protocols mean what they say."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from noisy_records import TYPES, all_of, corr, examples, predict

from senformer.data.tracks import TRACK_TYPES
from senformer.evaluation import pearson, protocols
from senformer.evaluation.by_track_type import mean_r_by_track_type
from senformer.evaluation.protocols import Protocol

# A type of its own for every track: the mean over a type's tracks is the track's r.
OF_ITS_OWN = Protocol(TRACK_TYPES[: len(TYPES)])


def sums_of_tracks(records):
    return functools.reduce(
        pearson.merge, [pearson.pearson_sums(one["target"], one["sequence"]) for one in records]
    )


class TestPerTrack:
    def test_equals_numpy_over_all_bins_and_sequences(self):
        records = examples()
        x, y = all_of(records, "target"), all_of(records, "sequence")
        frame = protocols.evaluate(predict, records, {"own": OF_ITS_OWN})
        assert frame["track_type"].tolist() == list(OF_ITS_OWN.track_types)
        expected = [corr(x[..., t], y[..., t]) for t in range(4)]
        np.testing.assert_allclose(frame["pearson_r"][:4], expected, atol=1e-9)
        assert np.isnan(frame["pearson_r"][4])
        assert frame["num_constant"].tolist() == [0, 0, 0, 0, 1]

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
        pd.testing.assert_frame_equal(
            protocols.evaluate(lambda s: tf.constant(s), dataset, {"own": OF_ITS_OWN}),
            protocols.evaluate(predict, records, {"own": OF_ITS_OWN}),
        )

    def test_no_records_are_an_error(self):
        with pytest.raises(ValueError, match="no examples to evaluate"):
            protocols.evaluate(predict, [], {"own": OF_ITS_OWN})

    def test_predictions_of_another_shape_are_an_error(self):
        with pytest.raises(ValueError, match=r"predictions are \(1, 8, 5\), targets \(1, 16, 5\)"):
            protocols.evaluate(lambda s: s[:, ::2], examples(), {"own": OF_ITS_OWN})


class TestEvaluate:
    def test_each_aggregation_equals_its_definition(self):
        records = examples()
        x, y = all_of(records, "target"), all_of(records, "sequence")
        chosen = {name: Protocol(TYPES, name) for name in protocols.AGGREGATIONS}
        frame = protocols.evaluate(predict, records, chosen, batch_size=4)
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
        # The third track of the type is constant: in the mean over tracks it is one value that is
        # left out, in the mean over sequences one of each sequence.
        assert cage["num_undefined"].to_dict() == {
            "per_track": 1,
            "per_sequence": 6,
            "across_tracks": 0,
            "pooled": 0,
        }

    @pytest.mark.parametrize("name", protocols.AGGREGATIONS)
    def test_a_draw_is_the_r_of_records_repeated_as_often_as_they_were_drawn(self, name):
        records = examples()
        chosen = {name: Protocol(TYPES, name)}
        drawn = protocols.evaluate_resampled(predict, records, chosen)[name].drawn
        shares = np.full(len(records), 1 / len(records))
        counts = np.random.default_rng(0).multinomial(len(records), shares, size=1000)[4]
        repeated = [record for record, n in zip(records, counts, strict=True) for _ in range(n)]
        expected = protocols.evaluate(predict, repeated, chosen)["pearson_r"]
        np.testing.assert_allclose(drawn[5], expected, rtol=1e-9)

    def test_an_interval_holds_r_and_one_record_has_none(self):
        chosen = {name: Protocol(TYPES, name) for name in protocols.AGGREGATIONS}
        frame = protocols.evaluate(predict, examples(), chosen).dropna()
        assert set(frame["protocol"]) == set(chosen)
        assert frame["pearson_r"].between(frame["pearson_r_low"], frame["pearson_r_high"]).all()
        alone = protocols.evaluate(predict, examples()[:1], chosen)
        assert alone[["pearson_r_low", "pearson_r_high"]].isna().all(axis=None)

    def test_bins_without_an_r_across_tracks_are_counted(self):
        records = examples()
        for record in records[:2]:
            record["target"][5] = 1.0  # a bin in which all tracks are alike
        chosen = {"across": Protocol(TYPES, "across_tracks")}
        frame = protocols.evaluate(predict, records, chosen).set_index("track_type")
        assert frame.loc["CAGE", "num_undefined"] == 2

    def test_tracks_of_different_height_make_the_pooled_r_high(self):
        # The reason to tell the two apart: predicting no more than each track's height is enough.
        records = examples()
        heights = all_of(records, "target").mean(axis=(0, 1))
        shuffled = np.random.default_rng(0)

        def heights_only(sequence: np.ndarray) -> np.ndarray:
            return heights * (1 + 0.01 * shuffled.normal(size=sequence.shape))

        chosen = {name: Protocol(TYPES, name) for name in ("per_track", "pooled")}
        frame = protocols.evaluate(heights_only, records, chosen)
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

        frame = protocols.evaluate(
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
            scaled = in_logarithms(records) if log1p else records
            alone = mean_r_by_track_type(sums_of_tracks(scaled), types)
            mine = frame[frame["protocol"] == name].reset_index(drop=True)[list(alone)]
            pd.testing.assert_frame_equal(mine, alone, rtol=1e-9)

    def test_central_bins_are_those_in_the_middle(self):
        records = examples()
        middle = [{key: value[6:10] for key, value in one.items()} for one in records]
        for name in protocols.AGGREGATIONS:
            central = {"some": Protocol(TYPES, name, central_bins=4)}
            whole = {"some": Protocol(TYPES, name)}
            pd.testing.assert_frame_equal(
                protocols.evaluate(predict, records, central),
                protocols.evaluate(predict, middle, whole),
            )
        with pytest.raises(ValueError, match="central_bins=17: expected 1 to 16"):
            protocols.evaluate(predict, records, {"more": Protocol(TYPES, central_bins=17)})

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

        chosen = {name: Protocol(["CAGE", "CAGE"], averaging=name) for name in ("none", "strands")}
        frame = protocols.evaluate(
            noisy, records, chosen, batch_size=6, strand_pairs=[1, 0]
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
            protocols.evaluate(predict, examples(), {})
        with pytest.raises(ValueError, match="no examples"):
            protocols.evaluate(predict, [], {"paper": Protocol(TYPES)})


def in_logarithms(records: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    return [{key: np.log1p(value) for key, value in record.items()} for record in records]
