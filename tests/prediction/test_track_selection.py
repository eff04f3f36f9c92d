import pandas as pd
import pytest

from senformer.prediction import track_selection

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
    ("wanted", "chosen"),
    [
        (["CNhs1"], [3]),
        (["CAGE:liver, adult", "ENC2"], [1, 3]),
        (["Histone ChIP"], [1]),
        (["ENC1"], [0, 4]),
        (["DNase/ATAC", "ENC1", "CAGE"], [0, 3, 4]),
        (["all"], [0, 1, 2, 3, 4]),
    ],
)
def test_tracks_are_named_by_identifier_description_or_type(wanted, chosen):
    assert track_selection.select_tracks(TARGETS, wanted).tolist() == chosen


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["cnhs11"], r"tracks='cnhs11', expected .* or all; the nearest are 'CNhs1'"),
        (["CAGE", "DNASE:lver"], r"tracks='DNASE:lver', .* nearest are 'DNASE:liver', 'DNASE:bl"),
        (["RNA"], r"tracks='RNA', expected one of the types that the table has: DNase/ATAC, Hist"),
        (["§"], r"expected an identifier or description of the table, one of .*, or all$"),
        ([], "no tracks, expected names, types or 'all'"),
    ],
)
def test_an_unknown_track_is_answered_with_the_nearest_names(wanted, message):
    with pytest.raises(ValueError, match=message):
        track_selection.select_tracks(TARGETS, wanted)
