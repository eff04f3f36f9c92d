"""Contenders timed in turn: a machine's pace drifts, the ratio within a round does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from senformer.report.benchmark_tables import spread

MATRIX_SIZE = 2048


def time_in_turn(contenders: Mapping[Any, Callable[[], object]], repeats: int) -> pd.DataFrame:
    """Rounds of every contender once, after a first call of each that compiles.

    Prints the machine's rate of matrix products, which is measured in every round too.

    Args:
        contenders: By name, what to time; a call must not return before its work is done.
        repeats: Rounds.

    Returns:
        One row per round and contender: `round`, `contender`, `seconds`, `matrix_gflops`.
    """
    for contender in contenders.values():
        contender()
    rows = []
    for number in tqdm(range(repeats), desc="timing", unit="round"):
        rate = matrix_rate_gflops()
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender()
            seconds = time.perf_counter() - start
            rows.append((number, name, seconds, rate))
    frame = pd.DataFrame(rows, columns=["round", "contender", "seconds", "matrix_gflops"])
    print(f"matrix products: {spread(frame.drop_duplicates('round')['matrix_gflops'])} GFLOP/s")
    return frame


def matrix_rate_gflops(repeats: int = 8) -> float:
    """What the machine does on a plain product of square matrices, 10^9 operations per second."""
    matrix = tf.random.stateless_normal([MATRIX_SIZE, MATRIX_SIZE], [0, 0])
    _product(matrix)
    start = time.perf_counter()
    for _ in range(repeats):
        _product(matrix)
    return repeats * 2 * MATRIX_SIZE**3 / (time.perf_counter() - start) / 1e9


@tf.function
def _product(matrix: tf.Tensor) -> tf.Tensor:
    return matrix @ matrix
