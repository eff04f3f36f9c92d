"""Small records whose prediction is the experiment plus noise."""

from __future__ import annotations

import numpy as np

TYPES = ["CAGE", "DNase/ATAC", "CAGE", "TF ChIP", "CAGE"]
"""The track types of `examples`."""


def examples(num_sequences: int = 6, bins: int = 16, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Return records whose `sequence` is what `predict` returns; track 4 is constant."""
    random = np.random.default_rng(seed)
    level = 10.0 ** np.arange(len(TYPES))  # tracks differ in level, as real ones do
    records = []
    for _ in range(num_sequences):
        target = random.gamma(1.0, size=(bins, len(TYPES))) * level
        target[:, 4] = 3.0
        noise = random.gamma(1.0, size=target.shape) * level
        records.append(
            {"sequence": (target + noise).astype(np.float32), "target": target.astype(np.float32)}
        )
    return records


def predict(sequence: np.ndarray) -> np.ndarray:
    return sequence


def all_of(records: list[dict[str, np.ndarray]], key: str) -> np.ndarray:
    return np.stack([record[key] for record in records]).astype(np.float64)


def corr(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(np.ravel(x), np.ravel(y))[0, 1])
