"""How well predictions agree with experiments, under protocols that differ in what they count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from senformer.config import expect_one_of
from senformer.evaluation import averaging as averages
from senformer.evaluation.averaging import View
from senformer.evaluation.by_track_type import (
    TrackTypes,
    mean_by_track_type,
    mean_r_by_track_type,
    pooled_r_by_track_type,
    types_present,
    validated_types,
)
from senformer.evaluation.pearson import (
    PearsonSums,
    merge,
    pearson_r,
    pearson_sums,
)
from senformer.evaluation.predictions import (
    NO_EXAMPLES,
    Example,
    Predict,
    batched,
    require_same_shape,
)

AGGREGATIONS = ("per_track", "per_sequence", "across_tracks", "pooled")
"""Over what r is taken, see `Protocol`."""


@dataclass(frozen=True)
class Protocol:
    """One way to make a single r per track type out of predictions; `evaluate` applies it.

    Attributes:
        track_types: one type per track, `[tracks]`; the grouping is a choice as well.
        aggregation: "per_track" takes r of each track over all bins of all sequences, then the mean
            over a type's tracks (Enformer's paper). "per_sequence" takes r of each track over the
            bins of one sequence, then the mean over sequences, then over tracks. "across_tracks"
            takes r of each bin over a type's tracks, then the mean over bins and sequences (what
            enformer-pytorch's test computed, its issue 36). "pooled" takes one r over all bins of
            all sequences of all tracks of a type (what the study's code computes).
        log1p: compare log(1 + x) of both, which damps the highest peaks.
        averaging: predictions are averaged over these views of the input, a name of
            `averaging.VIEWS`.
        central_bins: count only so many bins in the middle of a sequence; `None` is all.

    Raises:
        ValueError: if the aggregation or the averaging is unknown.
    """

    track_types: TrackTypes
    aggregation: str = "per_track"
    log1p: bool = False
    averaging: str = "none"
    central_bins: int | None = None

    def __post_init__(self) -> None:
        expect_one_of("aggregation", self.aggregation, AGGREGATIONS)
        expect_one_of("averaging", self.averaging, averages.VIEWS)


def evaluate(
    predict: Predict,
    examples: Iterable[Example],
    protocols: Mapping[str, Protocol],
    *,
    batch_size: int = 1,
    strand_pairs: ArrayLike | None = None,
) -> pd.DataFrame:
    """Give r by track type under several protocols, from one pass over the data.

    Use it to learn what a choice in the protocol is worth: the predictions are the same for all,
    and each is made once.

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`.
        examples: records with `sequence` `[length, 4]` and `target` `[bins, tracks]`.
        protocols: by the name that the table shall show.
        batch_size: records per call of `predict`.
        strand_pairs: from `tracks.strand_pairs`, for protocols that average over strands.

    Returns:
        One row per protocol and track type: protocol, track_type, pearson_r, num_tracks (those that
        took part), num_constant (tracks without an r of their own), num_undefined (values of r that
        a mean left out since one side never changes: of tracks, of tracks in a sequence or of bins,
        as the protocol takes them; of one r over all, 1 where there is none).

    Raises:
        ValueError: if there is no record or protocol, or shapes do not match.
    """
    if not protocols:
        raise ValueError("no protocols; expected at least one")
    readings = {name: _Reading.of(protocol) for name, protocol in protocols.items()}
    states = {reading: _State() for reading in readings.values()}
    across = {
        name: {track_type: _Mean() for track_type in types_present(protocol.track_types)}
        for name, protocol in protocols.items()
        if protocol.aggregation == "across_tracks"
    }
    views = [view for reading in states for view in averages.VIEWS[reading.averaging]]
    for sequence, all_bins in batched(examples, batch_size=batch_size):
        predictions = averages.predict_views(predict, sequence, views, strand_pairs)
        for reading in states:
            target, prediction = reading.apply(all_bins, predictions)
            states[reading] = _add_sequences(states[reading], target, prediction)
            for name in across:
                if readings[name] == reading:
                    across[name] = _add_bins(across[name], protocols[name], target, prediction)
    tables = [
        _apply(protocol, states[readings[name]], across.get(name, {})).assign(protocol=name)
        for name, protocol in protocols.items()
    ]
    columns = ["protocol", "track_type", "pearson_r", "num_tracks", "num_constant", "num_undefined"]
    return pd.concat(tables, ignore_index=True)[columns]


def sums_per_sequence(predict: Predict, examples: Iterable[Example]) -> list[PearsonSums]:
    """The sums that r of each track is made of, sequence by sequence.

    Merged they give r of each track over all bins of all sequences, which is the accuracy that
    Enformer's paper reports before its mean over tracks; drawn anew, its interval.

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`.
        examples: records with `sequence` `[length, 4]` and `target` `[bins, tracks]`.

    Raises:
        ValueError: if there is no record, or predictions and targets differ in shape.

    Source: Avsec et al. 2021, Methods; google-deepmind/deepmind-research,
    `enformer/enformer-training.ipynb`, `evaluate_model`.
    """
    of_sequences: list[PearsonSums] = []
    for sequence, target in batched(examples, batch_size=1):
        prediction = np.asarray(predict(sequence))
        require_same_shape(target, prediction)
        of_sequences += map(pearson_sums, target, prediction)
    if not of_sequences:
        raise ValueError(NO_EXAMPLES)
    return of_sequences


class _Reading(NamedTuple):
    """What a protocol makes of predictions before anything is summed; protocols may share one."""

    averaging: str
    log1p: bool
    central_bins: int | None

    @classmethod
    def of(cls, protocol: Protocol) -> _Reading:
        return cls(protocol.averaging, protocol.log1p, protocol.central_bins)

    def apply(
        self, target: NDArray[np.float32], predictions: Mapping[View, NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give the target and the prediction to compare, `[batch, bins, tracks]` each."""
        prediction = averages.mean(predictions, self.averaging)
        require_same_shape(target, prediction)
        bins = _central(self.central_bins, target.shape[1])
        return _scaled((target[:, bins], prediction[:, bins]), self.log1p)


class _Mean(NamedTuple):
    """A running mean that leaves NaN out, and counts what it left out."""

    total: NDArray[np.float64] | float = 0.0
    number: NDArray[np.int64] | int = 0
    num_undefined: NDArray[np.int64] | int = 0


class _State(NamedTuple):
    """What protocols of one scale share: sums over all sequences, and r sequence by sequence."""

    sums: PearsonSums | None = None  # [tracks]
    per_sequence: _Mean = _Mean()  # [tracks]


def _add_sequences(
    state: _State, target: NDArray[np.float32], prediction: NDArray[np.float32]
) -> _State:
    sums, per_sequence = state
    for one_target, one_prediction in zip(target, prediction, strict=True):
        of_sequence = pearson_sums(one_target, one_prediction)
        sums = of_sequence if sums is None else merge(sums, of_sequence)
        r = pearson_r(of_sequence)
        per_sequence = _Mean(
            per_sequence.total + np.nan_to_num(r),
            per_sequence.number + ~np.isnan(r),
            per_sequence.num_undefined + np.isnan(r),
        )
    return _State(sums, per_sequence)


def _add_bins(
    means: Mapping[str, _Mean],
    protocol: Protocol,
    target: NDArray[np.float32],
    prediction: NDArray[np.float32],
) -> dict[str, _Mean]:
    types = validated_types(protocol.track_types, target.shape[-1])
    added = {}
    for track_type, mean in means.items():
        of_type = types == track_type
        x = target[..., of_type].reshape(-1, of_type.sum()).T  # [tracks, sequences x bins]
        y = prediction[..., of_type].reshape(-1, of_type.sum()).T
        r = pearson_r(pearson_sums(x, y))
        added[track_type] = _Mean(
            mean.total + np.nansum(r),
            mean.number + np.sum(~np.isnan(r)),
            mean.num_undefined + np.sum(np.isnan(r)),
        )
    return added


def _apply(protocol: Protocol, state: _State, across: Mapping[str, _Mean]) -> pd.DataFrame:
    if state.sums is None:
        raise ValueError(NO_EXAMPLES)
    if protocol.aggregation == "per_track":
        by_type = mean_r_by_track_type(state.sums, protocol.track_types)
        return by_type.assign(num_undefined=by_type["num_constant"])
    if protocol.aggregation == "per_sequence":
        per_track = pd.DataFrame({"pearson_r": _value(state.per_sequence)})
        by_type = mean_by_track_type(per_track, protocol.track_types)
        undefined = pd.Series(np.asarray(state.per_sequence.num_undefined))
        of_type = undefined.groupby(np.asarray(protocol.track_types)).sum()
        return by_type.assign(num_undefined=of_type.loc[by_type["track_type"]].to_numpy())
    by_type = pooled_r_by_track_type(state.sums, protocol.track_types)
    if protocol.aggregation == "across_tracks":
        means = [across[track_type] for track_type in by_type["track_type"]]
        return by_type.assign(
            pearson_r=[float(_value(mean)) for mean in means],
            num_undefined=[int(mean.num_undefined) for mean in means],
        )
    return by_type.assign(num_undefined=by_type["pearson_r"].isna().astype(int))


def _value(mean: _Mean) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(mean.total) / np.asarray(mean.number)


def _scaled(
    raw: tuple[NDArray[np.float32], NDArray[np.float32]], log1p: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    target, prediction = raw
    return (np.log1p(target), np.log1p(prediction)) if log1p else (target, prediction)


def _central(number: int | None, num_bins: int) -> slice:
    if number is None:
        return slice(None)
    if not 1 <= number <= num_bins:
        raise ValueError(f"central_bins={number}: expected 1 to {num_bins}, the bins there are")
    first = (num_bins - number) // 2
    return slice(first, first + number)
