from pathlib import Path

import pandas as pd
import pytest

from senformer.data import tracks

TABLE = Path("targets.txt")
HEADER = "index\tidentifier\tfile\tclip\tscale\tsum_stat\tdescription\n"


def read(tmp_path, text, *columns):
    path = tmp_path / "targets.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tracks.read_targets(path, *columns)


def types_of(descriptions, grouping="published"):
    return tracks.track_types(pd.DataFrame({"description": descriptions}), grouping).tolist()


@pytest.mark.parametrize(
    ("organism", "grouping", "expected"),
    [
        ("human", "published", (684, 1860, 2131, 638)),
        ("human", "curated", (684, 1998, 1993, 638)),
        ("mouse", "published", (228, 750, 308, 357)),
        ("mouse", "curated", (228, 750, 308, 357)),
    ],
)
def test_track_types_of_enformer(shared, organism, grouping, expected):
    targets = tracks.read_targets(shared / f"data/basenji2/targets_{organism}.txt")
    found = tracks.track_types(targets, grouping).value_counts()
    names = ("DNase/ATAC", "Histone ChIP", "TF ChIP", "CAGE")
    assert found.to_dict() == dict(zip(names, expected, strict=True))


@pytest.mark.parametrize(
    ("organism", "expected"),
    [
        ("human", {"DNase/ATAC": 10, "CAGE": 24, "RNA": 40}),
        ("mouse", {"DNase/ATAC": 1, "CAGE": 14, "RNA": 17}),
    ],
)
def test_track_types_of_borzoi(real_records, organism, expected):
    found = tracks.track_types(real_records[organism].targets).value_counts()
    assert found.to_dict() == expected


def test_track_types_depend_on_the_grouping():
    marks = ["CHIP:H2AFZ:a", "CHIP:H2BK5ac:a", "CHIP:H4K20me1:a"]
    assert types_of(marks) == ["TF ChIP"] * 3
    assert types_of(marks, "curated") == ["Histone ChIP"] * 3
    others = ["CHIP:H3K27ac:a", "CHIP:HCFC1:a", "CHIP:HNF4A:a", "CHIP:HES1:a", "CHIP:.:a"]
    for grouping in tracks.GROUPINGS:
        assert types_of(others, grouping) == ["Histone ChIP"] + ["TF ChIP"] * 4


def test_track_types_of_other_assays():
    found = types_of(["RNA:liver", "RNA3:liver", "MNASE:liver", "no colon"])
    assert found == ["RNA", "RNA", "Other", "Other"]


def test_track_types_keep_the_index():
    targets = pd.DataFrame({"description": ["CAGE:a", "ATAC:b"]}, index=[34, 7])
    assert tracks.track_types(targets).to_dict() == {34: "CAGE", 7: "DNase/ATAC"}


@pytest.mark.parametrize(
    ("targets", "grouping", "message"),
    [
        (pd.DataFrame({"description": []}), "both", "grouping='both', expected one of published"),
        (pd.DataFrame({"name": []}), "curated", "no column 'description', expected a table of"),
    ],
)
def test_track_types_check_arguments(targets, grouping, message):
    with pytest.raises(ValueError, match=message):
        tracks.track_types(targets, grouping)


def test_read_targets_keeps_order_and_types(tmp_path):
    rows = "5\ta\tf\t32\t2\tmean\tCAGE:x\n3\t101\tg\t384\t1\tsum\t2026\n"
    targets = read(tmp_path, HEADER + rows)
    assert targets.index.tolist() == [5, 3]
    assert targets["clip"].tolist() == [32, 384]
    assert targets["identifier"].tolist() == ["a", "101"]
    assert targets["description"].tolist() == ["CAGE:x", "2026"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t10\t20\ttrain\nchr1\t30\t40\ttest\n", "column.s. identifier, .* missing"),
        (HEADER, "the targets table has no track"),
        ("", "not a tab-separated targets table"),
        (bytes(range(256)) * 20, "not UTF-8"),
        (
            HEADER + "0\ta\tf\t32\t2\tmean\tCAGE:x\n0\tb\tf\t32\t2\tmean\tCAGE:y\n",
            "index 0 is repeated",
        ),
        (HEADER + "0\ta\tf\tmuch\t2\tmean\tCAGE:x\n", "column clip has other values, expected fin"),
        (HEADER + "0\ta\tf\t32\t2\tmean\t\n", "description='' for index 0, expected a value"),
        (HEADER + "0\t \tf\t32\t2\tmean\tCAGE:x\n", "identifier=' ' for index 0, expected a val"),
        (HEADER + '0\ta\tf\t1\t2\tmean\t"x\n1\tb\tf\t1\t2\tmean\ty"\n', "quotation marks span"),
        (HEADER + "0\ta\tf\t32\t-2\tmean\tCAGE:x\n", "scale=-2 for index 0, expected more than 0"),
        (HEADER + "0\ta\tf\t32\t2\tmean\n", "row 0 has 6 fields, expected 7 as in the header"),
        (HEADER.replace("file", "clip"), "column 'clip' is repeated"),
        ("strand_pear\t" + HEADER, "unknown column 'strand_pear', expected 'strand_pair'"),
        (HEADER + "0\ta\tf\t32\t2\tmean\tCAGE:\a\n", "expected printable text"),
        (HEADER + "0\ta\tf\t384\t1\tmeen\tCAGE:x\n", "sum_stat='meen' for index 0, expected one"),
    ],
)
def test_read_targets_refuses_other_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"targets\.txt: .*{message}") as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["NA", "nan", "NaN", "null", "NULL", "None", "N/A", "<NA>", "-"])
def test_read_targets_keeps_texts(tmp_path, text):
    targets = read(tmp_path, f"{HEADER}0\t{text}\t{text}\t32\t2\tmean\t{text}\n")
    assert targets.loc[0, ["identifier", "file", "description"]].tolist() == [text] * 3


def test_read_targets_needs_only_the_used_columns(tmp_path):
    table = "index\tidentifier\tdescription\n0\ta\tCAGE:x\n"
    assert read(tmp_path, table, tracks.NAMING_COLUMNS)["identifier"].tolist() == ["a"]
    with pytest.raises(ValueError, match=r"column.s. sum_stat missing, expected .* sum_stat"):
        read(tmp_path, table)


def test_read_targets_names_a_missing_file(tmp_path):
    message = r"targets\.txt: no such file, expected a targets table"
    with pytest.raises(FileNotFoundError, match=message):
        tracks.read_targets(tmp_path / "targets.txt")


@pytest.mark.parametrize("first", [0, 5313])
def test_check_track_order_accepts_any_first(first):
    pairs = [first + 1, first, first + 2]
    table = pd.DataFrame({"strand_pair": pairs}, index=range(first, first + 3))
    tracks.check_track_order(table, TABLE)


@pytest.mark.parametrize(
    ("index", "pairs", "message"),
    [
        ([2, 1, 0], [2, 1, 0], "targets.txt: index 1 is out of order, expected 2 to 4"),
        (
            [0, 1, 3],
            [0, 1, 3],
            "index 3 is out of order, expected 0 to 2, .* which --tracks sel",
        ),
        (["a", "b", "c"], ["a", "b", "c"], "targets.txt: index 'a', expected an integer"),
        ([0, 1, 2], [1, 2, 0], "strand_pair=1 for index 0, .* whose own strand_pair is 0"),
        ([0, 1, 2], [1, 0, 9], "strand_pair=9 for index 2, expected a track of the table"),
    ],
)
def test_check_track_order_refuses_other_tables(index, pairs, message):
    with pytest.raises(ValueError, match=message):
        tracks.check_track_order(pd.DataFrame({"strand_pair": pairs}, index=index), TABLE)


def test_strand_pairs_are_positions():
    targets = pd.DataFrame({"strand_pair": [7, 5, 9]}, index=[5, 7, 9])
    assert tracks.strand_pairs(targets, TABLE).tolist() == [1, 0, 2]
    assert tracks.strand_pairs(targets.drop(columns="strand_pair"), TABLE).tolist() == [0, 1, 2]
