import math

import numpy as np
import pytest

from senformer.model.positions import relative_position_features


def reference(tokens, num_features):
    """Compute the features in float64 by the paper's formulas, one at a time."""
    count = num_features // 6
    positions = np.arange(-(tokens - 1), tokens)
    distances = np.abs(positions).astype(np.float64)
    columns = []
    for i in range(count):
        share = i / (count - 1) if count > 1 else 0
        half_life = 2 ** (3 + (math.log2(tokens) - 3) * share)
        columns.append(2 ** (-distances / half_life))
    for i in range(count):
        columns.append((distances < 2 ** (i + 1) - 1).astype(np.float64))
    for i in range(count):
        deviation = tokens / (2 * count)
        share = i / (count - 1) if count > 1 else 0
        mean = tokens / count + (tokens - tokens / count) * share
        shape, rate = (mean / deviation) ** 2, mean / deviation**2
        density = np.array([gamma_density(x, shape, rate) for x in distances]) + 1e-8
        columns.append(density / density.max())
    symmetric = np.stack(columns, axis=-1)
    return np.concatenate([symmetric, np.sign(positions)[:, None] * symmetric], axis=-1)


def gamma_density(x, shape, rate):
    if x == 0:
        return 0.0 if shape > 1 else math.exp(shape * math.log(rate) - math.lgamma(shape))
    log_density = (shape - 1) * math.log(x) - rate * x + shape * math.log(rate) - math.lgamma(shape)
    return math.exp(log_density)


@pytest.mark.parametrize(("tokens", "num_features"), [(40, 12), (256, 60), (700, 192)])
def test_features_match_float64_reference(tokens, num_features):
    # The logarithm of a gamma density is a small difference of terms up to log Gamma(shape), each
    # rounded to float32, as in Enformer's training.
    largest_shape = (num_features / 3) ** 2
    rounding = 4 * 2**-24 * math.lgamma(largest_shape)
    features = relative_position_features(tokens, num_features).numpy()
    assert features.shape == (2 * tokens - 1, num_features)
    np.testing.assert_allclose(features, reference(tokens, num_features), atol=1e-5 + rounding)


def test_second_half_is_first_times_sign():
    features = relative_position_features(100, 24).numpy()
    first, second = features[:, :12], features[:, 12:]
    np.testing.assert_allclose(first, first[::-1], rtol=1e-5)
    np.testing.assert_array_equal(second[100:], first[100:])
    np.testing.assert_array_equal(second[:99], -first[:99])
    np.testing.assert_array_equal(second[99], 0)


def test_gamma_scaling_sets_maximum_to_one():
    per_feature = relative_position_features(64, 24).numpy()[:, 8:12]
    per_position = relative_position_features(64, 24, "per_position").numpy()[:, 8:12]
    np.testing.assert_allclose(per_feature.max(axis=0), 1)
    np.testing.assert_allclose(per_position.max(axis=1), 1)


def test_features_name_bad_sizes():
    with pytest.raises(ValueError, match="num_features=10, expected a positive multiple of 6"):
        relative_position_features(64, 10)
    with pytest.raises(ValueError, match="tokens=1, expected at least 2"):
        relative_position_features(1, 12)
