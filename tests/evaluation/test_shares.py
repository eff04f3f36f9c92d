import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from noisy_records import TYPES, examples, predict

from senformer.evaluation.protocols import AGGREGATIONS, Protocol, evaluate
from senformer.evaluation.shares import share_of
from senformer.model.compute import replicas


class Workers:
    """Workers as threads, which add arrays as `replicas.sum_over_workers` does across processes."""

    def __init__(self, number, monkeypatch):
        self.number = number
        self._own = threading.local()
        self._arrays = [None] * number
        self._barrier = threading.Barrier(number, timeout=60)
        for name in ("worker", "num_workers", "sum_over_workers"):
            monkeypatch.setattr(replicas, name, getattr(self, name))

    def worker(self):
        return self._own.number

    def num_workers(self):
        return self.number

    def sum_over_workers(self, array):
        self._arrays[self.worker()] = array
        self._barrier.wait()
        total = sum(self._arrays)
        self._barrier.wait()
        return total

    def run(self, function):
        def work(number):
            self._own.number = number
            return function()

        with ThreadPoolExecutor(self.number) as pool:
            return list(pool.map(work, range(self.number)))


@pytest.mark.parametrize("num_workers", [2, 3, 7])  # the seventh has none of the six records
def test_workers_get_the_table_of_one_worker(monkeypatch, num_workers):
    records = examples()
    protocols = {
        "log": Protocol(TYPES, log1p=True),
        **{name: Protocol(TYPES, name) for name in AGGREGATIONS},
    }
    expected = evaluate(predict, records, protocols)
    workers = Workers(num_workers, monkeypatch)
    tables = workers.run(
        lambda: evaluate(predict, [records[n] for n in share_of(len(records))], protocols)
    )
    for table in tables:
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert np.isfinite(expected["pearson_r"]).any()
