"""The mean of r over the tracks of a type."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from senformer.evaluation.by_track_type import mean_by_track_type


class TestMeanByTrackType:
    def test_constant_tracks_are_counted_and_left_out(self):
        per_track = pd.DataFrame({"pearson_r": [0.2, np.nan, 0.4, np.nan]})
        types = ["CAGE", "CAGE", "CAGE", "RNA"]
        frame = mean_by_track_type(per_track, pd.Series(types, index=[9, 8, 7, 6]))
        assert frame["track_type"].tolist() == ["CAGE", "RNA"]
        assert frame["pearson_r"][0] == pytest.approx(0.3)
        assert np.isnan(frame["pearson_r"][1])
        assert frame["num_tracks"].tolist() == [2, 0]
        assert frame["num_constant"].tolist() == [1, 1]
