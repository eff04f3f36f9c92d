"""Predictions averaged over both strands and over small shifts of the input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from senformer.config import BIN_SIZE_BP
from senformer.evaluation.predictions import Predict


class View(NamedTuple):
    """One way to present a sequence to a model.

    Attributes:
        shift_bp: Bases by which the sequence moves to the right.
        reverse: Whether the model reads the other strand.
    """

    shift_bp: int = 0
    reverse: bool = False


_SHIFTS_BP = (-1, 0, 1)

VIEWS: Mapping[str, tuple[View, ...]] = {
    "none": (View(),),
    "strands": (View(), View(reverse=True)),
    "shifts": tuple(View(shift_bp) for shift_bp in _SHIFTS_BP),
    "strands and shifts": tuple(
        View(shift_bp, reverse) for reverse in (False, True) for shift_bp in _SHIFTS_BP
    ),
}
"""The views whose predictions are averaged, by the averaging's name.

Basenji's evaluation averages both strands and shifts of one base with its options `--rc --shifts
1,0,-1`.
"""


def predict_views(
    predict: Predict,
    sequence: NDArray[np.float32],
    views: Iterable[View],
    strand_pairs: ArrayLike | None = None,
) -> dict[View, NDArray[np.float32]]:
    """Predict each view once and map the predictions to the strand and tracks of the input.

    Bases that a shift brings in are unknown (zeros).

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`.
        sequence: `[batch, length, 4]`, one-hot, ACGT.
        views: Views to predict; repeated ones count once.
        strand_pairs: The track of the other strand for each track, `[tracks]`, from
            `tracks.strand_pairs`; by default no track has a strand.

    Returns:
        `[batch, bins, tracks]` of each view.
    """
    length_bp = sequence.shape[1]
    predictions = {}
    for view in dict.fromkeys(views):
        shifted = np.zeros_like(sequence)
        first, last = max(view.shift_bp, 0), length_bp + min(view.shift_bp, 0)
        shifted[:, first:last] = sequence[:, first - view.shift_bp : last - view.shift_bp]
        # A <-> T and C <-> G are each other's mirror images in the order ACGT.
        predicted = np.asarray(predict(shifted[:, ::-1, ::-1] if view.reverse else shifted))
        if view.reverse:
            predicted = predicted[:, ::-1]
            if strand_pairs is not None:
                predicted = predicted[..., np.asarray(strand_pairs)]
        predictions[view] = predicted
    return predictions


def average_views(
    predictions: Mapping[View, NDArray[np.float32]], averaging: str
) -> NDArray[np.float32]:
    """Average the predictions of an averaging's views.

    Args:
        predictions: Predictions from `predict_views`, at least of the averaging's views.
        averaging: A name in `VIEWS`.
    """
    return np.mean([predictions[view] for view in VIEWS[averaging]], axis=0, dtype=np.float32)


def expect_same_middle(sequence_length_bp: int, target_length: int) -> None:
    """Check that both strands predict the same bins, so that their predictions can be averaged.

    Args:
        sequence_length_bp: Length of the input.
        target_length: Number of central bins that a model predicts.

    Raises:
        ValueError: If the bins left out on both sides differ in number, so that the other strand's
            bins would be one bin off.
    """
    num_tokens = sequence_length_bp // BIN_SIZE_BP
    if (num_tokens - target_length) % 2:
        raise ValueError(
            f"target_length={target_length}, expected an {'odd' if num_tokens % 2 else 'even'} "
            f"number: strands are averaged, so the {num_tokens} bins of "
            f"sequence_length_bp={sequence_length_bp} must extend equally far on both sides"
        )
