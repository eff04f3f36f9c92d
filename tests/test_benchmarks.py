"""Every script in `benchmarks/` runs to its end and writes what the book's tables read."""

import os
import subprocess
import sys

import pytest

from senformer.report import benchmark_tables, results
from senformer.workflow import notebooks

SHORTEST_BP = "40960"  # five blocks of 64 tokens: BigBird's least
QUICK = "attention.py alone --tokens 320 --kinds baseline bigbird --repeats 1"
SLOW = [
    "attention.py layer --tokens 320 --kinds dense bigbird_relative --modes plain --repeats 1"
    " --gradients all --kernels own",
    "cached_trunk.py --length 16384 --repeats 1",
    "pool.py --repeats 1 --kernels own_pooled",
    "receptive_field.py --preset senformer_tiny --length 16384 --positions 3 --repeats 1",
    f"whole_model.py train --length {SHORTEST_BP} --layers 1 --kinds bigbird_relative --repeats 1",
    f"whole_model.py predict --length {SHORTEST_BP} --layers 1 --kinds tiled --repeats 1",
    f"whole_model.py trunk --length {SHORTEST_BP} --layers 1 --repeats 1",
    f"whole_model.py memory --length {SHORTEST_BP} --layers 1 --kinds tiled",
]


@pytest.mark.parametrize(
    "command", [QUICK, *(pytest.param(command, marks=pytest.mark.slow) for command in SLOW)]
)
def test_a_script_writes_what_it_measured_and_how_it_was_called(command, tmp_path):
    script, *arguments = command.split()
    ended = subprocess.run(
        [sys.executable, notebooks.ROOT / "benchmarks" / script, *arguments, "--folder", tmp_path],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    (path,) = tmp_path.glob("*.csv")
    assert str(path) in ended.stdout
    rows = results.read(path)
    (kernels,) = rows["kernels"].unique()
    assert kernels in benchmark_tables.KERNELS and path.stem.endswith(f"_{kernels}")
    assert (rows[rows.columns.intersection(["seconds", "peak_memory_gb"])] > 0).all(axis=None)
    parameters = rows.attrs["provenance"]["parameters"]
    assert parameters["kernels"] == kernels
    assert "folder" not in parameters
