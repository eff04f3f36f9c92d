from pathlib import Path

import pandas as pd
import pytest

from senformer.data import tracks

TABLE = Path("targets.txt")
HEADER = "index\tidentifier\tfile\tclip\tscale\tsum_stat\tdescription\n"


def types_of(*descriptions: str, grouping: str = "published") -> list[str]:
    return tracks.track_types(pd.DataFrame({"description": descriptions}), grouping).tolist()


def counts(targets: pd.DataFrame, grouping: str) -> dict[str, int]:
    types = tracks.track_types(targets, grouping)
    return {name: int((types == name).sum()) for name in tracks.TRACK_TYPES if name in set(types)}


@pytest.mark.parametrize(
    ("organism", "grouping", "expected"),
    [
        ("human", "published", (684, 1860, 2131, 638)),
        ("human", "curated", (684, 1998, 1993, 638)),
        ("mouse", "published", (228, 750, 308, 357)),
        ("mouse", "curated", (228, 750, 308, 357)),
    ],
)
def test_enformers_tracks_split_as_published_and_curated(shared, organism, grouping, expected):
    found = counts(tracks.read_targets(shared / f"data/basenji2/targets_{organism}.txt"), grouping)
    order = ("DNase/ATAC", "Histone ChIP", "TF ChIP", "CAGE")
    assert found == dict(zip(order, expected, strict=True))


@pytest.mark.parametrize(
    ("organism", "expected"),
    [
        ("human", {"DNase/ATAC": 10, "CAGE": 24, "RNA": 40}),
        ("mouse", {"DNase/ATAC": 1, "CAGE": 14, "RNA": 17}),
    ],
)
def test_borzois_tracks_have_rna_as_a_type_of_its_own(real_records, organism, expected):
    assert counts(real_records[organism].targets, "published") == expected


def test_the_groupings_differ_in_h2a_h2b_and_h4_alone():
    marks = ["CHIP:H2AFZ:a", "CHIP:H2BK5ac:a", "CHIP:H4K20me1:a"]
    assert types_of(*marks) == ["TF ChIP"] * 3
    assert types_of(*marks, grouping="curated") == ["Histone ChIP"] * 3
    others = ["CHIP:H3K27ac:a", "CHIP:HCFC1:a", "CHIP:HNF4A:a", "CHIP:HES1:a", "CHIP:.:a"]
    assert types_of(*others) == types_of(*others, grouping="curated")
    assert types_of(*others) == ["Histone ChIP"] + ["TF ChIP"] * 4


def test_assays_other_than_the_studys_are_types_of_their_own():
    assert types_of("RNA:liver", "RNA3:liver", "MNASE:liver", "no colon") == [
        "RNA",
        "RNA",
        "Other",
        "Other",
    ]


def test_types_keep_the_tables_index():
    targets = pd.DataFrame({"description": ["CAGE:a", "ATAC:b"]}, index=[34, 7])
    assert tracks.track_types(targets).to_dict() == {34: "CAGE", 7: "DNase/ATAC"}


def test_a_table_is_read_in_its_own_order_with_its_index(tmp_path):
    path = tmp_path / "targets.txt"
    path.write_text(HEADER + "5\ta\tf\t32\t2\tmean\tCAGE:x\n3\tb\tg\t384\t1\tsum\tATAC:y\n")
    targets = tracks.read_targets(path)
    assert targets.index.tolist() == [5, 3]
    assert targets["clip"].tolist() == [32, 384]


def test_an_unknown_grouping_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"grouping='basenji', expected one of published, curated"):
        types_of("CAGE:a", grouping="basenji")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t10\t20\ttrain\nchr1\t30\t40\ttest\n", "column.s. identifier, .* missing"),
        (HEADER, "has a header and no track"),
        ("", "not a tab-separated targets table"),
        (HEADER + "0\ta\tf\t32\t2\tmean\tCAGE:x\n0\tb\tf\t32\t2\tmean\tCAGE:y\n", "0 stands twice"),
        (HEADER + "0\ta\tf\tmuch\t2\tmean\tCAGE:x\n", "column clip must hold a number"),
        (HEADER + "0\ta\tf\t32\t2\tmean\t\n", "column description is empty for index 0"),
        (HEADER + "0\ta\tf\t32\t-2\tmean\tCAGE:x\n", "scale=-2 for index 0, expected more than 0"),
        (HEADER + "0\ta\tf\t32\t2\tmean\n", "row 0 has 6 fields, expected the header's 7"),
        (HEADER.replace("file", "clip"), "column 'clip' stands twice"),
        ("strand_pear\t" + HEADER, "unknown column 'strand_pear', expected 'strand_pair'"),
        (HEADER + "0\ta\tf\t32\t2\tmean\tCAGE:\a\n", "expected a text that can be printed"),
    ],
)
def test_a_file_that_is_no_targets_table_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "sequences.bed"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{path}: .*{message}") as error:
        tracks.read_targets(path)
    assert "\n" not in str(error.value)


def test_a_binary_file_is_refused_by_name(tmp_path):
    path = tmp_path / "train-0.tfr"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(ValueError, match=f"^{path}: not UTF-8") as error:
        tracks.read_targets(path)
    assert "\n" not in str(error.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"targets\.txt: no such file, expected a targets table"
    ):
        tracks.read_targets(tmp_path / "targets.txt")


@pytest.mark.parametrize("first", [0, 5313])
def test_a_table_of_records_counts_up_from_any_number(first):
    table = pd.DataFrame(
        {"strand_pair": [first + 1, first, first + 2]}, index=range(first, first + 3)
    )
    tracks.check_track_order(table, TABLE)


@pytest.mark.parametrize(
    ("index", "pairs", "message"),
    [
        ([2, 1, 0], [2, 1, 0], "targets.txt: index 1 is out of order, expected 2 to 4"),
        ([0, 1, 3], [0, 1, 3], "targets.txt: index 3 is out of order, expected 0 to 2"),
        (["a", "b", "c"], ["a", "b", "c"], "targets.txt: index 'a', expected whole numbers"),
        ([0, 1, 2], [1, 2, 0], "strand_pair=1 for index 0, .* whose own strand_pair is 0"),
        ([0, 1, 2], [1, 0, 9], "strand_pair=9 for index 2, expected a track of the table"),
    ],
)
def test_a_table_that_cannot_describe_records_is_refused(index, pairs, message):
    with pytest.raises(ValueError, match=message):
        tracks.check_track_order(pd.DataFrame({"strand_pair": pairs}, index=index), TABLE)


def test_numbers_for_names_are_texts(tmp_path):
    path = tmp_path / "targets.txt"
    path.write_text(HEADER + "0\t101\t7\t32\t2\tmean\t2026\n")
    targets = tracks.read_targets(path)
    assert targets.loc[0, "identifier"] == "101"
    assert tracks.track_types(targets).tolist() == ["Other"]


def test_pairs_are_places_in_the_table_whatever_its_labels():
    targets = pd.DataFrame({"strand_pair": [7, 5, 9]}, index=[5, 7, 9])
    assert tracks.strand_pairs(targets, TABLE).tolist() == [1, 0, 2]
    assert tracks.strand_pairs(targets.drop(columns="strand_pair"), TABLE).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"targets\.txt: strand_pair=7 for index 5, expected a tr"):
        tracks.strand_pairs(targets.drop(index=7), TABLE)


def test_an_unknown_statistic_is_named_with_the_known_ones(tmp_path):
    path = tmp_path / "targets.txt"
    path.write_text(HEADER + "0\ta\tf\t384\t1\tmeen\tCAGE:liver\n")
    with pytest.raises(ValueError, match=r"sum_stat='meen' for index 0, expected one of sum, "):
        tracks.read_targets(path)
