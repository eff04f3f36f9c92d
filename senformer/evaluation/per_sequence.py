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
    type_masks,
)
from senformer.evaluation.pearson import is_constant, pearson_r, pearson_sums
from senformer.evaluation.predictions import NO_EXAMPLES, Example, Predict, batched
from senformer.evaluation.resampling import NUM_RESAMPLINGS

_FEWEST_SEQUENCES = 3  # through two points every r is 1 and every line fits

_COMPARISON = [
    *("track_type", "pearson_r", "pearson_r_low", "pearson_r_high"),
    *("share_senformer_ahead", "share_low", "share_high"),
    *("slope", "intercept", "num_sequences", "num_undefined"),
]


def fit_per_sequence(
    models: Mapping[str, Predict], examples: Iterable[Example], track_types: TrackTypes
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
    fits = {}
    for number, (sequence, targets) in enumerate(batched(examples, batch_size=1)):
        for model, predict in models.items():
            predictions = np.asarray(predict(sequence))
            fits[number, model] = _fit_sequence(targets[0], predictions[0], track_types)
    if not fits:
        raise ValueError(NO_EXAMPLES)
    table = pd.concat(fits, names=["sequence", "model"])
    return table.reset_index(["sequence", "model"]).reset_index(drop=True)


def _fit_sequence(
    target: NDArray[np.float32], prediction: NDArray[np.float32], track_types: TrackTypes
) -> pd.DataFrame:
    """Return the rows of `fit_per_sequence` for one sequence, from `[bins, tracks]` each."""
    sums = pearson_sums(target, prediction)
    experiment_median, prediction_median = (
        np.median(values, axis=0).astype(np.float64) for values in (target, prediction)
    )
    levels = {
        "experiment_mean": sums.target_mean,
        "prediction_mean": sums.prediction_mean,
        "mean_above": sums.prediction_mean > sums.target_mean,
        "experiment_median": experiment_median,
        "prediction_median": prediction_median,
        "median_above": prediction_median > experiment_median,
    }
    fit = mean_by_track_type(pearson_r(sums), track_types)
    fit["pooled_pearson_r"] = pooled_by_track_type(sums, track_types)["pearson_r"]
    by_type = pd.DataFrame(levels).groupby(np.asarray(track_types)).mean()
    return fit.join(by_type, on="track_type")


def compare_per_sequence(frame: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Compare two models sequence by sequence, by track type (the study's Figure 6).

    Args:
        frame: Columns sequence, track_type, enformer_pearson_r, senformer_pearson_r. Sequences in
            which a value is NaN are left out.
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
    for track_type, is_of_type in type_masks(frame["track_type"], len(frame)).items():
        of_type = frame.loc[is_of_type, models].to_numpy(np.float64)
        pairs = of_type[~np.isnan(of_type).any(axis=1)]
        row = {"track_type": track_type, "num_sequences": len(pairs)}
        row["num_undefined"] = len(of_type) - len(pairs)
        if len(pairs):
            row["share_senformer_ahead"] = np.mean(pairs[:, 1] > pairs[:, 0])
        rows.append(row | _compare_pairs(pairs, seed))
    return pd.DataFrame(rows, columns=_COMPARISON)


def _compare_pairs(pairs: NDArray[np.float64], seed: int) -> dict[str, float]:
    """Compute r, line and intervals of `pairs` `[sequences, 2]`, Enformer's r first, if defined."""
    if len(pairs) < _FEWEST_SEQUENCES:
        return {}
    sums = pearson_sums(pairs[:, :1], pairs[:, 1:])
    if is_constant(sums)[0]:
        return {}
    # Pairs themselves and not their sums: a draw of equal pairs has exactly no variance, so no r.
    drawn = np.random.default_rng(seed).integers(len(pairs), size=(len(pairs), NUM_RESAMPLINGS))
    x, y = np.moveaxis(pairs[drawn], -1, 0)
    low, high = np.nanquantile(pearson_r(pearson_sums(x, y)), [0.025, 0.975])
    share_low, share_high = np.quantile(np.mean(y > x, axis=0), [0.025, 0.975])
    slope = (sums.products / sums.target_squares)[0]
    return {
        "pearson_r": pearson_r(sums)[0],
        "pearson_r_low": low,
        "pearson_r_high": high,
        "share_low": share_low,
        "share_high": share_high,
        "slope": slope,
        "intercept": sums.prediction_mean[0] - slope * sums.target_mean[0],
    }
