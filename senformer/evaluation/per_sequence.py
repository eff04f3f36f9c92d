"""How well models predict each sequence, and a comparison of two models sequence by sequence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.evaluation.by_track_type import (
    TrackTypes,
    mean_by_track_type,
    pooled_by_track_type,
    present_types,
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
    *("pearson_r", "pearson_r_low", "pearson_r_high"),
    *("share_senformer_ahead", "share_low", "share_high"),
    *("slope", "intercept", "num_sequences"),
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
    """Measure accuracy and level of predictions for each sequence, by track type.

    r is computed in two ways. `pearson_r` is r of each track over the sequence's bins, averaged
    over the tracks of a type, as the study describes it. `pooled_pearson_r` is one r over the bins
    and tracks of a type together, as the study's code computes it; differences between tracks
    dominate it. Means and medians are those of each track over the sequence's bins, averaged over
    the tracks of a type.

    Args:
        models: Models by name, each `[batch, length, 4]` to `[batch, bins, tracks]`.
        examples: Records with `sequence` `[length, 4]` and `target` `[bins, tracks]`.
        track_types: One type per track, `[tracks]`.
        batch_size: Records per call of a model.

    Returns:
        One row per sequence, model and track type: sequence (0, 1, ...), model, track_type,
        pearson_r (without constant tracks; NaN if all are), num_tracks (those with an r),
        num_constant (those without), pooled_pearson_r, experiment_mean, prediction_mean, mean_above
        (the share of tracks whose prediction is above the experiment), experiment_median,
        prediction_median, median_above.

    Raises:
        ValueError: If there is no record, shapes differ, or types and tracks differ in number.

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
                fit = _fit_sequence(target, prediction, track_types)
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
        frame: Columns sequence, track_type, enformer_pearson_r, senformer_pearson_r. Sequences in
            which a value is NaN are left out.
        num_bootstrap: Resamplings of the sequences for the intervals.
        seed: Seed of the resampling.

    Returns:
        One row per type, in the order of `tracks.TRACK_TYPES`: track_type, pearson_r between the
        models and its 95 % confidence interval, pearson_r_low and pearson_r_high,
        share_senformer_ahead (fraction of sequences in which its r is strictly higher) and its
        interval, share_low and share_high, slope and intercept of the least-squares line of
        S-Enformer on Enformer, num_sequences, and num_undefined (sequences left out). With fewer
        than three sequences only the share and the counts are not NaN.

    Raises:
        ValueError: If a column is missing.
    """
    models = ["enformer_pearson_r", "senformer_pearson_r"]
    missing = [name for name in ("sequence", "track_type", *models) if name not in frame]
    if missing:
        raise ValueError(f"no column {missing[0]!r}; the table has {', '.join(map(str, frame))}")
    rows = []
    for track_type in present_types(frame["track_type"]):
        of_type = frame.loc[frame["track_type"] == track_type, models].to_numpy(np.float64)
        pairs = of_type[~np.isnan(of_type).any(axis=1)]
        compared = _compare_pairs(pairs, num_bootstrap, seed)
        num_undefined = len(of_type) - len(pairs)
        rows.append({"track_type": track_type, **compared, "num_undefined": num_undefined})
    return pd.DataFrame(rows)


def _compare_pairs(pairs: NDArray[np.float64], num_bootstrap: int, seed: int) -> dict[str, float]:
    """Compare `pairs` `[sequences, 2]`, Enformer's r first; see `compare_per_sequence`."""
    row = dict.fromkeys(_COMPARISON, np.nan) | {"num_sequences": len(pairs)}
    is_ahead = pairs[:, 1] > pairs[:, 0]
    if len(pairs):
        row["share_senformer_ahead"] = float(np.mean(is_ahead))
    if len(pairs) < _FEWEST_SEQUENCES:
        return row
    sums = pearson_sums(pairs[:, :1], pairs[:, 1:])
    if is_constant(sums)[0]:
        return row
    # Pairs themselves and not their sums: a draw of equal pairs has exactly no variance, so no r.
    drawn = np.random.default_rng(seed).integers(len(pairs), size=(len(pairs), num_bootstrap))
    r = pearson_r(pearson_sums(pairs[drawn, 0], pairs[drawn, 1]))
    row["pearson_r"] = pearson_r(sums)[0]
    row["pearson_r_low"], row["pearson_r_high"] = np.nanquantile(r, [0.025, 0.975])
    shares = np.mean(is_ahead[drawn], axis=0)
    row["share_low"], row["share_high"] = np.quantile(shares, [0.025, 0.975])
    row["slope"] = (sums.products / sums.target_squares)[0]
    row["intercept"] = sums.prediction_mean[0] - row["slope"] * sums.target_mean[0]
    return row


def _fit_sequence(
    target: NDArray[np.float32], prediction: NDArray[np.float32], track_types: TrackTypes
) -> pd.DataFrame:
    """Return the rows of `fit_per_sequence` for one sequence, from `[bins, tracks]` each."""
    sums = pearson_sums(target, prediction)
    by_type = mean_by_track_type(pearson_r(sums), track_types)
    pooled = pooled_by_track_type(sums, track_types)["pearson_r"]
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
