import pandas as pd
import pytest

from senformer.prediction.track_selection import select_tracks

TARGETS = pd.DataFrame(
    {
        "identifier": ["ENC1", "ENC2", "ENC3", "CNhs1", "ENC1"],
        "description": [
            "DNASE:liver",
            "CHIP:H2AFZ:liver",
            "CHIP:GATA1:blood",
            "CAGE:liver, adult",
            "DNASE:blood",
        ],
    }
)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["CNhs1"], [3]),
        (["CAGE:liver, adult", "ENC2"], [1, 3]),
        (["Histone ChIP"], [1]),
        (["ENC1"], [0, 4]),
        (["DNase/ATAC", "ENC1", "CAGE"], [0, 3, 4]),
        (["all"], [0, 1, 2, 3, 4]),
    ],
)
def test_select_tracks_accepts_names_and_types(names, expected):
    assert select_tracks(TARGETS, names).tolist() == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cnhs11"], r"tracks='cnhs11', expected .* or all; the nearest are 'CNhs1'"),
        (["CAGE", "DNASE:lver"], r"tracks='DNASE:lver', .* nearest are 'DNASE:liver', 'DNASE:bl"),
        (["RNA"], r"tracks='RNA', expected one of the table's types: DNase/ATAC, Hist"),
        (["§"], r"expected an identifier or description of the table, one of .*, or all$"),
        ([], "no tracks, expected names, types or 'all'"),
    ],
)
def test_select_tracks_suggests_nearest_names(names, message):
    with pytest.raises(ValueError, match=message):
        select_tracks(TARGETS, names)
