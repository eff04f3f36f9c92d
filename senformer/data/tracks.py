"""Target tables: which tracks a data set holds, and of which type each track is."""

from __future__ import annotations

import io
import re
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.config import expect_one_of
from senformer.storage.text_files import read_text

TRACK_TYPES = ("DNase/ATAC", "Histone ChIP", "TF ChIP", "CAGE", "RNA", "Other")
"""Every type that `track_types` gives, in the order in which tables and figures show them."""

GROUPINGS = ("published", "curated")
"""How a ChIP track becomes a histone track: as the study did it, or by the histone's name."""

_REQUIRED_COLUMNS = ("identifier", "file", "clip", "scale", "sum_stat", "description")
_KNOWN_COLUMNS = (*_REQUIRED_COLUMNS, "genome", "clip_soft", "strand_pair")
_TEXT_COLUMNS = ("identifier", "file", "sum_stat", "description")

_SUM_STATS = (
    *("sum", "sum_sqrt", "sum_exp75", "mean", "avg", "mean_sqrt", "avg_sqrt"),
    *("median", "max", "peak"),
)
"""How a bin's value came about, in the words of the two programs that write records.

Source: calico/basenji `bin/basenji_data_read.py`, calico/baskerville `hound_data_read.py`.
"""

_TYPE_OF_ASSAY = {"DNASE": "DNase/ATAC", "ATAC": "DNase/ATAC", "CAGE": "CAGE"}

_HISTONE_TARGET = {
    "published": re.compile(r"H3"),
    "curated": re.compile(r"H(2A|2B|3|4)"),
}


def read_targets(path: str | Path) -> pd.DataFrame:
    """Read a targets table, the file that names every track of a data set.

    Use it to learn what the columns of a target or prediction array are: row `i` of the table
    describes `target[..., i]`. Basenji2's and Borzoi's tables are both read.

    Args:
        path: A tab-separated `targets.txt` with a header line.

    Returns:
        One row per track, indexed by the file's first column, with at least the columns
        `identifier`, `file`, `clip`, `scale`, `sum_stat` and `description`. `description` is
        `ASSAY:...`, for ChIP `CHIP:target:sample`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a targets table; the message names the file and the reason.

    Source: https://github.com/calico/basenji, `docs/preprocess.md` (targets table).
    """
    path = Path(path)
    text = read_text(path, "a targets table")
    _expect_rows_as_the_header_says(text, path)
    try:
        targets = pd.read_csv(
            io.StringIO(text), sep="\t", index_col=0, dtype=dict.fromkeys(_TEXT_COLUMNS, str)
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path}: not a tab-separated targets table ({_line(error)})") from None
    _validate(targets, path)
    return targets


def track_types(targets: pd.DataFrame, grouping: str = "published") -> pd.Series:
    """The type of every track, for results by type.

    The two groupings differ in ChIP tracks alone. `published` counts a track as histone only if
    its target begins with H3, and so takes 138 human tracks of H2A, H2B and H4 for transcription
    factors; `curated` counts those as histone too.

    Args:
        targets: A table from `read_targets`, or any frame with a `description` column.
        grouping: `published` or `curated`.

    Returns:
        One of `TRACK_TYPES` per track, with the table's index. RNA-seq (also 3'-end RNA-seq) is
        `RNA`; an assay that is none of these is `Other`.

    Raises:
        ValueError: If the grouping is unknown or the table has no descriptions.

    Source: `published`, the S-Enformer study's split of Enformer's 5,313 human tracks.
    """
    expect_one_of("grouping", grouping, GROUPINGS)
    if "description" not in targets:
        raise ValueError("targets has no column 'description', expected a table of read_targets")
    histone = _HISTONE_TARGET[grouping]
    return targets["description"].map(lambda text: _type_of(text, histone)).rename("track_type")


def _type_of(description: str, histone: re.Pattern[str]) -> str:
    assay, _, rest = description.partition(":")
    if assay == "CHIP":
        return "Histone ChIP" if histone.match(rest) else "TF ChIP"
    if assay.startswith("RNA"):
        return "RNA"
    return _TYPE_OF_ASSAY.get(assay, "Other")


def _validate(targets: pd.DataFrame, path: Path) -> None:
    missing = [column for column in _REQUIRED_COLUMNS if column not in targets]
    if missing:
        raise ValueError(
            f"{path}: not a targets table, column(s) {', '.join(missing)} missing, expected "
            f"a tab-separated header with {', '.join(_REQUIRED_COLUMNS)}"
        )
    if targets.empty:
        raise ValueError(f"{path}: the targets table has a header and no track")
    if targets.index.has_duplicates:
        repeated = targets.index[targets.index.duplicated()][0]
        raise ValueError(f"{path}: index {repeated} stands twice, expected one row per track")
    for column in _TEXT_COLUMNS:
        _require_text(targets[column], path)
    unknown = targets.index[~targets["sum_stat"].isin(_SUM_STATS)]
    if len(unknown):
        found = targets.loc[unknown[0], "sum_stat"]
        raise ValueError(
            f"{path}: sum_stat={found!r} for index {unknown[0]}, expected one of "
            f"{', '.join(_SUM_STATS)}"
        )
    for column in ("clip", "scale"):
        values = targets[column]
        is_number = pd.api.types.is_numeric_dtype(values) and values.dtype != bool
        if not is_number or not np.isfinite(values).all():
            raise ValueError(f"{path}: column {column} must hold a number in every row")
        if (values <= 0).any():
            label = values.index[values <= 0][0]
            raise ValueError(
                f"{path}: {column}={values[label]} for index {label}, expected more than 0"
            )


def check_track_order(targets: pd.DataFrame, path: Path) -> None:
    """Check that row `i` of a table can describe `target[..., i]` of a record.

    Args:
        targets: From `read_targets`.
        path: Of the table, for the message.

    Raises:
        ValueError: If the index does not count up by one, as Basenji2 numbers human tracks from 0
            and mouse tracks from 5,313; or the track of the other strand, where the table names
            one, does not name its own in turn.
    """
    labels = targets.index
    if not pd.api.types.is_integer_dtype(labels):
        raise ValueError(f"{path}: index {labels[0]!r}, expected whole numbers")
    out_of_order = labels[labels != labels[0] + np.arange(len(labels))]
    if len(out_of_order):
        raise ValueError(
            f"{path}: index {out_of_order[0]} is out of order, expected {labels[0]} to "
            f"{labels[0] + len(labels) - 1}, one after the other, as the records' tracks lie"
        )
    of_other_strand = strand_pairs(targets, path)
    one_sided = labels[of_other_strand[of_other_strand] != np.arange(len(labels))]
    if len(one_sided):
        raise ValueError(
            f"{path}: strand_pair={targets.loc[one_sided[0], 'strand_pair']} for index "
            f"{one_sided[0]}, expected a track of the table whose own strand_pair is {one_sided[0]}"
        )


def strand_pairs(targets: pd.DataFrame, path: Path) -> NDArray[np.intp]:
    """Tell which track is the same experiment on the other strand, `[tracks]`.

    Borzoi's tables hold stranded tracks in pairs; in Basenji2's no track has a strand, and each is
    its own pair.

    Args:
        targets: From `read_targets`; a column `strand_pair` holds labels of its index.
        path: Of the table, for the message.

    Raises:
        ValueError: If a track's pair is not in the table.
    """
    if "strand_pair" not in targets:
        return np.arange(len(targets))
    pairs = targets.index.get_indexer(pd.Index(targets["strand_pair"]))
    lost = targets.index[pairs < 0]
    if len(lost):
        raise ValueError(
            f"{path}: strand_pair={targets.loc[lost[0], 'strand_pair']} for index {lost[0]}, "
            f"expected a track of the table whose own strand_pair is {lost[0]}"
        )
    return pairs


def _expect_rows_as_the_header_says(text: str, path: Path) -> None:
    """Pandas gives a narrow row missing values, and of a wide one it makes an index."""
    header, *rows = [line for line in text.split("\n") if line] or [""]
    names = header.split("\t")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"{path}: column {min(repeated)!r} stands twice, expected each once")
    for name in names:
        if name not in _KNOWN_COLUMNS and get_close_matches(name, _KNOWN_COLUMNS, cutoff=0.75):
            [meant] = get_close_matches(name, _KNOWN_COLUMNS, n=1)
            raise ValueError(f"{path}: unknown column {name!r}, expected {meant!r}")
    for number, row in enumerate(rows):
        num_fields = len(row.split("\t"))
        if num_fields != len(names):
            raise ValueError(
                f"{path}: not a tab-separated targets table, row {number} has {num_fields} fields, "
                f"expected the header's {len(names)}"
            )


def _require_text(column: pd.Series, path: Path) -> None:
    empty = column.index[column.isna()]
    if len(empty):
        raise ValueError(f"{path}: column {column.name} is empty for index {empty[0]}")
    unreadable = column.index[~column.map(str.isprintable)]
    if len(unreadable):
        raise ValueError(
            f"{path}: {column.name}={column[unreadable[0]]!r} for index {unreadable[0]}, expected "
            "a text that can be printed"
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
