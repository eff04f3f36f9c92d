"""What the study of S-Enformer and the paper of Enformer state, looked up and read.

The values themselves stand in `senformer.study.published_claims`; measurements that the study
stored lie beside, in `published_tables`, whose README says where each is from.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from senformer.config import BIN_SIZE_BP
from senformer.study.published_claims import CLAIMS, TRACK_TYPE_NAMES
from senformer.study.published_costs import CODE_LENGTHS_BP
from senformer.study.published_sources import STUDY_CODE, Claim

TABLES = Path(__file__).parent / "tables"
"""Folder of the tables that others measured."""

STORED = f"from the study's stored results · {STUDY_CODE}"
"""The line under what is drawn or computed from them."""

SEQUENCE_LENGTHS_BP = tuple(range(131_072, 786_432 + 1, 65_536))
"""The eleven input lengths of the study's memory and runtime figures."""

SEQUENCE_LENGTH_BP = 196_608
"""Enformer's input length, and the study's wherever it is not said to vary."""

TARGET_LENGTH = 896
"""Bins that Enformer predicts."""


def claim(key: str) -> Claim:
    """Look one claim up, for a sentence or a line in a figure.

    Raises:
        KeyError: if there is no claim of that key.
    """
    for entry in CLAIMS:
        if entry.key == key:
            return entry
    raise KeyError(f"no published claim {key!r}; there are {', '.join(c.key for c in CLAIMS)}")


def value(key: str) -> float:
    """Look the number of a claim up.

    Raises:
        KeyError: if there is no claim of that key.
        ValueError: if the source states it in words only.
    """
    number = claim(key).value
    if number is None:
        raise ValueError(f"published claim {key!r} has no number")
    return number


def read_correlation_per_sequence(
    path: str | Path = TABLES / "correlation_per_sequence.csv",
) -> pd.DataFrame:
    """Read the study's per-sequence correlations under our names of track types.

    Args:
        path: CSV of columns sequence, track_type (a key of `TRACK_TYPE_NAMES`),
            enformer_pearson_r, senformer_pearson_r; by default what the study stored.

    Returns:
        The same columns, as `compare_per_sequence` and `figures.accuracy.correlation` take them;
        `.attrs["source"]` says whose they are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column is missing or a track type is none of the study's.
    """
    columns = ("sequence", "track_type", "enformer_pearson_r", "senformer_pearson_r")
    frame = read_table(path, columns)
    unknown = sorted(set(frame["track_type"]) - set(TRACK_TYPE_NAMES))
    if unknown:
        expected = ", ".join(TRACK_TYPE_NAMES)
        raise ValueError(f"{path}: track_type {unknown[0]!r}; expected one of {expected}")
    named = frame.assign(track_type=frame["track_type"].map(TRACK_TYPE_NAMES))
    named.attrs |= {"source": STORED, "file": Path(path).name}
    return named


def read_receptive_field(path: str | Path = TABLES / "receptive_field.csv") -> pd.DataFrame:
    """Read the study's receptive-field curves, one row per mutation, bin and model.

    Args:
        path: CSV of columns mutation_position_bp, bin, enformer_abs_change, senformer_abs_change;
            by default what the study stored.

    Returns:
        Columns mutation_position_bp, bin, bin_start_bp, model, abs_change, as
        `figures.reach.receptive_field` takes them; bins are those of Enformer's 196,608 bp.
        `.attrs["source"]` says whose they are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column is missing.
    """
    models = {"enformer_abs_change": "Enformer", "senformer_abs_change": "S-Enformer"}
    frame = read_table(path, ("mutation_position_bp", "bin", *models))
    first_bin_start_bp = (SEQUENCE_LENGTH_BP - TARGET_LENGTH * BIN_SIZE_BP) // 2
    tidy = frame.melt(
        id_vars=["mutation_position_bp", "bin"],
        value_vars=list(models),
        var_name="model",
        value_name="abs_change",
    )
    curves = tidy.assign(
        model=tidy["model"].map(models), bin_start_bp=first_bin_start_bp + BIN_SIZE_BP * tidy["bin"]
    )
    curves.attrs |= {"source": STORED, "file": Path(path).name}
    return curves


def memory() -> pd.DataFrame:
    """Give the published points of the memory figure, in the columns of `figures.cost.memory`.

    `origin` says which are the study's own statements ("study") and which are our measurements of
    the published code ("published code"). The study trained 786,432 bp with sparse attention on a
    24 GB card without saying in the text how much of it was used: that row is an upper bound
    (`status` "at_most").
    """
    study = {"trainable": "attention", "origin": "study", "device": "RTX 6000, 24 GB"}
    code = {"trainable": "attention", "origin": "published code", "device": "two CPU cores"}
    rows: list[dict[str, object]] = [
        {
            "attention": "dense",
            "sequence_length_bp": value("memory.dense_out_of_memory_bp"),
            "peak_memory_gb": None,
            "status": "out_of_memory",
            **study,
        },
        {
            "attention": "bigbird",
            "sequence_length_bp": value("memory.bigbird_trains_bp"),
            "peak_memory_gb": value("memory.budget_gb"),
            "status": "at_most",
            **study,
        },
    ]
    for attention in ("dense", "bigbird"):
        for length in CODE_LENGTHS_BP:
            rows.append(
                {
                    "attention": attention,
                    "sequence_length_bp": length,
                    "peak_memory_gb": value(f"memory.code_{attention}_{length}bp_gb"),
                    "resident_memory_gb": value(f"memory.code_{attention}_resident_gb"),
                    "status": "ok",
                    **code,
                }
            )
    frame = pd.DataFrame(rows).assign(num_transformer_layers=11, channels=1536)
    return frame.astype({"sequence_length_bp": int})


def per_sequence_comparison() -> pd.DataFrame:
    """Give the study's Figure 6 in the columns of `compare_per_sequence`.

    Returns:
        One row per track type: track_type, pearson_r, share_senformer_ahead (a fraction).
    """
    rows = []
    for name, track_type in TRACK_TYPE_NAMES.items():
        rows.append(
            {
                "track_type": track_type,
                "pearson_r": value(f"correlation.{name}_pearson_r"),
                "share_senformer_ahead": value(f"correlation.{name}_ahead_percent") / 100,
            }
        )
    return pd.DataFrame(rows)


def read_table(path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table that others measured, as it stands in its file.

    Args:
        path: CSV with a head.
        columns: what it must have.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of published results")
    frame = pd.read_csv(path)
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r}; expected {', '.join(columns)}")
    frame.attrs["file"] = path.name
    return frame
