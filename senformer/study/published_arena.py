"""What the Long-Range Arena measured of efficient transformers: speed and memory by length.

Tay et al. 2020, Long Range Arena, table 2; the study cites it for BigBird's speed.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from senformer.study.published import TABLES, read_table

ARENA = (
    "from the Long-Range Arena's table 2 · Tay et al. 2020, arXiv 2011.04006 · byte-level text, "
    "batch 32, 4 x 4 TPU v3 chips"
)
"""The line under what is drawn from it."""

REFERENCE = "Transformer"
"""What the Arena calls the model with full attention."""


def read_long_range_arena(path: str | Path = TABLES / "long_range_arena.csv") -> pd.DataFrame:
    """Read the Arena's speed and memory, and set each model's beside the full transformer's.

    Args:
        path: CSV of columns model, tokens, steps_per_second, peak_memory_gb; by default the
            Arena's table 2.

    Returns:
        The same columns, and for each length speed_over_transformer and memory_over_transformer:
        above 1 a model is faster, or takes more memory, than the full transformer. As
        `figures.arena.speed_and_memory` takes them; `.attrs["source"]` says whose they are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column is missing, or the full transformer is at one of the lengths.
    """
    frame = read_table(path, ("model", "tokens", "steps_per_second", "peak_memory_gb"))
    full = frame[frame["model"] == REFERENCE].set_index("tokens")
    alone = sorted(set(frame["tokens"]) - set(full.index))
    if alone:
        raise ValueError(f"{path}: no model {REFERENCE!r} at {alone[0]:,} tokens, expected one")
    beside = frame.assign(
        speed_over_transformer=frame["steps_per_second"]
        / frame["tokens"].map(full["steps_per_second"]),
        memory_over_transformer=frame["peak_memory_gb"]
        / frame["tokens"].map(full["peak_memory_gb"]),
    )
    beside.attrs["source"] = ARENA
    return beside
