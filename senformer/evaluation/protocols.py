"""How well predictions agree with experiments, under protocols that differ in what they count."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from senformer.config import expect_one_of
from senformer.evaluation import averaging as averages
from senformer.evaluation import resampling, shares
from senformer.evaluation.averaging import View
from senformer.evaluation.by_track_type import (
    TrackTypes,
    mean_by_track_type,
    mean_over_tracks_of_types,
    mean_r_by_track_type,
    pooled_r_by_track_type,
    resampled_mean_r_by_track_type,
    resampled_pooled_r_by_track_type,
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

    Source: "per_track" is `evaluate_model` of google-deepmind/deepmind-research,
    `enformer/enformer-training.ipynb`, averaged as in Avsec et al. 2021, Methods.
    """

    track_types: TrackTypes
    aggregation: str = "per_track"
    log1p: bool = False
    averaging: str = "none"
    central_bins: int | None = None

    def __post_init__(self) -> None:
        expect_one_of("aggregation", self.aggregation, AGGREGATIONS)
        expect_one_of("averaging", self.averaging, averages.VIEWS)


class Evaluated(NamedTuple):
    """What one protocol makes of predictions.

    Attributes:
        table: One row per track type: `evaluate`'s columns but for the protocol.
        drawn: `[1 + resamplings, types]`, r of the sequences as they are and drawn anew; of all
            protocols on the same records the same draws, so that differences are paired.
        num_sequences: How many there were.
    """

    table: pd.DataFrame
    drawn: NDArray[np.float64]
    num_sequences: int


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
    and each is made once. In the scope of a strategy with several workers each is given its share
    of the records, as `datasets.examples` makes it, and the table is that of all.

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`.
        examples: records with `sequence` `[length, 4]` and `target` `[bins, tracks]`; of several
            workers each its own, one in turn.
        protocols: by the name that the table shall show.
        batch_size: records per call of `predict`.
        strand_pairs: from `tracks.strand_pairs`, for protocols that average over strands.

    Returns:
        One row per protocol and track type: protocol, track_type, pearson_r, pearson_r_low and
        pearson_r_high (its 95 % interval over sequences, missing of one alone), num_tracks (those
        that took part), num_constant (tracks without an r of their own), num_undefined (values of r
        that a mean left out since one side never changes: of tracks, of tracks in a sequence or of
        bins, as the protocol takes them; of one r over all, 1 where there is none).

    Raises:
        ValueError: if there is no record or protocol, or shapes do not match.
    """
    evaluated = evaluate_resampled(
        predict, examples, protocols, batch_size=batch_size, strand_pairs=strand_pairs
    )
    tables = [of.table.assign(protocol=name) for name, of in evaluated.items()]
    columns = ["protocol", "track_type", "pearson_r", "pearson_r_low", "pearson_r_high"]
    counts = ["num_tracks", "num_constant", "num_undefined"]
    return pd.concat(tables, ignore_index=True)[[*columns, *counts]]


def evaluate_resampled(
    predict: Predict,
    examples: Iterable[Example],
    protocols: Mapping[str, Protocol],
    *,
    batch_size: int = 1,
    strand_pairs: ArrayLike | None = None,
) -> dict[str, Evaluated]:
    """As `evaluate`, for who needs the interval of a difference between two protocols."""
    if not protocols:
        raise ValueError("no protocols; expected at least one")
    readings = {name: _Reading.of(protocol) for name, protocol in protocols.items()}
    sums: dict[_Reading, list[PearsonSums]] = {reading: [] for reading in readings.values()}
    across: dict[str, list[_AcrossTracks]] = {
        name: [] for name, one in protocols.items() if one.aggregation == "across_tracks"
    }
    views = [view for reading in sums for view in averages.VIEWS[reading.averaging]]
    for sequence, all_bins in batched(examples, batch_size=batch_size):
        predictions = averages.predict_views(predict, sequence, views, strand_pairs)
        for reading, of_sequences in sums.items():
            target, prediction = reading.apply(all_bins, predictions)
            of_sequences += map(pearson_sums, target, prediction)
            for name in across:
                if readings[name] == reading:
                    types = protocols[name].track_types
                    across[name] += [
                        _across_tracks(x, y, types) for x, y in zip(target, prediction, strict=True)
                    ]
    of_all = {reading: shares.gathered(PearsonSums, mine) for reading, mine in sums.items()}
    across = {name: shares.gathered(_AcrossTracks, mine) for name, mine in across.items()}
    return {
        name: _apply(protocol, of_all[readings[name]], across.get(name, []))
        for name, protocol in protocols.items()
    }


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


_TableAndDrawn = tuple[pd.DataFrame, NDArray[np.float64]]


class _AcrossTracks(NamedTuple):
    """r of each bin of one sequence over the tracks of a type, summed up; `[types]` each."""

    total: NDArray[np.float64]
    number: NDArray[np.int64]
    num_undefined: NDArray[np.int64]


def _across_tracks(
    target: NDArray[np.float32], prediction: NDArray[np.float32], track_types: TrackTypes
) -> _AcrossTracks:
    types = validated_types(track_types, target.shape[-1])
    r = np.stack(
        [
            pearson_r(pearson_sums(target[:, types == name].T, prediction[:, types == name].T))
            for name in types_present(types)
        ]
    )
    return _AcrossTracks(
        np.nansum(r, axis=1), np.sum(~np.isnan(r), axis=1), np.sum(np.isnan(r), axis=1)
    )


def _apply(
    protocol: Protocol, of_sequences: list[PearsonSums], across: list[_AcrossTracks]
) -> Evaluated:
    if not of_sequences:
        raise ValueError(NO_EXAMPLES)
    if protocol.aggregation == "across_tracks":
        table, drawn = _across(of_sequences, protocol.track_types, across)
    else:
        aggregate = {"per_track": _per_track, "per_sequence": _per_sequence, "pooled": _pooled}
        table, drawn = aggregate[protocol.aggregation](of_sequences, protocol.track_types)
    low, high = resampling.interval_over(len(of_sequences), drawn)
    return Evaluated(table.assign(pearson_r_low=low, pearson_r_high=high), drawn, len(of_sequences))


def _per_track(of_sequences: list[PearsonSums], track_types: TrackTypes) -> _TableAndDrawn:
    by_type = mean_r_by_track_type(functools.reduce(merge, of_sequences), track_types)
    table = by_type.assign(num_undefined=by_type["num_constant"])
    return table, resampled_mean_r_by_track_type(of_sequences, track_types)


def _per_sequence(of_sequences: list[PearsonSums], track_types: TrackTypes) -> _TableAndDrawn:
    r = np.stack([pearson_r(sums) for sums in of_sequences])
    with np.errstate(invalid="ignore"):
        drawn = resampling.resampled(np.nan_to_num(r)) / resampling.resampled(1.0 * ~np.isnan(r))
    by_type = mean_by_track_type(pd.DataFrame({"pearson_r": drawn[0]}), track_types)
    undefined = pd.Series(np.isnan(r).sum(axis=0)).groupby(np.asarray(track_types)).sum()
    table = by_type.assign(num_undefined=undefined.loc[by_type["track_type"]].to_numpy())
    return table, mean_over_tracks_of_types(drawn, track_types)


def _across(
    of_sequences: list[PearsonSums], track_types: TrackTypes, across: list[_AcrossTracks]
) -> _TableAndDrawn:
    by_type = pooled_r_by_track_type(functools.reduce(merge, of_sequences), track_types)
    total, number, num_undefined = (np.stack(part) for part in zip(*across, strict=True))
    with np.errstate(invalid="ignore"):
        drawn = resampling.resampled(total) / resampling.resampled(1.0 * number)
    undefined = num_undefined.sum(axis=0).astype(int)  # sums of several workers are float64
    table = by_type.assign(pearson_r=drawn[0], num_undefined=undefined)
    return table, drawn


def _pooled(of_sequences: list[PearsonSums], track_types: TrackTypes) -> _TableAndDrawn:
    by_type = pooled_r_by_track_type(functools.reduce(merge, of_sequences), track_types)
    table = by_type.assign(num_undefined=by_type["pearson_r"].isna().astype(int))
    return table, resampled_pooled_r_by_track_type(of_sequences, track_types)


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
