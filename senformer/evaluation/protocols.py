"""Accuracy under evaluation protocols that differ in what they average and count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from senformer.config import expect_one_of
from senformer.evaluation import averaging, resampling, shares
from senformer.evaluation.averaging import VIEWS, View
from senformer.evaluation.by_track_type import (
    TrackTypes,
    mean_by_track_type,
    mean_over_types,
    pooled_by_track_type,
    type_masks,
)
from senformer.evaluation.pearson import PearsonSums, merge, pearson_r, pearson_sums, pool
from senformer.evaluation.predictions import NO_EXAMPLES, Example, Predict, batched

AGGREGATIONS = ("per_track", "per_sequence", "across_tracks", "pooled")
"""The values that r is computed over, see `Protocol`."""


@dataclass(frozen=True)
class Protocol:
    """One way to compute a single r per track type from predictions.

    Attributes:
        track_types: One type per track, `[tracks]`; the grouping is part of the protocol.
        aggregation: "per_track" computes r of each track over all bins of all sequences, then the
            mean over a type's tracks (Enformer's paper). "per_sequence" computes r of each track
            over the bins of one sequence, then the mean over sequences, then over tracks.
            "across_tracks" computes r of each bin over a type's tracks, then the mean over bins and
            sequences (what enformer-pytorch's test computed, its issue 36). "pooled" computes one r
            over all bins of all sequences of all tracks of a type (what the study's code computes).
        log1p: Whether to compare log(1 + x) of both, which damps the highest peaks.
        averaging: Name in `averaging.VIEWS` of the views whose predictions are averaged.
        central_bins: Number of bins in the middle of a sequence that count; None counts all.

    Raises:
        ValueError: If the aggregation or the averaging is unknown.

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
        expect_one_of("averaging", self.averaging, VIEWS)

    @property
    def preprocessing(self) -> _Preprocessing:
        """Return what happens to predictions before anything is summed."""
        return _Preprocessing(self.averaging, self.log1p, self.central_bins)


class Evaluated(NamedTuple):
    """Accuracy under one protocol.

    Attributes:
        table: One row per track type: the columns of `evaluate` without the protocol.
        drawn: `[1 + resamplings, types]`, r of each sequence once and of resampled sequences. All
            protocols on the same records share the draws, so that differences are paired.
        num_sequences: Number of sequences.
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
    """Compute r by track type under several protocols, in one pass over the data.

    Use it to learn how much a choice in the protocol changes r: all protocols share the
    predictions, and each view is predicted once. In the scope of a strategy with several workers
    each worker gets its share of the records, as `datasets.examples` makes it, and the table covers
    all records.

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`.
        examples: Records with `sequence` `[length, 4]` and `target` `[bins, tracks]`; with several
            workers, the share of this worker.
        protocols: Protocols by the name that the table shows.
        batch_size: Records per call of `predict`.
        strand_pairs: The track of the other strand for each track, from `tracks.strand_pairs`, for
            protocols that average over strands.

    Returns:
        One row per protocol and track type: protocol, track_type, pearson_r and its 95 % confidence
        interval over sequences, pearson_r_low and pearson_r_high (NaN for a single sequence),
        num_tracks, num_constant (tracks without an r), and num_undefined: the values without an r
        that the mean leaves out (tracks, tracks of sequences, or bins, as the protocol averages
        them; 1 if a pooled r does not exist, else 0).

    Raises:
        ValueError: If there is no record or protocol, or shapes do not match.
    """
    evaluated = evaluate_resampled(
        predict, examples, protocols, batch_size=batch_size, strand_pairs=strand_pairs
    )
    tables = {name: result.table for name, result in evaluated.items()}
    return pd.concat(tables, names=["protocol"]).reset_index("protocol").reset_index(drop=True)


def evaluate_resampled(
    predict: Predict,
    examples: Iterable[Example],
    protocols: Mapping[str, Protocol],
    *,
    batch_size: int = 1,
    strand_pairs: ArrayLike | None = None,
) -> dict[str, Evaluated]:
    """Evaluate as `evaluate` does, and keep the resamplings for intervals of differences.

    Returns:
        The result of each protocol, by its name.
    """
    if not protocols:
        raise ValueError("no protocols; expected at least one")
    sums: dict[_Preprocessing, list[PearsonSums]] = {
        p.preprocessing: [] for p in protocols.values()
    }
    bins: dict[str, list[ArrayLike]] = {
        name: [] for name, p in protocols.items() if p.aggregation == "across_tracks"
    }
    views = [view for preprocessing in sums for view in VIEWS[preprocessing.averaging]]
    for sequence, target in batched(examples, batch_size=batch_size):
        predictions = averaging.predict_views(predict, sequence, views, strand_pairs)
        for preprocessing, of_sequences in sums.items():
            pairs = list(zip(*preprocessing.apply(target, predictions), strict=True))
            of_sequences += [pearson_sums(x, y) for x, y in pairs]
            for name, of_bins in bins.items():
                if protocols[name].preprocessing == preprocessing:
                    of_bins += [_sum_bins(x, y, protocols[name].track_types) for x, y in pairs]
    gathered = {
        preprocessing: [PearsonSums(*of_sequence) for of_sequence in shares.gather(of_share)]
        for preprocessing, of_share in sums.items()
    }
    gathered_bins = {name: shares.gather(of_share) for name, of_share in bins.items()}
    return {
        name: _aggregate(protocol, gathered[protocol.preprocessing], gathered_bins.get(name, []))
        for name, protocol in protocols.items()
    }


class _Preprocessing(NamedTuple):
    """What a protocol does to predictions before anything is summed; protocols can share it."""

    averaging: str
    log1p: bool
    central_bins: int | None

    def apply(
        self, target: NDArray[np.float32], predictions: Mapping[View, NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the target and the prediction to compare, `[batch, bins, tracks]` each."""
        prediction = averaging.average_views(predictions, self.averaging)
        if prediction.shape != target.shape:
            raise ValueError(
                f"predictions are {prediction.shape}, targets {target.shape}: expected the same "
                "[batch, bins, tracks]"
            )
        num_bins, central = target.shape[1], self.central_bins
        if central is not None:
            if not 1 <= central <= num_bins:
                raise ValueError(f"central_bins={central}: expected 1 to {num_bins}, all bins")
            first = (num_bins - central) // 2
            target = target[:, first : first + central]
            prediction = prediction[:, first : first + central]
        return (np.log1p(target), np.log1p(prediction)) if self.log1p else (target, prediction)


def _sum_bins(
    target: NDArray[np.float32], prediction: NDArray[np.float32], track_types: TrackTypes
) -> NDArray[np.float64]:
    """Sum r across the tracks of each type over a sequence's bins.

    Returns:
        `[3, types]`: the sum, and the numbers of bins with and without an r.
    """
    masks = type_masks(track_types, target.shape[-1]).values()
    r = np.stack([pearson_r(pearson_sums(target[:, m].T, prediction[:, m].T)) for m in masks])
    is_undefined = np.isnan(r)
    return np.stack([np.nansum(r, axis=1), (~is_undefined).sum(axis=1), is_undefined.sum(axis=1)])


def _aggregate(
    protocol: Protocol, sums: Sequence[PearsonSums], bins: Sequence[NDArray[np.float64]]
) -> Evaluated:
    """Compute a protocol's table and resamplings from the sums of each sequence."""
    if not sums:
        raise ValueError(NO_EXAMPLES)
    types, whole = protocol.track_types, merge(sums)
    masks = type_masks(types, len(whole.num_values)).values()
    num_undefined: Any
    if protocol.aggregation == "per_track":
        drawn = mean_over_types(resampling.resample_r(sums), types)
        table = mean_by_track_type(pearson_r(whole), types)
        num_undefined = table["num_constant"]
    elif protocol.aggregation == "per_sequence":
        r = np.stack([pearson_r(of_sequence) for of_sequence in sums])
        drawn_by_track = _resample_mean(np.nan_to_num(r), ~np.isnan(r))
        drawn = mean_over_types(drawn_by_track, types)
        table = mean_by_track_type(drawn_by_track[0], types)
        num_undefined = [np.isnan(r[:, is_of_type]).sum() for is_of_type in masks]
    elif protocol.aggregation == "across_tracks":
        total, num_defined, of_sequences_undefined = np.stack(bins, axis=1)
        drawn = _resample_mean(total, num_defined)
        table = pooled_by_track_type(whole, types).assign(pearson_r=drawn[0])
        num_undefined = of_sequences_undefined.sum(axis=0).astype(int)
    else:
        pooled = [[pool(s.select(is_of_type)) for s in sums] for is_of_type in masks]
        drawn = np.concatenate([resampling.resample_r(of_type) for of_type in pooled], axis=1)
        table = pooled_by_track_type(whole, types)
        num_undefined = table["pearson_r"].isna().astype(int)
    low, high = resampling.interval(drawn, len(sums))
    table.insert(2, "pearson_r_low", low)
    table.insert(3, "pearson_r_high", high)
    return Evaluated(table.assign(num_undefined=num_undefined), drawn, len(sums))


def _resample_mean(total: NDArray[np.float64], number: NDArray[Any]) -> NDArray[np.float64]:
    """Resample a mean over sequences, from each sequence's total and number of values."""
    with np.errstate(invalid="ignore"):
        return resampling.resample_sums(total) / resampling.resample_sums(1.0 * number)
