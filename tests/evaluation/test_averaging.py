"""Views change a model's input and keep the meaning of its prediction."""

from __future__ import annotations

import numpy as np
import pytest

from senformer.config import BIN_SIZE_BP
from senformer.evaluation import averaging
from senformer.evaluation.averaging import View

A, C, G, T = np.eye(4, dtype=np.float32)


def coverage(sequence: np.ndarray) -> np.ndarray:
    """Predict two tracks that count A and, on the other strand, T: `[batch, bins of 2, 2]`."""
    counts = sequence[..., [0, 3]]
    return counts.reshape(len(sequence), -1, 2, 2).sum(axis=2)


def test_reverse_view_is_the_reverse_complement():
    sequence = np.stack([A, A, C, G])[np.newaxis]
    view = averaging.apply_view(sequence, View(reverse=True))
    np.testing.assert_array_equal(view[0], np.stack([C, G, T, T]))


def test_shift_brings_in_unknown_bases():
    sequence = np.stack([A, C, G, T])[np.newaxis]
    right = averaging.apply_view(sequence, View(1))[0]
    left = averaging.apply_view(sequence, View(-1))[0]
    np.testing.assert_array_equal(right, np.stack([0 * A, A, C, G]))
    np.testing.assert_array_equal(left, np.stack([C, G, T, 0 * A]))


def test_reverse_prediction_returns_to_bins_and_tracks():
    # A model that treats both strands equally predicts the same for both views.
    random = np.random.default_rng(0)
    sequence = np.eye(4, dtype=np.float32)[random.integers(4, size=(3, 12))]
    views = averaging.VIEWS["strands"]
    predictions = averaging.predict_views(coverage, sequence, views, strand_pairs=[1, 0])
    np.testing.assert_array_equal(predictions[View(reverse=True)], predictions[View()])
    unpaired = averaging.predict_views(coverage, sequence, views)
    assert (unpaired[View(reverse=True)] != unpaired[View()]).any()
    np.testing.assert_array_equal(
        averaging.average_views(predictions, "strands"), coverage(sequence)
    )


def test_averagings_share_views():
    calls = []

    def counted(sequence: np.ndarray) -> np.ndarray:
        calls.append(sequence)
        return coverage(sequence)

    sequence = np.ones((1, 4, 4), np.float32)
    every = [view for views in averaging.VIEWS.values() for view in views]
    predictions = averaging.predict_views(counted, sequence, every)
    assert len(calls) == len(predictions) == 6
    shifts = np.mean([predictions[View(shift)] for shift in (-1, 0, 1)], axis=0)
    np.testing.assert_allclose(averaging.average_views(predictions, "shifts"), shifts, rtol=1e-6)


def cropped(target_length: int):
    """Return a model that treats both strands equally and predicts the central bins."""

    def predict(sequence: np.ndarray) -> np.ndarray:
        counts = sequence[..., [0, 3]].reshape(len(sequence), -1, BIN_SIZE_BP, 2).sum(axis=2)
        first = (counts.shape[1] - target_length) // 2
        return counts[:, first : first + target_length]

    return predict


@pytest.mark.parametrize(("target_length", "is_same"), [(2, True), (3, False), (4, True)])
def test_expect_same_middle(target_length, is_same):
    bases = np.random.default_rng(0).integers(4, size=(1, 4 * BIN_SIZE_BP))
    sequence = np.eye(4, dtype=np.float32)[bases]
    views = averaging.VIEWS["strands"]
    both = averaging.predict_views(cropped(target_length), sequence, views, strand_pairs=[1, 0])
    assert np.array_equal(both[View()], both[View(reverse=True)]) == is_same
    if is_same:
        averaging.expect_same_middle(4 * BIN_SIZE_BP, target_length)
    else:
        with pytest.raises(ValueError, match="target_length=3, expected an even number: strands"):
            averaging.expect_same_middle(4 * BIN_SIZE_BP, target_length)
