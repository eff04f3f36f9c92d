"""Measure how far away the enhancers are that a model's predictions use.

In simulated records the effect of every enhancer on every promoter is known. A regression of
predictions on the effects in each band of distance shows which share of each band a model uses.
Pearson's r over promoters, not over bins, shows its accuracy: most bins hold no promoter, and most
promoters with one activator differ only in their enhancers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.data.record_folders import RecordFolder
from senformer.data.simulation import regulation
from senformer.data.simulation.promoters import compute_contributions, find_promoters
from senformer.evaluation import resampling

BANDS_BP = (0, 8_192, 16_384, 32_768, 65_536, 131_072, 262_144, 393_216)
"""Edges of the bands of distance between enhancer and promoter."""

USE_NOTE = (
    "In simulated records the effect of each enhancer on each promoter is known. The figure shows "
    "a regression of predictions on these effects, by the distance between enhancer and promoter: "
    "1 means that a model uses the whole effect, 0 that it uses no enhancer. The dashed line is "
    "the share that lies within an input of that length."
)
"""Caption of a figure of `share_used_by_distance`."""

_NEIGHBOUR_BINS = 1  # on either side of a promoter's centre; they hold most of its CAGE


class PromotersOfSplit:
    """The promoters within a split's targets, and the effects of enhancers on them.

    Attributes:
        table: From `promoters.find_promoters`, with `biosample`: the biosample in which the
            promoter's activator is most active, where its level is read.
        effects: From `promoters.compute_contributions`, with `effect` in that biosample.
    """

    def __init__(
        self,
        folder: RecordFolder,
        split: str,
        target_length: int,
        num_sequences: int | None = None,
    ) -> None:
        """Read the promoters and the effects on them.

        Args:
            folder: Simulated records.
            split: Name of the split.
            target_length: Number of central bins that models predict.
            num_sequences: Number of records, or None for all.
        """
        activity, organism_tracks = regulation.ACTIVITY, regulation.TRACKS[folder.organism]
        most_active = {
            activator: max(activity, key=lambda biosample: activity[biosample][activator])
            for activator in regulation.CORE_OF_ACTIVATOR
        }
        promoters = find_promoters(folder, split, target_length)
        if num_sequences is not None:
            promoters = promoters[promoters["row"] < num_sequences].reset_index(drop=True)
        self.table = promoters.assign(biosample=promoters["activator"].map(most_active))
        effects = compute_contributions(folder, self.table)
        biosample = self.table["biosample"].to_numpy()[effects["promoter"]]
        self.effects = effects.assign(
            effect=np.select(
                [biosample == name for name in activity],
                [effects[f"effect_{name}"] for name in activity],
            )
        )
        cage_track = {
            track.biosample: index
            for index, track in enumerate(organism_tracks)
            if track.experiment == "CAGE"
        }
        self._cage_track = self.table["biosample"].map(cage_track).to_numpy()

    def levels(self, values: Iterable[NDArray[np.floating]]) -> NDArray[np.float64]:
        """Sum the CAGE of each promoter over three bins, in its own biosample.

        Args:
            values: Measured, expected or predicted coverage of each record, `[bins, tracks]`. One
                record at a time is in memory.

        Returns:
            `[promoters]`.
        """
        return np.concatenate([self.levels_of_record(row, x) for row, x in enumerate(values)])

    def levels_of_record(self, row: int, coverage: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the `levels` of the promoters of one record, which are adjacent in `table`.

        Args:
            row: Index of the record in its split.
            coverage: Coverage of the record, `[bins, tracks]`.
        """
        promoters = np.flatnonzero(self.table["row"] == row)
        centers = self.table["bin"].to_numpy()[promoters, np.newaxis]
        neighbours = np.arange(-_NEIGHBOUR_BINS, _NEIGHBOUR_BINS + 1)
        bins = np.clip(centers + neighbours, 0, len(coverage) - 1)
        cage = coverage[bins, self._cage_track[promoters, np.newaxis]]
        return cage.sum(axis=1, dtype=np.float64)

    def effects_by_distance(
        self, edges_bp: Sequence[int] = BANDS_BP, *, seen_bp: int | None = None
    ) -> NDArray[np.float64]:
        """Sum the effects of the enhancers in each band of distance on each promoter.

        Args:
            edges_bp: Edges of the bands in bp, one more than there are bands.
            seen_bp: Count only enhancers within an input of this length in bp; None counts all.

        Returns:
            `[promoters, bands]`, in units of a promoter's mean transcription.
        """
        effects = self.effects
        if seen_bp is not None:
            effects = effects[effects["offset_bp"].abs() < seen_bp / 2]
        band = np.searchsorted(edges_bp, effects["distance_bp"].abs(), side="right") - 1
        total = np.zeros([len(self.table), len(edges_bp) - 1])
        is_within = (band >= 0) & (band < total.shape[1])
        np.add.at(
            total,
            (effects["promoter"].to_numpy()[is_within], band[is_within]),
            effects["effect"].to_numpy()[is_within],
        )
        return total


def share_used_by_distance(
    promoters: PromotersOfSplit,
    predicted: Sequence[NDArray[np.float64]],
    expected: NDArray[np.float64],
    *,
    edges_bp: Sequence[int] = BANDS_BP,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate which share of the enhancers' effects a model's predictions use, by distance.

    The predicted levels, divided by each promoter's strength, are regressed on the effects of the
    enhancers in each band. A perfect model has 1 in each band; a model that ignores enhancers 0.

    Args:
        promoters: Promoters of the predicted split.
        predicted: Predicted levels, from `promoters.levels`, of each training of the model.
        expected: Expected levels, from `simulate.compute_expected_targets`, which determine the
            coverage per unit of effect.
        edges_bp: Edges of the bands in bp.
        seed: Seed of the resampling of records and trainings.

    Returns:
        One row per band: `nearest_bp`, `farthest_bp`, `share_used` (the mean over trainings) and
        its 95 % confidence interval over records and trainings, `share_low` and `share_high`. NaN
        for a band without any enhancer.
    """
    effects = promoters.effects_by_distance(edges_bp)
    strength = promoters.table["strength"].to_numpy()
    cores = pd.get_dummies(promoters.table["activator"]).to_numpy(np.float64)
    all_bands = np.concatenate([effects.sum(axis=1, keepdims=True), cores], axis=1)
    coverage_per_effect = np.linalg.lstsq(all_bands, expected / strength)[0][0]
    design = np.concatenate([effects, cores], axis=1)
    records = promoters.table["row"].to_numpy()
    slopes = [
        _resampled_slopes(design, levels / strength / coverage_per_effect, records, seed)
        for levels in predicted
    ]
    shares = resampling.average_repeats(np.stack(slopes, axis=1), seed)[:, : effects.shape[1]]
    low, high = resampling.interval(shares)
    return pd.DataFrame(
        {
            "nearest_bp": edges_bp[:-1],
            "farthest_bp": edges_bp[1:],
            "share_used": shares[0],
            "share_low": low,
            "share_high": high,
        }
    )


def r_over_promoters(
    promoters: PromotersOfSplit,
    predicted: Sequence[NDArray[np.float64]],
    measured: NDArray[np.float64],
    *,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Correlate the promoters' levels with the predictions of several models.

    All models use the same resamplings of records, so a difference between two models, taken row
    by row, is paired.

    Args:
        promoters: Promoters of the predicted split.
        predicted: Predicted levels, from `promoters.levels`, of each model or training.
        measured: Measured levels, from `promoters.levels` of the targets.
        seed: Seed of the resampling of records.

    Returns:
        Pearson's r, `[1 + resamplings, models]`; the first row is of the records themselves.
    """
    records = promoters.table["row"].to_numpy()
    x = np.stack([measured] * len(predicted), axis=1)
    return resampling.resample_r_of_values(x, np.stack(predicted, axis=1), records, seed)


def _resampled_slopes(
    design: NDArray[np.float64], y: NDArray[np.float64], records: NDArray[np.int64], seed: int
) -> NDArray[np.floating]:
    """Fit least squares on resampled records: `[1 + resamplings, columns]`, unresampled first."""
    squares = design[:, :, np.newaxis] * design[:, np.newaxis]
    products = design * y[:, np.newaxis]
    by_promoter = np.concatenate([squares, products[:, :, np.newaxis]], axis=2)
    sums = resampling.resample_sums(resampling.sum_by_sequence(by_promoter, records), seed)
    # The pseudoinverse, since a band may have no enhancer in a resampling of few records.
    slopes = (np.linalg.pinv(sums[..., :-1], hermitian=True) @ sums[..., -1:])[..., 0]
    slopes[:, ~design.any(axis=0)] = np.nan
    return slopes
