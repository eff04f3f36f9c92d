"""How well predictions agree with experiments sequence by sequence, and two models compared so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.evaluation.by_track_type import (
    TrackTypes,
    mean_r_by_track_type,
    pooled_r_by_track_type,
    types_present,
)
from senformer.evaluation.pearson import is_constant, pearson_r, pearson_sums
from senformer.evaluation.predictions import (
    NO_EXAMPLES,
    Example,
    Predict,
    batched,
    require_same_shape,
)

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
    "num_undefined",
)

_LEVELS = tuple(
    column
    for statistic in ("mean", "median")
    for column in (f"experiment_{statistic}", f"prediction_{statistic}", f"{statistic}_above")
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
        took part), num_constant (those left out), pooled_pearson_r, experiment_mean,
        prediction_mean, mean_above (the share of tracks that are predicted above the experiment),
        experiment_median, prediction_median, median_above.

    Raises:
        ValueError: if there is no record, shapes differ, or types and tracks differ in number.

    Source: the study, Methods, "Measuring the correlation of predictions"; its code,
    `evaluation/correlation_between_models.py`.
    """
    rows: list[pd.DataFrame] = []
    num_sequences = 0
    for sequence, targets in batched(examples, batch_size=batch_size):
        for model, predict in models.items():
            predictions = np.asarray(predict(sequence))
            require_same_shape(targets, predictions)
            pairs = zip(targets, predictions, strict=True)
            for number, (target, prediction) in enumerate(pairs, start=num_sequences):
                fit = _fit(target, prediction, track_types)
                rows.append(fit.assign(sequence=number, model=model))
        num_sequences += len(targets)
    if not rows:
        raise ValueError(NO_EXAMPLES)
    columns = ["sequence", "model", "track_type", "pearson_r", "num_tracks", "num_constant"]
    return pd.concat(rows, ignore_index=True)[[*columns, "pooled_pearson_r", *_LEVELS]]


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
        slope and intercept of the least-squares line of S-Enformer on Enformer, num_sequences, and
        num_undefined, the sequences left out because a model has no r there. With fewer than three
        sequences all but the share and the counts are NaN.

    Raises:
        ValueError: if a column is missing.
    """
    models = ["enformer_pearson_r", "senformer_pearson_r"]
    missing = [name for name in ("sequence", "track_type", *models) if name not in frame]
    if missing:
        raise ValueError(f"no column {missing[0]!r}; the table has {', '.join(map(str, frame))}")
    rows = []
    for track_type in types_present(frame["track_type"]):
        of_type = frame.loc[frame["track_type"] == track_type, models].to_numpy(np.float64)
        pairs = of_type[~np.isnan(of_type).any(axis=1)]
        compared = _compare(pairs, num_bootstrap, seed)
        num_undefined = len(of_type) - len(pairs)
        rows.append({"track_type": track_type, **compared, "num_undefined": num_undefined})
    return pd.DataFrame(rows)


def _compare(pairs: NDArray[np.float64], num_bootstrap: int, seed: int) -> dict[str, float]:
    # pairs: [sequences, 2], Enformer first
    row = dict.fromkeys(_COMPARISON, np.nan) | {"num_sequences": len(pairs)}
    if len(pairs):
        row["share_senformer_ahead"] = float(np.mean(pairs[:, 1] > pairs[:, 0]))
    if len(pairs) < _FEWEST_SEQUENCES:
        return row
    sums = pearson_sums(pairs[:, :1], pairs[:, 1:])
    if is_constant(sums)[0]:
        return row
    resampled = np.random.default_rng(seed).integers(len(pairs), size=(len(pairs), num_bootstrap))
    drawn = pearson_r(pearson_sums(pairs[resampled, 0], pairs[resampled, 1]))
    row["pearson_r"] = pearson_r(sums)[0]
    row["pearson_r_low"], row["pearson_r_high"] = np.nanquantile(drawn, [0.025, 0.975])
    ahead = np.mean(pairs[resampled, 1] > pairs[resampled, 0], axis=0)
    row["share_low"], row["share_high"] = np.quantile(ahead, [0.025, 0.975])
    row["slope"] = (sums.products / sums.target_squares)[0]
    row["intercept"] = sums.prediction_mean[0] - row["slope"] * sums.target_mean[0]
    return row


def _fit(
    target: NDArray[np.float32], prediction: NDArray[np.float32], track_types: TrackTypes
) -> pd.DataFrame:
    """Rows of `fit_per_sequence` for one sequence, `[bins, tracks]` each."""
    sums = pearson_sums(target, prediction)
    by_type = mean_r_by_track_type(sums, track_types)
    pooled = pooled_r_by_track_type(sums, track_types)["pearson_r"]
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
