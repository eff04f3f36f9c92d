import pandas as pd
import pytest

from senformer.prediction.track_selection import describe_tracks, select_tracks

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
    },
    index=range(40, 45),
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
        (["ALL"], [0, 1, 2, 3, 4]),
        (["cage"], [3]),
        ("cage", [3]),
        (["histone chip"], [1]),
        (["41"], [1]),
        (["cnhs1"], [3]),
        (["dnase:LIVER"], [0]),
        (["liver"], [0, 1, 3]),
        (["h2afz", " Blood "], [1, 2, 4]),
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
        (["rna"], r"tracks='rna', expected one of the table's types: DNase/ATAC, Hist"),
        (["\u00a7"], r"an index \(40 to 44\), a description or a part of one, one of .*, or all$"),
        (["45"], r"tracks='45', expected an identifier, an index \(40 to 44\)"),
        ([""], r"tracks='', expected an identifier"),
        ([" "], r"tracks=' ', expected an identifier"),
        ([], "no tracks, expected names, types or 'all'"),
    ],
)
def test_select_tracks_suggests_nearest_names(names, message):
    with pytest.raises(ValueError, match=message):
        select_tracks(TARGETS, names)


@pytest.mark.parametrize(
    ("identifiers", "name"),
    [
        (["43", "b", "c", "d", "e"], "43"),
        (["Enc", "ENC", "c", "d", "e"], "enc"),
        (["CAGE", "b", "c", "d", "e"], "CAGE"),
    ],
)
def test_select_tracks_refuses_ambiguous_names(identifiers, name):
    targets = TARGETS.assign(identifier=identifiers)
    with pytest.raises(ValueError, match=rf"tracks='{name}' is ambiguous, .*: 40 {identifiers[0]}"):
        select_tracks(targets, [name])


def test_describe_tracks_lists_some():
    assert describe_tracks(TARGETS, [1]) == "41 ENC2 'CHIP:H2AFZ:liver'"
    assert describe_tracks(TARGETS, range(5)).count(";") == 4
    many = pd.concat([TARGETS] * 5, ignore_index=True)
    assert describe_tracks(many, range(25)).endswith("; and 15 more")
