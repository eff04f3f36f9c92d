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


def test_the_first_is_r_of_the_sequences_as_they_are(values):
    x, y, _ = values
    drawn = resampling.r_of_moments(resampling.resampled(resampling.moments(*values)))
    expected = [np.corrcoef(x[:, track], y[:, track])[0, 1] for track in (0, 1)]
    np.testing.assert_allclose(drawn[0], expected, rtol=1e-12)
    low, high = resampling.interval(drawn)
    assert (low < expected).all() and (high > expected).all()


def test_a_resampling_is_of_whole_sequences(values):
    """One draw, taken apart: it is r of the sequences drawn, repeated as often as drawn."""
    x, y, sequences = values
    drawn = resampling.r_of_moments(resampling.resampled(resampling.moments(*values), seed=3))
    counts = np.random.default_rng(3).multinomial(50, np.full(50, 1 / 50), size=1000)[7]
    rows = np.concatenate(
        [np.repeat(np.flatnonzero(sequences == s), n) for s, n in enumerate(counts)]
    )
    np.testing.assert_allclose(drawn[8, 0], np.corrcoef(x[rows, 0], y[rows, 0])[0, 1], rtol=1e-10)


def test_models_are_given_the_same_draws(values):
    x, y, sequences = values
    alike = resampling.r_of_moments(resampling.resampled(resampling.moments(x, y, sequences)))
    nearly = resampling.r_of_moments(
        resampling.resampled(resampling.moments(x, y + 0.01 * x, sequences))
    )
    assert (alike - nearly).std() < 0.02 * alike.std()


def test_what_does_not_vary_has_no_r(values):
    x, _, sequences = values
    assert np.isnan(
        resampling.r_of_moments(resampling.moments(x, np.ones_like(x), sequences).sum(axis=0))
    ).all()


def test_sums_that_streamed_by_have_the_moments_of_their_sequences(values):
    of_sequences = (part.reshape(50, 30, -1) for part in values[:2])
    streamed = resampling.moments_of_sums(list(map(pearson_sums, *of_sequences)))
    np.testing.assert_allclose(streamed, resampling.moments(*values), atol=1e-8)


def test_what_rounds_to_zero_has_no_sign():
    row = pd.Series({"r": -0.0002, "r_low": -0.0004, "r_high": 0.0003})
    assert resampling.in_words(row, "r") == "0.000 (0.000 to 0.000)"
    alone = pd.Series({"r": -0.5, "r_low": np.nan, "r_high": np.nan})
    assert resampling.in_words(alone, "r") == "-0.500 (no interval)"
