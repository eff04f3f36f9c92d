import numpy as np
import pandas as pd
import pytest

from senformer.evaluation import resampling
from senformer.evaluation.pearson import pearson_sums


@pytest.fixture(scope="module")
def values():
    """Correlated pairs of two tracks, 30 in each of 50 sequences, which differ in level."""
    rng = np.random.default_rng(0)
    sequences = np.repeat(np.arange(50), 30)
    x = rng.normal(size=[1500, 2]) + 100 + rng.normal(size=[50, 2])[sequences]
    return x, x + rng.normal(size=x.shape), sequences


def test_first_resampling_is_r_of_all_sequences(values):
    x, y, _ = values
    drawn = resampling.resample_r_of_values(*values)
    expected = [np.corrcoef(x[:, track], y[:, track])[0, 1] for track in (0, 1)]
    np.testing.assert_allclose(drawn[0], expected, rtol=1e-12)
    low, high = resampling.interval(drawn)
    assert (low < expected).all() and (high > expected).all()


def test_resampling_draws_whole_sequences(values):
    x, y, sequences = values
    drawn = resampling.resample_r_of_values(*values, seed=3)
    counts = np.random.default_rng(3).multinomial(50, np.full(50, 1 / 50), size=1000)[7]
    rows = np.concatenate(
        [np.repeat(np.flatnonzero(sequences == s), n) for s, n in enumerate(counts)]
    )
    np.testing.assert_allclose(drawn[8, 0], np.corrcoef(x[rows, 0], y[rows, 0])[0, 1], rtol=1e-10)


def test_models_get_the_same_draws(values):
    x, y, sequences = values
    r = resampling.resample_r_of_values(*values)
    similar = resampling.resample_r_of_values(x, y + 0.01 * x, sequences)
    assert (r - similar).std() < 0.02 * r.std()


def test_constant_values_have_no_r(values):
    x, _, sequences = values
    assert np.isnan(resampling.resample_r_of_values(x, np.ones_like(x), sequences)).all()
    of_sequences = [pearson_sums(x[:30], np.full([30, 2], 0.1))] * 3
    assert np.isnan(resampling.resample_r(of_sequences)).all()


def test_resample_r_streams_like_single_values(values):
    of_sequences = (part.reshape(50, 30, -1) for part in values[:2])
    streamed = resampling.resample_r(list(map(pearson_sums, *of_sequences)))
    np.testing.assert_allclose(streamed, resampling.resample_r_of_values(*values), rtol=1e-9)


def test_format_interval_has_no_negative_zero():
    row = pd.Series({"r": -0.0002, "r_low": -0.0004, "r_high": 0.0003})
    assert resampling.format_interval(row, "r") == "0.000 (0.000 to 0.000)"
    alone = pd.Series({"r": -0.5, "r_low": np.nan, "r_high": np.nan})
    assert resampling.format_interval(alone, "r") == "-0.500 (no interval)"
