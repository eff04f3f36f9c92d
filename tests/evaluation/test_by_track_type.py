import numpy as np
import pandas as pd
import pytest

from senformer.evaluation.by_track_type import mean_by_track_type


def test_mean_by_track_type_counts_constant_tracks():
    types = pd.Series(["CAGE", "CAGE", "CAGE", "RNA"], index=[9, 8, 7, 6])
    frame = mean_by_track_type([0.2, np.nan, 0.4, np.nan], types)
    assert frame["track_type"].tolist() == ["CAGE", "RNA"]
    assert frame["pearson_r"][0] == pytest.approx(0.3)
    assert np.isnan(frame["pearson_r"][1])
    assert frame["num_tracks"].tolist() == [2, 0]
    assert frame["num_constant"].tolist() == [1, 1]
