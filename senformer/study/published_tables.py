"""Read the tables that others published: the study's stored results and the Long-Range Arena."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from senformer.config import BIN_SIZE_BP
from senformer.study.claims import (
    CODE_LENGTHS_BP,
    SEQUENCE_LENGTH_BP,
    TARGET_LENGTH,
    TRACK_TYPE_NAMES,
    get_value,
)

TABLES = Path(__file__).parent / "tables"
"""Folder of the published tables; its README names their sources."""

STORED = "from the study's stored results · Currie 2022, code, commit d273c32"
"""Caption of figures and tables that are made from the study's stored results."""

ARENA = (
    "from the Long-Range Arena's table 2 · Tay et al. 2020, arXiv 2011.04006 · byte-level text, "
    "batch 32, 4 x 4 TPU v3 chips"
)
"""Caption of figures and tables that are made from the Long-Range Arena's table."""

FULL_TRANSFORMER = "Transformer"
"""Name of the model with dense attention in the Long-Range Arena."""


def read_correlation_per_sequence(
    path: str | Path = TABLES / "correlation_per_sequence.csv",
) -> pd.DataFrame:
    """Read the study's per-sequence correlations, with this project's names of track types.

    Args:
        path: CSV with columns sequence, track_type (a key of `TRACK_TYPE_NAMES`),
            enformer_pearson_r, senformer_pearson_r; by default the study's stored results.

    Returns:
        The same columns, as `compare_per_sequence` takes them; `.attrs["source"]` is the caption.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing or a track type is unknown.
    """
    frame = read_table(
        path, ("sequence", "track_type", "enformer_pearson_r", "senformer_pearson_r")
    )
    unknown = sorted(set(frame["track_type"]) - set(TRACK_TYPE_NAMES))
    if unknown:
        expected = ", ".join(TRACK_TYPE_NAMES)
        raise ValueError(f"{path}: track_type {unknown[0]!r}; expected one of {expected}")
    named = frame.assign(track_type=frame["track_type"].map(TRACK_TYPE_NAMES))
    named.attrs |= {"source": STORED, "file": Path(path).name}
    return named


def read_receptive_field(path: str | Path = TABLES / "receptive_field.csv") -> pd.DataFrame:
    """Read the study's receptive-field curves, one row per mutated position, bin and model.

    Args:
        path: CSV with columns mutation_position_bp, bin, enformer_abs_change,
            senformer_abs_change; by default the study's stored results.

    Returns:
        Columns mutation_position_bp, bin, bin_start_bp, model, abs_change. Bins are those of
        Enformer's 196,608 bp. `.attrs["source"]` is the caption.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing.
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


def read_long_range_arena(path: str | Path = TABLES / "long_range_arena.csv") -> pd.DataFrame:
    """Read the Long-Range Arena's speed and memory, and compare each model with the Transformer.

    Args:
        path: CSV with columns model, tokens, steps_per_second, peak_memory_gb; by default table 2
            of Tay et al. 2020.

    Returns:
        The same columns, and speed_over_transformer and memory_over_transformer, ratios to the
        full Transformer at the same length. `.attrs["source"]` is the caption.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, or the full Transformer is missing at a length.
    """
    frame = read_table(path, ("model", "tokens", "steps_per_second", "peak_memory_gb"))
    full = frame[frame["model"] == FULL_TRANSFORMER].set_index("tokens")
    missing = sorted(set(frame["tokens"]) - set(full.index))
    if missing:
        raise ValueError(
            f"{path}: no model {FULL_TRANSFORMER!r} at {missing[0]:,} tokens, expected one"
        )
    speed = frame["steps_per_second"] / frame["tokens"].map(full["steps_per_second"])
    memory = frame["peak_memory_gb"] / frame["tokens"].map(full["peak_memory_gb"])
    compared = frame.assign(speed_over_transformer=speed, memory_over_transformer=memory)
    compared.attrs["source"] = ARENA
    return compared


def published_memory() -> pd.DataFrame:
    """Return the published points of the memory figure, in the columns of measured memory.

    Column `origin` tells the study's own statements ("study") from this project's measurements of
    the study's code ("published code"). The study trained 786,432 bp with sparse attention on a
    24 GB card but does not state how much memory that took: that row is an upper bound (`status`
    "at_most").
    """
    study = {"origin": "study", "device": "RTX 6000, 24 GB"}
    code = {"origin": "published code", "device": "two CPU cores", "status": "ok"}
    rows: list[dict[str, object]] = [
        {
            "attention": "dense",
            "sequence_length_bp": get_value("memory.dense_out_of_memory_bp"),
            "peak_memory_gb": None,
            "status": "out_of_memory",
            **study,
        },
        {
            "attention": "bigbird",
            "sequence_length_bp": get_value("memory.bigbird_trains_bp"),
            "peak_memory_gb": get_value("memory.budget_gb"),
            "status": "at_most",
            **study,
        },
    ]
    rows += [
        {
            "attention": attention,
            "sequence_length_bp": length_bp,
            "peak_memory_gb": get_value(f"memory.code_{attention}_{length_bp}bp_gb"),
            "resident_memory_gb": get_value(f"memory.code_{attention}_resident_gb"),
            **code,
        }
        for attention in ("dense", "bigbird")
        for length_bp in CODE_LENGTHS_BP
    ]
    frame = pd.DataFrame(rows).assign(
        num_transformer_layers=11, channels=1536, trainable="attention"
    )
    return frame.astype({"sequence_length_bp": int})


def published_correlation() -> pd.DataFrame:
    """Return the numbers of the study's Figure 6.

    Returns:
        One row per track type: track_type, pearson_r, share_senformer_ahead (a fraction).
    """
    return pd.DataFrame(
        {
            "track_type": track_type,
            "pearson_r": get_value(f"correlation.{name}_pearson_r"),
            "share_senformer_ahead": get_value(f"correlation.{name}_ahead_percent") / 100,
        }
        for name, track_type in TRACK_TYPE_NAMES.items()
    )


def read_table(path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a published CSV file and check its columns.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing.
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
