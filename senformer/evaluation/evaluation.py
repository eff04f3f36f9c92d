"""How well predictions agree with experiments: Pearson's r, summed as the data streams by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from senformer.config import expect_one_of
from senformer.data.tracks import TRACK_TYPES
from senformer.evaluation import averaging as averages
from senformer.evaluation.averaging import Predict, View

Example = Mapping[str, Any]
"""One record: `sequence` `[length, 4]` and `target` `[bins, tracks]`."""


AGGREGATIONS = ("per_track", "per_sequence", "across_tracks", "pooled")
"""Over what r is taken, see `Protocol`."""

_FEWEST_SEQUENCES = 3  # through two points every r is 1 and every line fits
_COMPARISON = (
    "pearson_r",
    "pearson_r_low",
    "pearson_r_high",
    "share_senformer_ahead",
    "share_low",
    "share_high",
    "slope",
    "intercept",
    "num_sequences",
)
_LEVELS = tuple(
    column
    for statistic in ("mean", "median")
    for column in (f"experiment_{statistic}", f"prediction_{statistic}", f"{statistic}_above")
)
_NO_EXAMPLES = "no examples to evaluate; expected at least one record"

TrackTypes = Sequence[str] | NDArray[Any] | pd.Series
"""One type per track, as `tracks.track_types` gives them."""


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


class PearsonSums(NamedTuple):
    """All that Pearson's r of each track needs to remember, float64 `[tracks]` each.

    Means and sums of squares around them, not sums of raw squares: those lose the digits that r is
    made of when a track's mean is large beside its spread.

    Attributes:
        num_values: how many pairs were seen.
        target_mean: mean of the experiment's values.
        prediction_mean: mean of the predictions.
        target_squares: sum of squared deviations of the targets from their mean.
        prediction_squares: the same of the predictions.
        products: sum of the products of both deviations.

    Source: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance".
    """

    num_values: NDArray[np.float64]
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
    count = first.num_values + second.num_values
    weight = np.divide(second.num_values, count, out=np.zeros_like(count), where=count > 0)
    target_step = second.target_mean - first.target_mean
    prediction_step = second.prediction_mean - first.prediction_mean
    spread = first.num_values * weight
    return PearsonSums(
        num_values=count,
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
        strand_pairs: from `averaging.strand_pairs`, for protocols that average over strands.

    Returns:
        One row per protocol and track type: protocol, track_type, pearson_r, num_tracks (those that
        took part), num_constant (tracks without an r of their own).

    Raises:
        ValueError: if there is no record or protocol, or shapes do not match.
    """
    if not protocols:
        raise ValueError("no protocols; expected at least one")
    readings = {name: _Reading.of(protocol) for name, protocol in protocols.items()}
    states = {reading: _State() for reading in readings.values()}
    across = {
        name: {track_type: _Mean() for track_type in _types_present(protocol.track_types)}
        for name, protocol in protocols.items()
        if protocol.aggregation == "across_tracks"
    }
    views = [view for reading in states for view in averages.VIEWS[reading.averaging]]
    for sequence, all_bins in _stacked(examples, batch_size=batch_size):
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
    columns = ["protocol", "track_type", "pearson_r", "num_tracks", "num_constant"]
    return pd.concat(tables, ignore_index=True)[columns]


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

    Source: Avsec et al. 2021, Methods; google-deepmind/deepmind-research,
    `enformer/enformer-training.ipynb`, `evaluate_model`.
    """
    sums: PearsonSums | None = None
    for raw in _predicted(predict, examples, batch_size=batch_size):
        target, prediction = _scaled(raw, log1p)
        sums = update(start(target.shape[-1]) if sums is None else sums, target, prediction)
    if sums is None:
        raise ValueError(_NO_EXAMPLES)
    return pd.DataFrame(
        {
            "track": np.arange(len(sums.num_values)),
            "pearson_r": pearson_r(sums),
            "constant": is_constant(sums),
            "num_values": sums.num_values.astype(np.int64),
            "target_mean": sums.target_mean,
            "prediction_mean": sums.prediction_mean,
        }
    )


def fit_per_sequence(
    models: Mapping[str, Predict],
    examples: Iterable[Example],
    track_types: TrackTypes,
    *,
    batch_size: int = 1,
) -> pd.DataFrame:
    """Say how well and how high models predict each sequence, by track type.

    r is given in two ways. `pearson_r` is taken of each track over the sequence's bins, then
    averaged over the tracks of a type: so the study describes it. `pooled_pearson_r` is one r over
    the bins and tracks of a type together, which differences between tracks dominate: so its code
    takes it. Means and medians are those of each track over the sequence's bins, averaged over the
    tracks of a type.

    Args:
        models: by name, each `[batch, length, 4]` to `[batch, bins, tracks]`.
        examples: records with `sequence` `[length, 4]` and `target` `[bins, tracks]`.
        track_types: one type per track, `[tracks]`.
        batch_size: records per call of a model.

    Returns:
        One row per sequence, model and track type: sequence (0, 1, ...), model, track_type,
        pearson_r (NaN where no track varies; constant tracks are left out), num_tracks (those that
        took part), pooled_pearson_r, experiment_mean, prediction_mean, mean_above (the share of
        tracks that are predicted above the experiment), experiment_median, prediction_median,
        median_above.

    Raises:
        ValueError: if there is no record, shapes differ, or types and tracks differ in number.

    Source: the study, Methods, "Measuring the correlation of predictions"; its code,
    `evaluation/correlation_between_models.py`.
    """
    rows: list[pd.DataFrame] = []
    num_sequences = 0
    for sequence, targets in _stacked(examples, batch_size=batch_size):
        for model, predict in models.items():
            predictions = np.asarray(predict(sequence))
            _require_same_shape(targets, predictions)
            pairs = zip(targets, predictions, strict=True)
            for number, (target, prediction) in enumerate(pairs, start=num_sequences):
                fit = _fit(target, prediction, track_types)
                rows.append(fit.assign(sequence=number, model=model))
        num_sequences += len(targets)
    if not rows:
        raise ValueError(_NO_EXAMPLES)
    columns = ["sequence", "model", "track_type", "pearson_r", "num_tracks", "pooled_pearson_r"]
    return pd.concat(rows, ignore_index=True)[[*columns, *_LEVELS]]


def mean_by_track_type(per_track: pd.DataFrame, track_types: TrackTypes) -> pd.DataFrame:
    """Average r over the tracks of each type, constant tracks left out and counted.

    Args:
        per_track: column pearson_r, one row per track, as `correlation_per_track` gives it.
        track_types: one type per track, `[tracks]`.

    Returns:
        One row per type that occurs, in the order of `tracks.TRACK_TYPES`: track_type, pearson_r,
        num_tracks (those with an r), num_constant.

    Raises:
        ValueError: if types and tracks differ in number, or a type is unknown.
    """
    r = per_track["pearson_r"].to_numpy(np.float64)
    types = _validated_types(track_types, len(r))
    rows = []
    for track_type in _types_present(types):
        of_type = r[types == track_type]
        known = of_type[~np.isnan(of_type)]
        rows.append(
            {
                "track_type": track_type,
                "pearson_r": known.mean() if known.size else np.nan,
                "num_tracks": known.size,
                "num_constant": of_type.size - known.size,
            }
        )
    return pd.DataFrame(rows)


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
        models, its 95 % bootstrap interval pearson_r_low and pearson_r_high, share_senformer_ahead
        (fraction of sequences where it is strictly higher), its interval share_low and share_high,
        slope and intercept of the least-squares line of S-Enformer on Enformer, num_sequences.
        With fewer than three sequences all but the share are NaN.

    Raises:
        ValueError: if a column is missing.
    """
    models = ["enformer_pearson_r", "senformer_pearson_r"]
    missing = [name for name in ("sequence", "track_type", *models) if name not in frame]
    if missing:
        raise ValueError(f"no column {missing[0]!r}; the table has {', '.join(map(str, frame))}")
    rows = []
    for track_type in _types_present(frame["track_type"]):
        pairs = frame.loc[frame["track_type"] == track_type, models].dropna().to_numpy(np.float64)
        rows.append({"track_type": track_type, **_compare(pairs, num_bootstrap, seed)})
    return pd.DataFrame(rows)


def _compare(pairs: NDArray[np.float64], num_bootstrap: int, seed: int) -> dict[str, float]:
    # pairs: [sequences, 2], Enformer first
    row = dict.fromkeys(_COMPARISON, np.nan) | {"num_sequences": len(pairs)}
    if len(pairs):
        row["share_senformer_ahead"] = float(np.mean(pairs[:, 1] > pairs[:, 0]))
    if len(pairs) < _FEWEST_SEQUENCES:
        return row
    sums = _sums_of(pairs[:, :1], pairs[:, 1:])
    if is_constant(sums)[0]:
        return row
    resampled = np.random.default_rng(seed).integers(len(pairs), size=(len(pairs), num_bootstrap))
    drawn = pearson_r(_sums_of(pairs[resampled, 0], pairs[resampled, 1]))
    row["pearson_r"] = pearson_r(sums)[0]
    row["pearson_r_low"], row["pearson_r_high"] = np.nanquantile(drawn, [0.025, 0.975])
    ahead = np.mean(pairs[resampled, 1] > pairs[resampled, 0], axis=0)
    row["share_low"], row["share_high"] = np.quantile(ahead, [0.025, 0.975])
    row["slope"] = (sums.products / sums.target_squares)[0]
    row["intercept"] = sums.prediction_mean[0] - row["slope"] * sums.target_mean[0]
    return row


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
            track = np.flatnonzero(~np.isfinite(mean))[0]
            raise ValueError(f"{name} of track {track} holds a value that is not finite")
    x -= x_mean
    y -= y_mean
    return PearsonSums(
        num_values=np.full(x.shape[1], float(len(x))),
        target_mean=x0 + x_mean,
        prediction_mean=y0 + y_mean,
        target_squares=np.einsum("vt,vt->t", x, x),
        prediction_squares=np.einsum("vt,vt->t", y, y),
        products=np.einsum("vt,vt->t", x, y),
    )


def _fit(
    target: NDArray[np.float32], prediction: NDArray[np.float32], track_types: TrackTypes
) -> pd.DataFrame:
    """Rows of `fit_per_sequence` for one sequence, `[bins, tracks]` each."""
    sums = _sums_of(target, prediction)
    by_type = _average_by_track_type(sums, track_types)
    pooled = _pool_by_track_type(sums, track_types)["pearson_r"]
    levels = pd.DataFrame(
        {
            "experiment_mean": sums.target_mean,
            "prediction_mean": sums.prediction_mean,
            "mean_above": sums.prediction_mean > sums.target_mean,
            "experiment_median": np.median(target, axis=0).astype(np.float64),
            "prediction_median": np.median(prediction, axis=0).astype(np.float64),
        }
    )
    levels["median_above"] = levels["prediction_median"] > levels["experiment_median"]
    of_type = levels.groupby(np.asarray(track_types)).mean().loc[by_type["track_type"]]
    return by_type.assign(pooled_pearson_r=pooled, **of_type.reset_index(drop=True))


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
        _require_same_shape(target, prediction)
        bins = _central(self.central_bins, target.shape[1])
        return _scaled((target[:, bins], prediction[:, bins]), self.log1p)


class _Mean(NamedTuple):
    """A running mean that leaves NaN out."""

    total: NDArray[np.float64] | float = 0.0
    number: NDArray[np.int64] | int = 0


class _State(NamedTuple):
    """What protocols of one scale share: sums over all sequences, and r sequence by sequence."""

    sums: PearsonSums | None = None  # [tracks]
    per_sequence: _Mean = _Mean()  # [tracks]


def _add_sequences(
    state: _State, target: NDArray[np.float32], prediction: NDArray[np.float32]
) -> _State:
    sums, per_sequence = state
    for one_target, one_prediction in zip(target, prediction, strict=True):
        of_sequence = _sums_of(one_target, one_prediction)
        sums = of_sequence if sums is None else merge(sums, of_sequence)
        r = pearson_r(of_sequence)
        per_sequence = _Mean(
            per_sequence.total + np.nan_to_num(r), per_sequence.number + ~np.isnan(r)
        )
    return _State(sums, per_sequence)


def _add_bins(
    means: Mapping[str, _Mean],
    protocol: Protocol,
    target: NDArray[np.float32],
    prediction: NDArray[np.float32],
) -> dict[str, _Mean]:
    types = _validated_types(protocol.track_types, target.shape[-1])
    added = {}
    for track_type, mean in means.items():
        of_type = types == track_type
        x = target[..., of_type].reshape(-1, of_type.sum()).T  # [tracks, sequences x bins]
        y = prediction[..., of_type].reshape(-1, of_type.sum()).T
        r = pearson_r(_sums_of(x, y))
        added[track_type] = _Mean(mean.total + np.nansum(r), mean.number + np.sum(~np.isnan(r)))
    return added


def _apply(protocol: Protocol, state: _State, across: Mapping[str, _Mean]) -> pd.DataFrame:
    if state.sums is None:
        raise ValueError(_NO_EXAMPLES)
    if protocol.aggregation == "per_track":
        return _average_by_track_type(state.sums, protocol.track_types)
    if protocol.aggregation == "per_sequence":
        per_track = pd.DataFrame({"pearson_r": _value(state.per_sequence)})
        return mean_by_track_type(per_track, protocol.track_types)
    by_type = _pool_by_track_type(state.sums, protocol.track_types)
    if protocol.aggregation == "across_tracks":
        r = [float(_value(across[track_type])) for track_type in by_type["track_type"]]
        return by_type.assign(pearson_r=r)
    return by_type


def _value(mean: _Mean) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(mean.total) / np.asarray(mean.number)


def _average_by_track_type(sums: PearsonSums, track_types: TrackTypes) -> pd.DataFrame:
    return mean_by_track_type(pd.DataFrame({"pearson_r": pearson_r(sums)}), track_types)


def _pool_by_track_type(sums: PearsonSums, track_types: TrackTypes) -> pd.DataFrame:
    types = _validated_types(track_types, len(sums.num_values))
    rows = []
    for track_type in _types_present(types):
        of_type = PearsonSums(*(part[types == track_type] for part in sums))
        rows.append(
            {
                "track_type": track_type,
                "pearson_r": pearson_r(_pool(of_type))[0],
                "num_tracks": len(of_type.num_values),
                "num_constant": int(is_constant(of_type).sum()),
            }
        )
    return pd.DataFrame(rows)


def _pool(sums: PearsonSums) -> PearsonSums:
    """Join the sums of all tracks, as if they were one: `[tracks]` to `[1]`."""
    n = sums.num_values
    total = n.sum(keepdims=True)
    target_mean = (n * sums.target_mean).sum(keepdims=True) / total
    prediction_mean = (n * sums.prediction_mean).sum(keepdims=True) / total
    x = sums.target_mean - target_mean
    y = sums.prediction_mean - prediction_mean
    return PearsonSums(
        num_values=total,
        target_mean=target_mean,
        prediction_mean=prediction_mean,
        target_squares=(sums.target_squares + n * x * x).sum(keepdims=True),
        prediction_squares=(sums.prediction_squares + n * y * y).sum(keepdims=True),
        products=(sums.products + n * x * y).sum(keepdims=True),
    )


def _validated_types(track_types: TrackTypes, num_tracks: int) -> NDArray[Any]:
    types = np.asarray(track_types)
    if len(types) != num_tracks:
        raise ValueError(f"{len(types)} track types for {num_tracks} tracks: expected one each")
    unknown = sorted(set(types) - set(TRACK_TYPES))
    if unknown:
        raise ValueError(f"track type '{unknown[0]}': expected one of {', '.join(TRACK_TYPES)}")
    return types


def _types_present(track_types: TrackTypes) -> list[str]:
    present = set(np.asarray(track_types))
    return [name for name in TRACK_TYPES if name in present]


def _scaled(
    raw: tuple[NDArray[np.float32], NDArray[np.float32]], log1p: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    target, prediction = raw
    return (np.log1p(target), np.log1p(prediction)) if log1p else (target, prediction)


def _predicted(
    predict: Predict, examples: Iterable[Example], *, batch_size: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield targets and predictions, `[batch, bins, tracks]` each."""
    for sequence, target in _stacked(examples, batch_size=batch_size):
        prediction = np.asarray(predict(sequence))
        _require_same_shape(target, prediction)
        yield target, prediction


def _stacked(
    examples: Iterable[Example], *, batch_size: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield sequences `[batch, length, 4]` and targets `[batch, bins, tracks]`."""
    for batch in _batched(tqdm(examples, desc="evaluate", unit="seq"), batch_size):
        yield (
            np.stack([np.asarray(example["sequence"]) for example in batch]),
            np.stack([np.asarray(example["target"]) for example in batch]),
        )


def _batched(examples: Iterable[Example], batch_size: int) -> Iterator[list[Example]]:
    batch: list[Example] = []
    for example in examples:
        batch.append(example)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _central(number: int | None, num_bins: int) -> slice:
    if number is None:
        return slice(None)
    if not 1 <= number <= num_bins:
        raise ValueError(f"central_bins={number}: expected 1 to {num_bins}, the bins there are")
    first = (num_bins - number) // 2
    return slice(first, first + number)


def _require_same_shape(target: NDArray[np.float32], prediction: NDArray[np.float32]) -> None:
    if prediction.shape != target.shape:
        raise ValueError(
            f"predictions are {prediction.shape}, targets {target.shape}: expected the same "
            "[batch, bins, tracks]"
        )
