"""Each protocol equals its definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from noisy_records import TYPES, all_of, corr, examples, predict

from senformer.evaluation.by_track_type import mean_by_track_type
from senformer.evaluation.pearson import merge, pearson_r, pearson_sums
from senformer.evaluation.protocols import AGGREGATIONS, Protocol, evaluate, evaluate_resampled

EVERY = {name: Protocol(TYPES, name) for name in AGGREGATIONS}

each_aggregation = pytest.mark.parametrize("name", AGGREGATIONS)


def test_each_aggregation_equals_its_definition():
    records = examples()
    x, y = all_of(records, "target"), all_of(records, "sequence")
    frame = evaluate(predict, records, EVERY, batch_size=4)
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
    assert cage.loc[list(AGGREGATIONS), "num_tracks"].tolist() == [2, 2, 3, 3]
    # Track 4 is constant: the mean over tracks leaves out one value, the mean over sequences one
    # value of each of the six sequences.
    assert cage.loc[list(AGGREGATIONS), "num_undefined"].tolist() == [1, 6, 0, 0]
    per_sequence = frame[frame["protocol"] == "per_sequence"]
    assert per_sequence["num_undefined"].tolist() == [0, 0, 6]


@each_aggregation
def test_resampling_repeats_records(name):
    records = examples()
    protocol = {name: EVERY[name]}
    drawn = evaluate_resampled(predict, records, protocol)[name].drawn
    shares = np.full(len(records), 1 / len(records))
    counts = np.random.default_rng(0).multinomial(len(records), shares, size=1000)[4]
    repeated = [record for record, n in zip(records, counts, strict=True) for _ in range(n)]
    expected = evaluate(predict, repeated, protocol)["pearson_r"]
    np.testing.assert_allclose(drawn[5], expected, rtol=1e-9)


def test_interval_contains_r_unless_one_record():
    frame = evaluate(predict, examples(), EVERY).dropna()
    assert set(frame["protocol"]) == set(EVERY)
    assert frame["pearson_r"].between(frame["pearson_r_low"], frame["pearson_r_high"]).all()
    alone = evaluate(predict, examples()[:1], EVERY)
    assert alone[["pearson_r_low", "pearson_r_high"]].isna().all(axis=None)


def test_across_tracks_counts_bins_without_an_r():
    records = examples()
    for record in records[:2]:
        record["target"][5] = 1.0  # all tracks are equal in this bin
    frame = evaluate(predict, records, {"across": EVERY["across_tracks"]})
    assert frame.set_index("track_type").loc["CAGE", "num_undefined"] == 2


def test_protocols_share_one_pass():
    records = examples()
    other = ["CAGE", "CAGE", "CAGE", "TF ChIP", "CAGE"]
    protocols = {
        "raw": Protocol(TYPES),
        "log": Protocol(TYPES, log1p=True),
        "other": Protocol(other),
    }
    calls = []

    def counted(sequence: np.ndarray) -> np.ndarray:
        calls.append(len(sequence))
        return sequence

    frame = evaluate(counted, records, protocols, batch_size=3)
    assert calls == [3, 3]
    logs = [{key: np.log1p(value) for key, value in record.items()} for record in records]
    for name, protocol in protocols.items():
        scaled = logs if protocol.log1p else records
        sums = merge(pearson_sums(record["target"], record["sequence"]) for record in scaled)
        expected = mean_by_track_type(pearson_r(sums), protocol.track_types)
        found = frame[frame["protocol"] == name].reset_index(drop=True)[list(expected)]
        pd.testing.assert_frame_equal(found, expected, rtol=1e-9)


@each_aggregation
def test_central_bins_are_in_the_middle(name):
    records = examples()
    middle = [{key: value[6:10] for key, value in record.items()} for record in records]
    pd.testing.assert_frame_equal(
        evaluate(predict, records, {"": Protocol(TYPES, name, central_bins=4)}),
        evaluate(predict, middle, {"": EVERY[name]}),
    )


def test_averaged_views_are_compared_as_one_prediction():
    random = np.random.default_rng(5)
    bins = random.integers(4, size=(6, 16))
    records = [
        {"sequence": np.eye(4, dtype=np.float32)[bases], "target": np.eye(4)[bases][:, :2]}
        for bases in bins
    ]
    views = []

    def noisy(sequence: np.ndarray) -> np.ndarray:
        views.append(sequence)
        return sequence[..., :2] + random.normal(size=sequence[..., :2].shape)

    protocols = {name: Protocol(["CAGE", "CAGE"], averaging=name) for name in ("none", "strands")}
    frame = evaluate(noisy, records, protocols, batch_size=6, strand_pairs=[1, 0])
    r = frame.set_index("protocol")["pearson_r"]
    assert len(views) == 2  # the protocols share the forward strand
    np.testing.assert_array_equal(views[1], views[0][:, ::-1, ::-1])
    assert 0 < r["none"] < 1
    assert r["none"] != r["strands"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"averaging": "both"}, "averaging='both', expected one of none, strands"),
        ({"aggregation": "mean"}, "aggregation='mean', expected one of per_track"),
    ],
)
def test_protocol_names_an_unknown_option(options, message):
    with pytest.raises(ValueError, match=message):
        Protocol(TYPES, **options)


@pytest.mark.parametrize(
    ("predict", "records", "protocols", "message"),
    [
        (predict, examples(), {}, "no protocols"),
        (predict, [], EVERY, "no examples to evaluate"),
        (predict, examples(), {"": Protocol(TYPES, central_bins=17)}, "central_bins=17: expected"),
        (lambda s: s[:, ::2], examples(), EVERY, r"predictions are \(1, 8, 5\), targets \(1, 16,"),
    ],
)
def test_evaluate_of_bad_input_raises(predict, records, protocols, message):
    with pytest.raises(ValueError, match=message):
        evaluate(predict, records, protocols)
