"""How well predictions agree with experiments: Pearson's r, summed as the data streams by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from senformer.tracks import TRACK_TYPES

Predict = Callable[[NDArray[np.float32]], ArrayLike]
"""`[batch, length, 4]` to `[batch, bins, tracks]`."""

Example = Mapping[str, Any]
"""One record: `sequence` `[length, 4]` and `target` `[bins, tracks]`."""


class PearsonSums(NamedTuple):
    """All that Pearson's r of each track needs to remember, float64 `[tracks]` each.

    Means and sums of squares around them, not sums of raw squares: those lose the digits that r is
    made of when a track's mean is large beside its spread.

    Attributes:
        count: how many pairs were seen.
        target_mean: mean of the experiment's values.
        prediction_mean: mean of the predictions.
        target_squares: sum of squared deviations of the targets from their mean.
        prediction_squares: the same of the predictions.
        products: sum of the products of both deviations.

    Source: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance".
    """

    count: NDArray[np.float64]
    target_mean: NDArray[np.float64]
    prediction_mean: NDArray[np.float64]
    target_squares: NDArray[np.float64]
    prediction_squares: NDArray[np.float64]
    products: NDArray[np.float64]


def start(num_tracks: int) -> PearsonSums:
    """Begin: the sums of nothing."""
    return PearsonSums(*np.zeros((len(PearsonSums._fields), num_tracks)))


def update(sums: PearsonSums, target: ArrayLike, prediction: ArrayLike) -> PearsonSums:
    """Add a batch.

    Args:
        sums: of what came before.
        target: `[..., tracks]`, the experiment.
        prediction: `[..., tracks]`, of the same shape.

    Raises:
        ValueError: if the shapes differ, or a value is not finite.
    """
    return merge(sums, _sums_of(target, prediction))


def merge(first: PearsonSums, second: PearsonSums) -> PearsonSums:
    """Join the sums of two parts of the data, as two workers would hand them in."""
    count = first.count + second.count
    weight = np.divide(second.count, count, out=np.zeros_like(count), where=count > 0)
    target_step = second.target_mean - first.target_mean
    prediction_step = second.prediction_mean - first.prediction_mean
    spread = first.count * weight
    return PearsonSums(
        count=count,
        target_mean=first.target_mean + weight * target_step,
        prediction_mean=first.prediction_mean + weight * prediction_step,
        target_squares=first.target_squares + second.target_squares + spread * target_step**2,
        prediction_squares=first.prediction_squares
        + second.prediction_squares
        + spread * prediction_step**2,
        products=first.products + second.products + spread * target_step * prediction_step,
    )


def pearson_r(sums: PearsonSums) -> NDArray[np.float64]:
    """Give r of each track, `[tracks]`; NaN where target or prediction is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        r = sums.products / np.sqrt(sums.target_squares) / np.sqrt(sums.prediction_squares)
    return np.where(is_constant(sums), np.nan, np.clip(r, -1.0, 1.0))


def is_constant(sums: PearsonSums) -> NDArray[np.bool_]:
    """Tell which tracks have no r because target or prediction never changes, `[tracks]`."""
    return (sums.target_squares == 0) | (sums.prediction_squares == 0)


def correlation_per_track(
    predict: Predict, examples: Iterable[Example], *, batch_size: int = 1, log1p: bool = False
) -> pd.DataFrame:
    """Correlate prediction and experiment of each track over all bins of all sequences.

    This is the accuracy that Enformer's paper reports, before its mean over tracks
    (`mean_by_track_type`).

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`.
        examples: records with `sequence` `[length, 4]` and `target` `[bins, tracks]`.
        batch_size: records per call of `predict`.
        log1p: compare log(1 + x) of both, which damps the highest peaks.

    Returns:
        One row per track: track, pearson_r (NaN where constant), constant, num_values,
        target_mean, prediction_mean.

    Raises:
        ValueError: if there is no record, or predictions and targets differ in shape.

    Source: Avsec et al. 2021, Methods; Figure 1.
    """
    sums: PearsonSums | None = None
    for target, prediction in _predicted(predict, examples, batch_size=batch_size, log1p=log1p):
        sums = update(start(target.shape[-1]) if sums is None else sums, target, prediction)
    if sums is None:
        raise ValueError("no examples to evaluate; expected at least one record")
    return pd.DataFrame(
        {
            "track": np.arange(len(sums.count)),
            "pearson_r": pearson_r(sums),
            "constant": is_constant(sums),
            "num_values": sums.count.astype(np.int64),
            "target_mean": sums.target_mean,
            "prediction_mean": sums.prediction_mean,
        }
    )


def correlation_per_sequence(
    predict: Predict,
    examples: Iterable[Example],
    track_types: Sequence[str] | NDArray[Any] | pd.Series,
    *,
    batch_size: int = 1,
    log1p: bool = False,
) -> pd.DataFrame:
    """Correlate prediction and experiment within each sequence, by track type.

    For each sequence and track, r over its bins; then the mean over the tracks of a type. Tracks
    that are constant in a sequence have no r there and are left out of its mean.

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`.
        examples: records with `sequence` `[length, 4]` and `target` `[bins, tracks]`.
        track_types: one type per track, `[tracks]`.
        batch_size: records per call of `predict`.
        log1p: compare log(1 + x) of both.

    Returns:
        One row per sequence and track type: sequence (0, 1, ...), track_type, pearson_r (NaN where
        every track is constant), num_tracks (those with an r).

    Raises:
        ValueError: if there is no record, shapes differ, or types and tracks differ in number.

    Source: the study, Methods, "Measuring the correlation of predictions".
    """
    rows: list[pd.DataFrame] = []
    for target, prediction in _predicted(predict, examples, batch_size=batch_size, log1p=log1p):
        for one_target, one_prediction in zip(target, prediction, strict=True):
            per_track = pd.DataFrame({"pearson_r": pearson_r(_sums_of(one_target, one_prediction))})
            by_type = mean_by_track_type(per_track, track_types)
            rows.append(by_type.assign(sequence=len(rows)))
    if not rows:
        raise ValueError("no examples to evaluate; expected at least one record")
    columns = ["sequence", "track_type", "pearson_r", "num_tracks"]
    return pd.concat(rows, ignore_index=True)[columns]


def mean_by_track_type(
    per_track: pd.DataFrame, track_types: Sequence[str] | NDArray[Any] | pd.Series
) -> pd.DataFrame:
    """Average r over the tracks of each type, constant tracks left out and counted.

    Args:
        per_track: column pearson_r, one row per track, as `correlation_per_track` gives it.
        track_types: one type per track, `[tracks]`.

    Returns:
        One row per type that occurs, in the order of `tracks.TRACK_TYPES`: track_type, pearson_r,
        num_tracks (those with an r), num_constant.

    Raises:
        ValueError: if types and tracks differ in number.
    """
    types = np.asarray(track_types)
    if len(types) != len(per_track):
        raise ValueError(f"{len(types)} track types for {len(per_track)} tracks: expected one each")
    grouped = per_track["pearson_r"].groupby(types)
    frame = pd.DataFrame(
        {
            "pearson_r": grouped.mean(),
            "num_tracks": grouped.count(),
            "num_constant": grouped.size() - grouped.count(),
        }
    )
    present = [name for name in TRACK_TYPES if name in frame.index]
    return frame.loc[present].rename_axis("track_type").reset_index()


def compare_per_sequence(
    frame: pd.DataFrame, *, num_bootstrap: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Compare two models sequence by sequence, by track type (the study's Figure 6).

    Args:
        frame: columns sequence, track_type, enformer_pearson_r, senformer_pearson_r; sequences
            where either is NaN are left out.
        num_bootstrap: resamplings of the sequences for the interval of r.
        seed: of the resampling.

    Returns:
        One row per type, in the order of `tracks.TRACK_TYPES`: track_type, pearson_r between the
        models, its 95 % bootstrap interval pearson_r_low and pearson_r_high,
        share_senformer_ahead (fraction of sequences where it is strictly higher), slope and
        intercept of the least-squares line of S-Enformer on Enformer, num_sequences.

    Raises:
        ValueError: if a column is missing.
    """
    models = ["enformer_pearson_r", "senformer_pearson_r"]
    missing = [name for name in ("sequence", "track_type", *models) if name not in frame]
    if missing:
        raise ValueError(f"no column {missing[0]!r} in {list(frame.columns)}")
    rows = []
    for track_type in [name for name in TRACK_TYPES if name in set(frame["track_type"])]:
        pairs = frame.loc[frame["track_type"] == track_type, models].dropna().to_numpy(np.float64)
        rows.append({"track_type": track_type, **_compare(pairs, num_bootstrap, seed)})
    return pd.DataFrame(rows)


def _compare(pairs: NDArray[np.float64], num_bootstrap: int, seed: int) -> dict[str, float]:
    # pairs: [sequences, 2], Enformer first
    sums = _sums_of(pairs[:, :1], pairs[:, 1:])
    resampled = np.random.default_rng(seed).integers(len(pairs), size=(len(pairs), num_bootstrap))
    drawn = pearson_r(_sums_of(pairs[resampled, 0], pairs[resampled, 1]))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    slope = (sums.products / sums.target_squares)[0]
    return {
        "pearson_r": pearson_r(sums)[0],
        "pearson_r_low": low,
        "pearson_r_high": high,
        "share_senformer_ahead": float(np.mean(pairs[:, 1] > pairs[:, 0])),
        "slope": slope,
        "intercept": sums.prediction_mean[0] - slope * sums.target_mean[0],
        "num_sequences": len(pairs),
    }


def _sums_of(target: ArrayLike, prediction: ArrayLike) -> PearsonSums:
    x = np.asarray(target, np.float64)
    y = np.asarray(prediction, np.float64)
    if x.shape != y.shape:
        raise ValueError(f"target is {x.shape}, prediction {y.shape}: expected the same shape")
    x = x.reshape(-1, x.shape[-1])  # [values, tracks]
    y = y.reshape(-1, y.shape[-1])
    # Deviations from the first value first: a constant track then has squares of exactly zero.
    x0, y0 = x[0], y[0]
    x = x - x0
    y = y - y0
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    for name, mean in (("target", x_mean), ("prediction", y_mean)):
        if not np.isfinite(mean).all():
            raise ValueError(f"{name} of track {np.flatnonzero(~np.isfinite(mean))[0]} not finite")
    x -= x_mean
    y -= y_mean
    return PearsonSums(
        count=np.full(x.shape[1], float(len(x))),
        target_mean=x0 + x_mean,
        prediction_mean=y0 + y_mean,
        target_squares=np.einsum("vt,vt->t", x, x),
        prediction_squares=np.einsum("vt,vt->t", y, y),
        products=np.einsum("vt,vt->t", x, y),
    )


def _predicted(
    predict: Predict, examples: Iterable[Example], *, batch_size: int, log1p: bool
) -> Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    for batch in _batched(tqdm(examples, desc="evaluate", unit="seq"), batch_size):
        target = np.stack([np.asarray(example["target"]) for example in batch])
        sequence = np.stack([np.asarray(example["sequence"]) for example in batch])
        prediction = np.asarray(predict(sequence))  # [batch, bins, tracks]
        if prediction.shape != target.shape:
            raise ValueError(f"prediction is {prediction.shape}, target {target.shape}")
        yield (np.log1p(target), np.log1p(prediction)) if log1p else (target, prediction)


def _batched(examples: Iterable[Example], batch_size: int) -> Iterable[list[Example]]:
    batch: list[Example] = []
    for example in examples:
        batch.append(example)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch
