"""Read targets tables: the tracks of a data set, and the type of each track."""

from __future__ import annotations

import io
import re
import reprlib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.config import expect_one_of
from senformer.storage.text_files import read_text

TRACK_TYPES = ("DNase/ATAC", "Histone ChIP", "TF ChIP", "CAGE", "RNA", "Other")
"""All types of `track_types`, in the order of tables and figures."""

GROUPINGS = ("published", "curated")
"""Rules for histone tracks: the study's, or the histone's name."""

NAMING_COLUMNS = ("identifier", "description")
"""The columns that name a track and tell its type."""

RECORD_COLUMNS = (*NAMING_COLUMNS, "sum_stat")
"""The columns that readers of records use."""

_TEXT_COLUMNS = (*RECORD_COLUMNS, "file")
_NUMBER_COLUMNS = ("clip", "scale")
_KNOWN_COLUMNS = (*_TEXT_COLUMNS, *_NUMBER_COLUMNS, "genome", "clip_soft", "strand_pair")

_SUM_STATS = (
    *("sum", "sum_sqrt", "sum_exp75", "mean", "avg", "mean_sqrt", "avg_sqrt"),
    *("median", "max", "peak"),
)
"""Statistics that summarise the coverage in a bin, by the names of the writing programs.

Source: calico/basenji `bin/basenji_data_read.py`, calico/baskerville `hound_data_read.py`.
"""

_TYPE_OF_ASSAY = {"DNASE": "DNase/ATAC", "ATAC": "DNase/ATAC", "CAGE": "CAGE"}

_HISTONE_TARGET = {
    "published": re.compile(r"H3"),
    "curated": re.compile(r"H(2A|2B|3|4)"),
}


def read_targets(path: str | Path, columns: Sequence[str] = RECORD_COLUMNS) -> pd.DataFrame:
    """Read a targets table, which names every track of a data set.

    Row `i` of the table describes `target[..., i]` and `prediction[..., i]`. Basenji2's and
    Borzoi's tables are accepted.

    Args:
        path: A tab-separated `targets.txt` with a header line.
        columns: The columns that the caller uses.

    Returns:
        One row per track, indexed by the file's first column, with at least `columns`.
        `description` is `ASSAY:...`, for ChIP `CHIP:target:sample`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not a targets table or lacks a column; the message names the file
            and the reason.

    Source: https://github.com/calico/basenji, `docs/preprocess.md` (targets table).
    """
    path = Path(path)
    text = read_text(path, "a targets table")
    num_tracks = _check_fields(text, path)
    try:
        targets = pd.read_csv(
            io.StringIO(text),
            sep="\t",
            index_col=0,
            dtype=dict.fromkeys(_TEXT_COLUMNS, str),
            keep_default_na=False,  # NA, null and None are texts
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: not a tab-separated targets table ({reason})") from None
    missing = [column for column in columns if column not in targets]
    if missing:
        raise ValueError(
            f"{path}: not a targets table, column(s) {', '.join(missing)} missing, expected "
            f"a tab-separated header with {', '.join(columns)}"
        )
    if targets.empty:
        raise ValueError(f"{path}: the targets table has no track")
    if len(targets) != num_tracks:
        raise ValueError(f"{path}: quotation marks span lines, expected one line per track")
    _check_values(targets, path)
    return targets


def track_types(targets: pd.DataFrame, grouping: str = "published") -> pd.Series:
    """Return the type of every track, for results by type.

    The groupings differ only in ChIP tracks. `published` requires that the target of a histone
    track begins with H3, and so assigns 138 human tracks of H2A, H2B and H4 to transcription
    factors; `curated` assigns them to histones.

    Args:
        targets: A table from `read_targets`, or any frame with a `description` column.
        grouping: `published` or `curated`.

    Returns:
        One of `TRACK_TYPES` per track, with the table's index. RNA-seq (also 3'-end RNA-seq) is
        `RNA`; all further assays are `Other`.

    Raises:
        ValueError: If the grouping is unknown or the table has no descriptions.

    Source: `published`, the S-Enformer study's split of Enformer's 5,313 human tracks.
    """
    expect_one_of("grouping", grouping, GROUPINGS)
    if "description" not in targets:
        raise ValueError("targets has no column 'description', expected a table of read_targets")
    histone = _HISTONE_TARGET[grouping]

    def find_type(description: str) -> str:
        assay, _, target = description.partition(":")
        if assay == "CHIP":
            return "Histone ChIP" if histone.match(target) else "TF ChIP"
        return "RNA" if assay.startswith("RNA") else _TYPE_OF_ASSAY.get(assay, "Other")

    return targets["description"].map(find_type).rename("track_type")


def check_track_order(targets: pd.DataFrame, path: Path) -> None:
    """Check that row `i` of a table can describe `target[..., i]` of a record.

    Args:
        targets: A table from `read_targets`.
        path: Path of the table, for the message.

    Raises:
        ValueError: If the index does not count up by one (Basenji2 numbers human tracks from 0 and
            mouse tracks from 5,313), for instance in a table of selected tracks, or two tracks of a
            strand pair do not name each other.
    """
    labels = targets.index
    if not pd.api.types.is_integer_dtype(labels):
        raise ValueError(f"{path}: index {labels[0]!r}, expected an integer")
    out_of_order = labels[labels != labels[0] + np.arange(len(labels))]
    if len(out_of_order):
        raise ValueError(
            f"{path}: index {out_of_order[0]} is out of order, expected {labels[0]} to "
            f"{labels[0] + len(labels) - 1}, each one more than the previous one: the table of all "
            "tracks, from which --tracks selects"
        )
    pairs = strand_pairs(targets, path)
    one_sided = labels[pairs[pairs] != np.arange(len(labels))]
    if len(one_sided):
        raise ValueError(_describe_pair(targets, one_sided[0], path))


def strand_pairs(targets: pd.DataFrame, path: Path) -> NDArray[np.intp]:
    """Return the position of each track's counterpart on the other strand, `[tracks]`.

    Borzoi's tables have pairs of stranded tracks. Basenji2's tracks have no strand; each is its own
    counterpart.

    Args:
        targets: A table from `read_targets`; a column `strand_pair` contains labels of its index.
        path: Path of the table, for the message.

    Raises:
        ValueError: If a track's counterpart is not in the table.
    """
    if "strand_pair" not in targets:
        return np.arange(len(targets))
    pairs = targets.index.get_indexer(pd.Index(targets["strand_pair"]))
    lost = targets.index[pairs < 0]
    if len(lost):
        raise ValueError(_describe_pair(targets, lost[0], path))
    return pairs


def _describe_pair(targets: pd.DataFrame, label: Any, path: Path) -> str:
    return (
        f"{path}: strand_pair={targets.loc[label, 'strand_pair']} for index {label}, expected a "
        f"track of the table whose own strand_pair is {label}"
    )


def _check_fields(text: str, path: Path) -> int:
    """Check the header's names and the rows' widths, which pandas accepts in any form.

    Returns:
        The number of rows.
    """
    header, *rows = [line for line in text.split("\n") if line] or [""]
    names = header.split("\t")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"{path}: column {min(repeated)!r} is repeated, expected it once")
    for name in names:
        similar = get_close_matches(name, _KNOWN_COLUMNS, n=1, cutoff=0.75)
        if name not in _KNOWN_COLUMNS and similar:
            raise ValueError(f"{path}: unknown column {name!r}, expected {similar[0]!r}")
    for number, row in enumerate(rows):
        num_fields = len(row.split("\t"))
        if num_fields != len(names):
            raise ValueError(
                f"{path}: not a tab-separated targets table, row {number} has {num_fields} fields, "
                f"expected {len(names)} as in the header"
            )
    return len(rows)


def _check_values(targets: pd.DataFrame, path: Path) -> None:
    """Check the values of all known columns, whether a caller uses them or not."""
    if targets.index.has_duplicates:
        repeated = targets.index[targets.index.duplicated()][0]
        raise ValueError(f"{path}: index {repeated} is repeated, expected one row per track")
    texts = [column for column in _TEXT_COLUMNS if column in targets]
    numbers = [column for column in _NUMBER_COLUMNS if column in targets]
    for column in numbers:
        values = targets[column]
        is_number = pd.api.types.is_numeric_dtype(values) and values.dtype != bool
        if not is_number or not np.isfinite(values).all():
            raise ValueError(f"{path}: column {column} has other values, expected finite numbers")
    checks = [
        *((column, targets[column].str.strip() != "", "a value") for column in texts),
        *((column, targets[column].map(str.isprintable), "printable text") for column in texts),
        *((column, targets[column] > 0, "more than 0") for column in numbers),
    ]
    if "sum_stat" in texts:
        is_known = targets["sum_stat"].isin(_SUM_STATS)
        checks.append(("sum_stat", is_known, f"one of {', '.join(_SUM_STATS)}"))
    for column, is_valid, expected in checks:
        if not is_valid.all():
            row = int(is_valid.to_numpy().argmin())
            label, found = targets.index[row], targets[column].tolist()[row]
            raise ValueError(
                f"{path}: {column}={reprlib.repr(found)} for index {label}, expected {expected}"
            )
