"""Attention to pieces gives the same whichever kernels compute it."""

import numpy as np
import pytest
import tensorflow as tf

from senformer.model.attention.piecewise_softmax import Piece, attend, attend_gradient
from senformer.model.speed import xla

TOLERANCE = 1e-5


@pytest.mark.parametrize("dropout_rate", [0.0, 0.3])
def test_it_is_the_same_with_onednn_and_without(dropout_rate, monkeypatch):
    with_onednn, without = (results(onednn, dropout_rate, monkeypatch) for onednn in (True, False))
    for ours, theirs in zip(without, with_onednn, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * np.abs(theirs).max())


def results(onednn, dropout_rate, monkeypatch):
    """Output, normaliser, and all gradients, of 24 queries: three sets of keys and a shared one."""
    monkeypatch.setattr(xla, "are_onednn", lambda: onednn)
    query, upstream = normal([24, 4], 0), normal([24, 6], 1)
    seeds = [tf.constant([5, 6]), tf.constant([7, 8])] if dropout_rate else [None, None]
    pieces = [
        Piece(normal([3, 16, 4], 2), normal([3, 16, 6], 3), normal([3, 16, 8], 4), dropout_rate),
        Piece(normal([1, 10, 4], 5), normal([1, 10, 6], 6), None, dropout_rate),
    ]
    pieces = [piece._replace(dropout_seed=seed) for piece, seed in zip(pieces, seeds, strict=True)]
    output, log_total = attend(query, pieces)
    gradients = attend_gradient(query, pieces, output, log_total, upstream)
    return tf.nest.flatten([output, log_total, gradients])


def normal(shape, seed):
    return tf.random.stateless_normal(shape, [seed, 0])
