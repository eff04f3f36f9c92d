"""Predictions averaged over both strands and over small shifts of the input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from senformer.config import BIN_SIZE_BP
from senformer.evaluation.predictions import Predict


class View(NamedTuple):
    """One way to show the same sequence to a model.

    Attributes:
        shift_bp: bases by which it is moved to the right.
        reverse: whether its other strand is read.
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

Both strands and shifts of one base are what Basenji's evaluation averages with its options `--rc
--shifts 1,0,-1`.
"""


def predict_views(
    predict: Predict,
    sequence: NDArray[np.float32],
    views: Iterable[View],
    strand_pairs: ArrayLike | None = None,
) -> dict[View, NDArray[np.float32]]:
    """Predict each view and turn the prediction back to the strand and tracks of the input.

    Use it where several averages share views: each view is predicted once.

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`.
        sequence: `[batch, length, 4]`, one-hot, ACGT.
        views: those wanted.
        strand_pairs: from `tracks.strand_pairs`, `[tracks]`; by default no track has a strand.

    Returns:
        `[batch, bins, tracks]` of each view.
    """
    predictions = {}
    for view in dict.fromkeys(views):
        prediction = np.asarray(predict(show(sequence, view)))
        if view.reverse:
            prediction = prediction[:, ::-1]
            if strand_pairs is not None:
                prediction = prediction[..., np.asarray(strand_pairs)]
        predictions[view] = prediction
    return predictions


def show(sequence: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Give a view of sequences; bases that a shift brings in are unknown, zeros.

    Args:
        sequence: `[batch, length, 4]`, one-hot, ACGT.
        view: which.
    """
    length_bp = sequence.shape[1]
    shown = np.zeros_like(sequence)
    first, last = max(view.shift_bp, 0), length_bp + min(view.shift_bp, 0)
    shown[:, first:last] = sequence[:, first - view.shift_bp : last - view.shift_bp]
    return shown[:, ::-1, ::-1] if view.reverse else shown  # A <-> T, C <-> G


def mean(predictions: Mapping[View, NDArray[np.float32]], averaging: str) -> NDArray[np.float32]:
    """Average the predictions of an averaging's views.

    Args:
        predictions: from `predict_views`, at least of the averaging's views.
        averaging: a name of `VIEWS`.
    """
    return np.mean([predictions[view] for view in VIEWS[averaging]], axis=0, dtype=np.float32)


def expect_same_middle(sequence_length_bp: int, target_length: int) -> None:
    """Refuse a crop whose bins are not those of the other strand's: one of them would be a bin off.

    Args:
        sequence_length_bp: length of the input.
        target_length: bins that a model predicts, the central ones of the input.

    Raises:
        ValueError: if as many bins cannot be left out on either side.
    """
    num_tokens = sequence_length_bp // BIN_SIZE_BP
    if (num_tokens - target_length) % 2:
        raise ValueError(
            f"target_length={target_length}, expected an {'odd' if num_tokens % 2 else 'even'} "
            f"number: strands are averaged, and of the {num_tokens} bins of "
            f"sequence_length_bp={sequence_length_bp} as many have to be left out on either side"
        )
