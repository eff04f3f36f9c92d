"""Contenders timed in turn: a machine's pace drifts, the ratio within a round does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from tqdm import tqdm


def time_in_turn(contenders: Mapping[Any, Callable[[], object]], repeats: int) -> pd.DataFrame:
    """Rounds of every contender once, after a first call of each that compiles.

    Args:
        contenders: By name, what to time; a call must not return before its work is done.
        repeats: Rounds.

    Returns:
        One row per round and contender: `round`, `contender`, `seconds`.
    """
    for contender in contenders.values():
        contender()
    rows = []
    for number in tqdm(range(repeats), desc="timing", unit="round"):
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender()
            rows.append((number, name, time.perf_counter() - start))
    return pd.DataFrame(rows, columns=["round", "contender", "seconds"])
