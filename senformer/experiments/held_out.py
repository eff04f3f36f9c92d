"""How accurate predictions of the test records are, in several ways, and how sure that is.

What is kept of a model's predictions are the sums that r is made of, record by record: a hundredth
of the predictions themselves, of which the study's 5,313 tracks make 19 MB a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from senformer.data import datasets
from senformer.data.record_folders import RecordFolder
from senformer.data.tracks import TRACK_TYPES, track_types
from senformer.data.windows import InputWindow
from senformer.evaluation import resampling
from senformer.evaluation.pearson import PearsonSums, pearson_sums
from senformer.experiments.receptive_field import enhancer_distance
from senformer.experiments.run_data import TEST_SPLIT, is_simulated

AT_PROMOTERS = "CAGE over promoters"
"""The measure that tells most of distal regulation, of simulated records alone."""


class Score(NamedTuple):
    """What is kept of a model's predictions of the test records.

    Attributes:
        sums: Float64 `[records, 6, tracks]`, the `PearsonSums` of each record.
        levels: Float64 `[promoters]`, as `PromotersOfSplit.levels` reads them; of records that are
            not simulated `[0]`.
    """

    sums: NDArray[np.float64]
    levels: NDArray[np.float64]


class HeldOutAccuracy:
    """What predictions of the test records are held against.

    Attributes:
        measures: The types of track that the records have: r of each track over all bins, averaged
            over the tracks of the type. And `AT_PROMOTERS` where records are simulated: r of CAGE
            over promoters, each in the biosample that it is active in.
        num_sequences: How many records there are.
        promoters: Those of simulated records, none for others.
        levels: What was measured at each promoter, `[promoters]`; none for others.
    """

    def __init__(
        self, folder: RecordFolder, target_length: int, num_sequences: int | None = None
    ) -> None:
        """Find what is measured.

        Args:
            folder: The records.
            target_length: Central bins that models predict.
            num_sequences: How many of the test records; all if none is said.
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
        """Reduce predictions to what `resampled_r` asks for, one record at a time.

        Args:
            predictions: `[bins, tracks]` of each record, in the order of `datasets.examples`.

        Raises:
            ValueError: If they are more or fewer than the records, or a shape is not that of the
                targets.
        """
        return self.score_of_pairs(zip(self._targets(), predictions, strict=True))

    def score_of_pairs(
        self, pairs: Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]]
    ) -> Score:
        """As `score`, for who has read the records already: at full size that takes hours.

        Args:
            pairs: Target and prediction of each record, `[bins, tracks]` each.

        Raises:
            ValueError: If a shape is not that of the target.
        """
        sums, levels = [], []
        for row, (target, prediction) in enumerate(pairs):
            sums.append(np.stack(pearson_sums(target, prediction)))
            if self.promoters is not None:
                levels.append(self.promoters.levels_of_record(row, prediction))
        return Score(np.stack(sums), np.concatenate(levels) if levels else np.zeros(0))

    def resampled_r(self, score: Score) -> NDArray[np.floating]:
        """Each measure, of the records as they are and drawn anew.

        Args:
            score: From `score`.

        Returns:
            `[1 + resamplings, measures]`; other scores are given the same draws, so that
            differences are paired.
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
        """`[bins, tracks]` of each record."""
        window = InputWindow(self._folder.sequence_length_bp, self._target_length)
        examples = datasets.examples(self._folder, TEST_SPLIT, window)
        for example in examples.take(self.num_sequences):
            yield example["target"].numpy()
