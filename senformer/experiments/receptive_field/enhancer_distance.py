"""From how far away a model takes what it says of a promoter: known on simulated records alone.

There every enhancer's effect on every promoter is known. So a model's predictions can be taken
apart: regressed on the effects of the enhancers in each band of distance, they tell which share of
each band the model uses. And r over promoters, not over bins, tells how well it does: most bins
hold no promoter, and most promoters of a kind differ in nothing but their enhancers.
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
    "In simulated records it is known what each enhancer does to each promoter. Predictions are "
    "regressed on it, band by band of the distance between the two: a model that used all would "
    "show the whole effect of each band, one that sees no enhancer nothing. The dashed line is "
    "what an input of that length holds at most."
)
"""What a page says beside a figure of `share_used_by_distance`."""

_BINS_ASIDE = 1  # of a promoter's centre; most of its CAGE lies within


class PromotersOfSplit:
    """The promoters that a split's targets hold, and whose doing their transcription is.

    Attributes:
        table: From `promoters.find_promoters`, with `biosample`: the one in which the
            activator that a promoter listens to is fully active, and in which it is looked at.
        effects: From `promoters.compute_contributions`, with `effect` in that biosample.
    """

    def __init__(
        self,
        folder: RecordFolder,
        split: str,
        target_length: int,
        num_sequences: int | None = None,
    ) -> None:
        """Read the ground truth.

        Args:
            folder: Simulated records.
            split: Which of them.
            target_length: Central bins that models predict.
            num_sequences: How many of the records; all if none is said.
        """
        most_active = {
            activator: max(
                regulation.ACTIVITY, key=lambda name: regulation.ACTIVITY[name][activator]
            )
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
                [biosample == name for name in regulation.ACTIVITY],
                [effects[f"effect_{name}"] for name in regulation.ACTIVITY],
            )
        )
        tracks = regulation.TRACKS[folder.organism]
        cage_track = {
            track.biosample: number
            for number, track in enumerate(tracks)
            if track.experiment == "CAGE"
        }
        self._cage_track = self.table["biosample"].map(cage_track).to_numpy()

    def levels(self, values: Iterable[NDArray[np.floating]]) -> NDArray[np.float64]:
        """The CAGE of each promoter: the sum of three bins in its own biosample.

        Args:
            values: Coverage of each record, `[bins, tracks]`, measured, expected or predicted; one
                record at a time is held.

        Returns:
            `[promoters]`.
        """
        return np.concatenate([self.levels_of_record(row, x) for row, x in enumerate(values)])

    def levels_of_record(self, row: int, coverage: NDArray[np.floating]) -> NDArray[np.float64]:
        """`levels` of the promoters of one record, which stand together in `table`.

        Args:
            row: Of the record in its split.
            coverage: Its own, `[bins, tracks]`.
        """
        promoters = np.flatnonzero(self.table["row"] == row)
        centers = self.table["bin"].to_numpy()[promoters, np.newaxis]
        bins = np.clip(centers + np.arange(-_BINS_ASIDE, _BINS_ASIDE + 1), 0, len(coverage) - 1)
        of_promoters = coverage[bins, self._cage_track[promoters, np.newaxis]]
        return of_promoters.sum(axis=1, dtype=np.float64)

    def effects_by_distance(
        self, edges_bp: Sequence[int] = BANDS_BP, *, seen_bp: int | None = None
    ) -> NDArray[np.float64]:
        """What the enhancers in each band of distance do to each promoter.

        Args:
            edges_bp: Of the bands, one more than there are bands.
            seen_bp: Count those alone that lie within an input of this length.

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
    """Say which share of what enhancers do, by their distance, shows in a model's predictions.

    Predicted levels, over each promoter's own strength, are regressed on the effects of the
    enhancers in each band. A model that knew all would have 1 in each; one that sees no enhancer 0.

    Args:
        promoters: Of the split that was predicted.
        predicted: `promoters.levels` of the predictions of each training of the model.
        expected: `promoters.levels` of `simulate.compute_expected_targets`, which determine the
            coverage that one unit of effect makes.
        edges_bp: Edges of the bands.
        seed: Of the resampling of records and trainings.

    Returns:
        One row per band: `nearest_bp`, `farthest_bp`, `share_used`, the mean over trainings, and
        its 95 % interval over records and trainings, `share_low` and `share_high`; NaN for a band
        in which no promoter has an enhancer.
    """
    effects = promoters.effects_by_distance(edges_bp)
    strength = promoters.table["strength"].to_numpy()
    of_cores = pd.get_dummies(promoters.table["activator"]).to_numpy(np.float64)
    design = np.concatenate([effects, of_cores], axis=1)
    whole = np.concatenate([effects.sum(axis=1, keepdims=True), of_cores], axis=1)
    per_unit = np.linalg.lstsq(whole, expected / strength)[0][0]
    records = promoters.table["row"].to_numpy()
    slopes = [
        _slopes_over_resampled_records(design, levels / strength / per_unit, records, seed)
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
    """Correlate the levels of promoters with several models' predictions, on the same resamplings.

    Args:
        promoters: Of the split that was predicted.
        predicted: `promoters.levels` of each model's predictions, or of each training's.
        measured: `promoters.levels` of the targets.
        seed: Of the resampling of records.

    Returns:
        `[1 + resamplings, models]`: Pearson's r, first of the records as they are. A difference
        between models, taken row by row, is paired.
    """
    records = promoters.table["row"].to_numpy()
    x = np.stack([measured] * len(predicted), axis=1)
    return resampling.resample_r_of_values(x, np.stack(predicted, axis=1), records, seed)


def _slopes_over_resampled_records(
    design: NDArray[np.float64], y: NDArray[np.float64], records: NDArray[np.int64], seed: int
) -> NDArray[np.floating]:
    """Least squares, `[1 + resamplings, columns]`; first of the records as they are."""
    squares = design[:, :, np.newaxis] * design[:, np.newaxis]
    products = design * y[:, np.newaxis]
    of_values = np.concatenate([squares, products[:, :, np.newaxis]], axis=2)
    sums = resampling.resample_sums(resampling.sum_by_sequence(of_values, records), seed)
    # Few records drawn anew may leave a band without an enhancer: then there is no one solution.
    slopes = (np.linalg.pinv(sums[..., :-1], hermitian=True) @ sums[..., -1:])[..., 0]
    slopes[:, ~design.any(axis=0)] = np.nan
    return slopes
