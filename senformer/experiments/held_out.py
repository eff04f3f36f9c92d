"""Score predictions of the test records by several measures, with resampled sequences.

A score holds the sums that r is made of, for each record: a hundredth of the size of the
predictions, which take 19 MB per record with the study's 5,313 tracks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from senformer.data import datasets
from senformer.data.record_folders import RecordFolder
from senformer.data.simulation.simulate import is_simulated
from senformer.data.tracks import TRACK_TYPES, track_types
from senformer.data.windows import InputWindow
from senformer.evaluation import resampling
from senformer.evaluation.pearson import PearsonSums, pearson_sums
from senformer.experiments.receptive_field import enhancer_distance
from senformer.experiments.run_data import TEST_SPLIT

AT_PROMOTERS = "CAGE over promoters"
"""The measure that depends most on distant regulation; only simulated records have it."""


class Score(NamedTuple):
    """Hold what is stored of a model's predictions of the test records.

    Attributes:
        sums: Float64 `[records, 6, tracks]`, the `PearsonSums` of each record.
        levels: Float64 `[promoters]`, predicted levels from `PromotersOfSplit.levels`; `[0]` if the
            records are not simulated.
    """

    sums: NDArray[np.float64]
    levels: NDArray[np.float64]


class HeldOutAccuracy:
    """Measure the accuracy of predictions of the test records.

    Attributes:
        measures: The track types of the records, each for the mean of its tracks' r over all bins;
            and `AT_PROMOTERS` if the records are simulated: r of CAGE over promoters, each in the
            biosample that it is active in.
        num_sequences: Number of records.
        promoters: The promoters of simulated records, or None.
        levels: The measured levels of these promoters, `[promoters]`, or None.
    """

    def __init__(
        self, folder: RecordFolder, target_length: int, num_sequences: int | None = None
    ) -> None:
        """Read what the measures need.

        Args:
            folder: The records.
            target_length: Number of central bins that models predict.
            num_sequences: Number of test records, by default all.
        """
        self._folder = folder
        self._target_length = target_length
        self._types = track_types(folder.targets).to_numpy()
        self.num_sequences = len(folder.intervals_of(TEST_SPLIT)[:num_sequences])
        self.measures = [name for name in TRACK_TYPES if name in self._types]
        self.promoters = None
        self.levels = None
        if is_simulated(folder):
            self.promoters = enhancer_distance.PromotersOfSplit(
                folder, TEST_SPLIT, target_length, num_sequences
            )
            self.levels = self.promoters.levels(self._targets())
            self.measures.append(AT_PROMOTERS)

    def score(self, predictions: Iterable[NDArray[np.floating]]) -> Score:
        """Score predictions, one record at a time.

        Args:
            predictions: `[bins, tracks]` of each record, in the order of `datasets.examples`.

        Raises:
            ValueError: If the number of predictions or a shape differs from the targets'.
        """
        sums, levels = [], []
        pairs = zip(self._targets(), predictions, strict=True)
        for index, (target, prediction) in enumerate(pairs):
            sums.append(np.stack(pearson_sums(target, prediction)))
            if self.promoters is not None:
                levels.append(self.promoters.levels_of_record(index, prediction))
        return Score(np.stack(sums), np.concatenate(levels) if levels else np.zeros(0))

    def resampled_r(self, score: Score) -> NDArray[np.floating]:
        """Compute each measure over the records and over resampled records.

        Args:
            score: From `score`.

        Returns:
            `[1 + resamplings, measures]`. All scores get the same resamplings, so differences are
            paired.
        """
        r = resampling.resample_r([PearsonSums(*sums) for sums in score.sums])
        columns = [
            np.nanmean(r[:, self._types == name], axis=1)
            for name in self.measures
            if name != AT_PROMOTERS
        ]
        if self.promoters is not None and self.levels is not None:
            over_promoters = enhancer_distance.r_over_promoters(
                self.promoters, [score.levels], self.levels
            )
            columns.append(over_promoters[:, 0])
        return np.stack(columns, axis=1)

    def _targets(self) -> Iterator[NDArray[np.float32]]:
        """Yield the target of each record, `[bins, tracks]`."""
        window = InputWindow(self._folder.sequence_length_bp, self._target_length)
        examples = datasets.examples(self._folder, TEST_SPLIT, window)
        for example in examples.take(self.num_sequences):
            yield example["target"].numpy()
