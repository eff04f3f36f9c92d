"""Streamed correlation equals NumPy's on all data at once."""

from __future__ import annotations

import numpy as np
import pytest
from noisy_records import corr

from senformer.evaluation import pearson
from senformer.evaluation.pearson import PearsonSums, merge, pearson_r, pearson_sums


def streamed(x: np.ndarray, y: np.ndarray, batch: int) -> PearsonSums:
    begins = range(0, len(x), batch)
    return merge(pearson_sums(x[b : b + batch], y[b : b + batch]) for b in begins)


def test_sums_keep_digits_of_float32_values():
    random = np.random.default_rng(0)
    x = (4096.0 + random.normal(size=(10_000_000, 1))).astype(np.float32)
    y = (x + random.normal(size=x.shape).astype(np.float32)).astype(np.float32)
    expected = corr(x.astype(np.float64), y.astype(np.float64))
    r = pearson_r(streamed(x, y, batch=123_457))[0]
    assert r == pytest.approx(expected, abs=1e-6)


def test_merged_parts_equal_one_pass():
    random = np.random.default_rng(1)
    x = random.normal(loc=[0, 1e3, -1e6], size=(1000, 3))
    y = 0.5 * x + random.normal(size=x.shape)
    parts = [streamed(x[part], y[part], 7) for part in np.array_split(np.arange(1000), 4)]
    merged = merge([merge([parts[3], parts[0]]), merge([parts[2], parts[1]])])
    expected = [corr(x[:, track], y[:, track]) for track in range(3)]
    np.testing.assert_allclose(pearson_r(merged), expected, atol=1e-9)
    np.testing.assert_allclose(merged.target_mean, x.mean(axis=0), rtol=1e-12)


def test_constant_track_has_no_r():
    x = np.random.default_rng(3).normal(size=(1000, 3))
    y = x.copy()
    x[:, 0] = 0.1  # its mean is rounded
    y[:, 1] = np.float32(1 / 3)
    sums = streamed(x, y, 13)
    np.testing.assert_array_equal(pearson.is_constant(sums), [True, True, False])
    np.testing.assert_array_equal(np.isnan(pearson_r(sums)), [True, True, False])


def test_r_ignores_scale_and_shift():
    x = np.random.default_rng(4).normal(size=(5, 10, 1))
    assert pearson_r(pearson_sums(x, 3e-9 * x + 7))[0] == pytest.approx(1.0)
    assert abs(pearson_r(pearson_sums(x, -1e9 * x))[0]) <= 1.0


def test_bad_values_and_shapes_raise():
    x = np.zeros((4, 3))
    y = x.copy()
    y[2, 1] = np.nan
    with pytest.raises(ValueError, match="prediction of track 1 contains a value that is not"):
        pearson_sums(x, y)
    with pytest.raises(ValueError, match=r"target is \(4, 3\), prediction \(4, 2\)"):
        pearson_sums(x, x[:, :2])
