"""What the study of S-Enformer and the paper of Enformer state, each value with its source."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

STUDY = "Currie 2022, Predicting gene expression from sequence using sparse-attention"
STUDY_CODE = "Currie 2022, github.com/Currie32/s-enformer, commit d273c32"
AVSEC = "Avsec et al. 2021, Nature Methods, doi 10.1038/s41592-021-01252-x"
OURS = "this project, on the published code (TensorFlow's CPU allocator, two cores)"

SEQUENCE_LENGTHS_BP = tuple(range(131_072, 786_432 + 1, 65_536))
"""The eleven input lengths of the study's memory and runtime figures."""

TRACK_TYPE_NAMES = {
    "dnase_atac": "DNase/ATAC",
    "chip_tf": "TF ChIP",
    "chip_histone": "Histone ChIP",
    "cage": "CAGE",
}
"""The study's names of track types, and ours."""


@dataclass(frozen=True)
class Claim:
    """One thing that a publication states.

    Attributes:
        key: a short name, `topic.what`, by which prose and tests ask for it.
        statement: the claim in a sentence of ours.
        value: its number, or None where the source gives words only.
        unit: the number's unit, empty where it has none.
        source: who states it and where.
    """

    key: str
    statement: str
    value: float | None
    unit: str
    source: str


def claim(key: str) -> Claim:
    """Look one claim up, for a sentence or a line in a figure.

    Raises:
        KeyError: if there is no claim of that key.
    """
    for entry in CLAIMS:
        if entry.key == key:
            return entry
    raise KeyError(f"no published claim {key!r}; there are {', '.join(c.key for c in CLAIMS)}")


def claims() -> pd.DataFrame:
    """Give every claim as a row: key, statement, value, unit, source."""
    return pd.DataFrame([asdict(entry) for entry in CLAIMS])


def read_correlation_per_sequence(path: str | Path) -> pd.DataFrame:
    """Read the study's per-sequence correlations under our names of track types.

    Args:
        path: CSV of columns sequence, track_type (a key of `TRACK_TYPE_NAMES`),
            enformer_pearson_r, senformer_pearson_r.

    Returns:
        The same columns, as `evaluation.compare_per_sequence` and `figures.correlation` take them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column is missing or a track type is none of the study's.
    """
    columns = ("sequence", "track_type", "enformer_pearson_r", "senformer_pearson_r")
    frame = _read(path, columns)
    unknown = sorted(set(frame["track_type"]) - set(TRACK_TYPE_NAMES))
    if unknown:
        expected = ", ".join(TRACK_TYPE_NAMES)
        raise ValueError(f"{path}: track_type {unknown[0]!r}; expected one of {expected}")
    return frame.assign(track_type=frame["track_type"].map(TRACK_TYPE_NAMES))


def read_receptive_field(path: str | Path) -> pd.DataFrame:
    """Read the study's receptive-field curves, one row per mutation, bin and model.

    Args:
        path: CSV of columns mutation_position_bp, bin, enformer_abs_change, senformer_abs_change.

    Returns:
        Columns mutation_position_bp, bin, bin_start_bp, model, abs_change, as
        `figures.receptive_field` takes them; bins are those of Enformer's 196,608 bp.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column is missing.
    """
    models = {"enformer_abs_change": "Enformer", "senformer_abs_change": "S-Enformer"}
    frame = _read(path, ("mutation_position_bp", "bin", *models))
    first_bin_start_bp = (196_608 - 896 * 128) // 2
    tidy = frame.melt(
        id_vars=["mutation_position_bp", "bin"],
        value_vars=list(models),
        var_name="model",
        value_name="abs_change",
    )
    return tidy.assign(
        model=tidy["model"].map(models), bin_start_bp=first_bin_start_bp + 128 * tidy["bin"]
    )


def memory() -> pd.DataFrame:
    """Give the published points of the memory figure, in the columns of `figures.memory`.

    `origin` says which are the study's own statements ("study") and which are our measurements of
    the published code ("published code"). The study trained 786,432 bp with sparse attention on a
    24 GB card without saying in the text how much of it was used: that row is an upper bound
    (`status` "at_most").
    """
    study = {"trainable": "attention", "origin": "study", "device": "RTX 6000, 24 GB"}
    code = {
        "trainable": "attention",
        "origin": "published code",
        "device": "two CPU cores",
        "status": "ok",
    }
    dense_out = claim("memory.dense_out_of_memory_bp")
    sparse_fits = claim("memory.bigbird_trains_bp")
    budget = claim("memory.budget_gb")
    rows = [
        {
            "attention": "dense",
            "sequence_length_bp": dense_out.value,
            "peak_memory_gb": None,
            "status": "out_of_memory",
            **study,
        },
        {
            "attention": "bigbird",
            "sequence_length_bp": sparse_fits.value,
            "peak_memory_gb": budget.value,
            "status": "at_most",
            **study,
        },
    ]
    for attention in ("dense", "bigbird"):
        for length in (131_072, 262_144, 393_216):
            rows.append(
                {
                    "attention": attention,
                    "sequence_length_bp": length,
                    "peak_memory_gb": claim(f"memory.code_{attention}_{length}bp_gb").value,
                    "resident_memory_gb": claim(f"memory.code_{attention}_resident_gb").value,
                    **code,
                }
            )
    frame = pd.DataFrame(rows).assign(num_transformer_layers=11, channels=1536)
    return frame.astype({"sequence_length_bp": int})


def _read(path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of published results")
    frame = pd.read_csv(path)
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r}; expected {', '.join(columns)}")
    return frame


def _study(key: str, statement: str, value: float | None, unit: str, where: str) -> Claim:
    return Claim(key, statement, value, unit, f"{STUDY}, {where}")


def _ours(key: str, statement: str, value: float, unit: str) -> Claim:
    return Claim(key, statement, value, unit, OURS)


CLAIMS: tuple[Claim, ...] = (
    _study("memory.budget_gb", "The study's graphics card has 24 GB.", 24, "GB", "Results"),
    _study(
        "memory.dense_out_of_memory_bp",
        "Self-attention runs out of 24 GB at this input length.",
        589_824,
        "bp",
        "Results, Figure 1",
    ),
    _study(
        "memory.bigbird_trains_bp",
        "Sparse attention trains at this input length within 24 GB.",
        786_432,
        "bp",
        "Results, Figure 1",
    ),
    _study(
        "memory.crossover_bp",
        "Below about this input length self-attention needs less memory than sparse attention.",
        300_000,
        "bp",
        "Results, Figure 2",
    ),
    _ours(
        "memory.code_dense_131072bp_gb",
        "Peak memory of the published self-attention model at 131,072 bp.",
        3.01,
        "GB",
    ),
    _ours(
        "memory.code_dense_262144bp_gb",
        "Peak memory of the published self-attention model at 262,144 bp.",
        5.48,
        "GB",
    ),
    _ours(
        "memory.code_dense_393216bp_gb",
        "Peak memory of the published self-attention model at 393,216 bp.",
        8.73,
        "GB",
    ),
    _ours(
        "memory.code_bigbird_131072bp_gb",
        "Peak memory of the published S-Enformer at 131,072 bp.",
        4.37,
        "GB",
    ),
    _ours(
        "memory.code_bigbird_262144bp_gb",
        "Peak memory of the published S-Enformer at 262,144 bp.",
        6.89,
        "GB",
    ),
    _ours(
        "memory.code_bigbird_393216bp_gb",
        "Peak memory of the published S-Enformer at 393,216 bp.",
        9.48,
        "GB",
    ),
    _ours(
        "memory.code_dense_resident_gb",
        "Of the published self-attention model's peak, weights and optimiser.",
        1.7,
        "GB",
    ),
    _ours(
        "memory.code_bigbird_resident_gb",
        "Of the published S-Enformer's peak, weights and optimiser.",
        2.1,
        "GB",
    ),
)
"""Every published value that the report compares itself with."""
