"""Views change a model's input and keep the meaning of its prediction."""

from __future__ import annotations

import numpy as np
import pytest

from senformer.config import BIN_SIZE_BP
from senformer.evaluation import averaging
from senformer.evaluation.averaging import View

A, C, G, T = np.eye(4, dtype=np.float32)
N = np.zeros(4, np.float32)


def cropped(target_length: int, bin_size_bp: int = BIN_SIZE_BP):
    """Return a model that counts A and, on the other strand, T in the central bins."""

    def predict(sequence: np.ndarray) -> np.ndarray:
        counts = sequence[..., [0, 3]].reshape(len(sequence), -1, bin_size_bp, 2).sum(axis=2)
        first = (counts.shape[1] - target_length) // 2
        return counts[:, first : first + target_length]

    return predict


def random_sequence(num_sequences: int, length_bp: int) -> np.ndarray:
    bases = np.random.default_rng(0).integers(4, size=(num_sequences, length_bp))
    return np.eye(4, dtype=np.float32)[bases]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(), [A, C, G, G]),
        (View(reverse=True), [C, C, G, T]),
        (View(1), [N, A, C, G]),
        (View(-1), [C, G, G, N]),
        (View(1, reverse=True), [C, G, T, N]),
    ],
)
def test_view_shifts_and_complements_the_input(view, expected):
    inputs = []
    averaging.predict_views(
        lambda x: inputs.append(x) or x, np.stack([A, C, G, G])[np.newaxis], [view]
    )
    np.testing.assert_array_equal(inputs, np.stack(expected)[np.newaxis, np.newaxis])


def test_reverse_prediction_returns_to_bins_and_tracks():
    # A model that treats both strands equally predicts the same for both views.
    predict, sequence, views = cropped(6, 2), random_sequence(3, 12), averaging.VIEWS["strands"]
    predictions = averaging.predict_views(predict, sequence, views, strand_pairs=[1, 0])
    np.testing.assert_array_equal(predictions[View(reverse=True)], predictions[View()])
    unpaired = averaging.predict_views(predict, sequence, views)
    assert (unpaired[View(reverse=True)] != unpaired[View()]).any()
    averaged = averaging.average_views(predictions, "strands")
    np.testing.assert_array_equal(averaged, predict(sequence))


def test_averagings_share_views():
    calls = []

    def counted(sequence: np.ndarray) -> np.ndarray:
        calls.append(sequence)
        return sequence

    every = [view for views in averaging.VIEWS.values() for view in views]
    predictions = averaging.predict_views(counted, random_sequence(1, 4), every)
    assert len(calls) == len(predictions) == 6
    shifts = np.mean([predictions[View(shift)] for shift in (-1, 0, 1)], axis=0)
    np.testing.assert_allclose(averaging.average_views(predictions, "shifts"), shifts, rtol=1e-6)


@pytest.mark.parametrize(("target_length", "is_same"), [(2, True), (3, False), (4, True)])
def test_expect_same_middle(target_length, is_same):
    both = averaging.predict_views(
        cropped(target_length),
        random_sequence(1, 4 * BIN_SIZE_BP),
        averaging.VIEWS["strands"],
        strand_pairs=[1, 0],
    )
    assert np.array_equal(both[View()], both[View(reverse=True)]) == is_same
    if is_same:
        averaging.expect_same_middle(4 * BIN_SIZE_BP, target_length)
    else:
        with pytest.raises(ValueError, match="target_length=3, expected an even number: strands"):
            averaging.expect_same_middle(4 * BIN_SIZE_BP, target_length)
