import numpy as np
import pytest
import tensorflow as tf

from senformer.model.attention.blockwise_softmax import Keys, attend, attend_gradient
from senformer.model.attention.heads import HeadResults
from senformer.model.compute import xla
from senformer.model.dropout import PlacedDropout

TOLERANCE = 1e-5


@pytest.mark.parametrize("dropout_rate", [0.0, 0.3])
def test_attend_is_the_same_without_onednn(dropout_rate, monkeypatch):
    with_onednn, without = (results(onednn, dropout_rate, monkeypatch) for onednn in (True, False))
    for ours, theirs in zip(without, with_onednn, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * np.abs(theirs).max())


def results(onednn, dropout_rate, monkeypatch):
    """Compute output and gradients of three sets of 8 queries and 16 keys."""
    monkeypatch.setattr(xla, "has_onednn", lambda: onednn)
    query, upstream = normal([3, 8, 4], 0), normal([3, 8, 6], 1)
    places = PlacedDropout(dropout_rate, tf.constant([[5, 6]]), tf.range(3) * 128, tf.range(16) * 8)
    keys = Keys(
        normal([3, 16, 4], 2),
        normal([3, 16, 6], 3),
        normal([3, 16, 8], 4),
        places if dropout_rate else None,
    )
    output, log_total = attend(query, keys)
    gradients = attend_gradient(query, keys, HeadResults(output, log_total, upstream))
    return tf.nest.flatten([output, log_total, gradients])


def normal(shape, seed):
    return tf.random.stateless_normal(shape, [seed, 0])
