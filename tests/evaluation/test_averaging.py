"""A view changes what a model is shown and nothing about what its prediction means."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from senformer.evaluation import averaging
from senformer.evaluation.averaging import View

A, C, G, T = np.eye(4, dtype=np.float32)


def coverage(sequence: np.ndarray) -> np.ndarray:
    """A model whose two tracks count A and, on the other strand, T: `[batch, bins of 2, 2]`."""
    counts = sequence[..., [0, 3]]
    return counts.reshape(len(sequence), -1, 2, 2).sum(axis=2)


def test_the_other_strand_is_read_backwards_in_complements():
    sequence = np.stack([A, A, C, G])[np.newaxis]
    shown = averaging.show(sequence, View(reverse=True))
    np.testing.assert_array_equal(shown[0], np.stack([C, G, T, T]))


def test_a_shift_moves_bases_and_brings_in_unknown_ones():
    sequence = np.stack([A, C, G, T])[np.newaxis]
    right = averaging.show(sequence, View(1))[0]
    left = averaging.show(sequence, View(-1))[0]
    np.testing.assert_array_equal(right, np.stack([0 * A, A, C, G]))
    np.testing.assert_array_equal(left, np.stack([C, G, T, 0 * A]))


def test_predictions_of_the_other_strand_come_back_in_place_and_track():
    # A model that sees both strands alike must predict the same for both views.
    random = np.random.default_rng(0)
    sequence = np.eye(4, dtype=np.float32)[random.integers(4, size=(3, 12))]
    views = averaging.VIEWS["strands"]
    predictions = averaging.predict_views(coverage, sequence, views, strand_pairs=[1, 0])
    np.testing.assert_array_equal(predictions[View(reverse=True)], predictions[View()])
    unpaired = averaging.predict_views(coverage, sequence, views)
    assert (unpaired[View(reverse=True)] != unpaired[View()]).any()
    np.testing.assert_array_equal(averaging.mean(predictions, "strands"), coverage(sequence))


def test_averages_that_share_views_predict_each_once():
    calls = []

    def counted(sequence: np.ndarray) -> np.ndarray:
        calls.append(sequence)
        return coverage(sequence)

    sequence = np.ones((1, 4, 4), np.float32)
    every = [view for views in averaging.VIEWS.values() for view in views]
    predictions = averaging.predict_views(counted, sequence, every)
    assert len(calls) == len(predictions) == 6
    shifts = np.mean([predictions[View(shift)] for shift in (-1, 0, 1)], axis=0)
    np.testing.assert_allclose(averaging.mean(predictions, "shifts"), shifts, rtol=1e-6)


def test_pairs_are_places_in_the_table_whatever_its_labels():
    targets = pd.DataFrame({"strand_pair": [7, 5, 9]}, index=[5, 7, 9])
    assert averaging.strand_pairs(targets).tolist() == [1, 0, 2]
    assert averaging.strand_pairs(targets.drop(columns="strand_pair")).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="track 5: strand_pair=7, expected a track of the table"):
        averaging.strand_pairs(targets.drop(index=7))
