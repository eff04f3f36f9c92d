"""How accurate predictions of the test records are, in several ways, and how sure that is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from senformer.data import datasets
from senformer.data.opening import RecordFolder
from senformer.data.tracks import TRACK_TYPES, track_types
from senformer.evaluation import resampling
from senformer.experiments import distal_use
from senformer.experiments.run_data import TEST_SPLIT, is_simulated

AT_PROMOTERS = "CAGE over promoters"
"""The measure that tells most of distal regulation, of simulated records alone."""


class HeldOutAccuracy:
    """What predictions of the test records are held against.

    Attributes:
        measures: The types of track that the records have: r of each track over all bins, averaged
            over the tracks of the type. And `AT_PROMOTERS` where records are simulated: r of CAGE
            over promoters, each in the biosample that it is active in.
        promoters: Those of simulated records, none for others.
    """

    def __init__(
        self, folder: RecordFolder, target_length: int, num_sequences: int | None = None
    ) -> None:
        """Read what was measured.

        Args:
            folder: The records.
            target_length: Central bins that models predict.
            num_sequences: How many of the test records; all if none is said.
        """
        examples = datasets.examples(
            folder,
            TEST_SPLIT,
            sequence_length_bp=folder.sequence_length_bp,
            target_length=target_length,
        )
        measured = [example["target"].numpy() for example in examples.take(num_sequences or -1)]
        self.targets: NDArray[np.float32] = np.stack(measured)
        self._types = track_types(folder.targets).to_numpy()
        self.measures = [name for name in TRACK_TYPES if name in self._types]
        self.promoters = None
        if is_simulated(folder):
            self.promoters = distal_use.PromotersOfSplit(
                folder, TEST_SPLIT, target_length, num_sequences
            )
            self.measures.append(AT_PROMOTERS)

    @property
    def num_sequences(self) -> int:
        """How many records there are."""
        return len(self.targets)

    def resampled_r(self, predictions: NDArray[np.floating]) -> NDArray[np.floating]:
        """Each measure, of the records as they are and drawn anew.

        Args:
            predictions: `[records, bins, tracks]`, in the order of `datasets.examples`.

        Returns:
            `[1 + resamplings, measures]`; other predictions are given the same draws, so that
            differences are paired.
        """
        moments = resampling.moments_of_sequences(self.targets, predictions)
        r = resampling.r_of_moments(resampling.resampled(moments))
        columns = [
            np.nanmean(r[:, self._types == name], axis=1)
            for name in self.measures
            if name != AT_PROMOTERS
        ]
        if self.promoters is not None:
            levels, measured = map(self.promoters.levels, (predictions, self.targets))
            columns.append(distal_use.r_over_promoters(self.promoters, [levels], measured)[:, 0])
        return np.stack(columns, axis=1)
