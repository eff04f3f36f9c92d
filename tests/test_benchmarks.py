"""Every script in `benchmarks/` runs to its end and writes what the book's tables read."""

import os
import subprocess
import sys

import pytest

from senformer.report import benchmark_tables
from senformer.workflow import notebooks

SHORTEST_BP = "40960"  # five blocks of 64 tokens: BigBird's least
QUICK = "attention.py alone --tokens 320 --kinds baseline bigbird --repeats 1"
SLOW = [
    "attention.py alone --tokens 320 --repeats 1",
    "attention.py layer --tokens 320 --kinds dense bigbird_relative --repeats 1 --gradients all",
    "cached_trunk.py --length 16384 --repeats 1",
    "receptive_field.py --preset senformer_tiny --length 16384 --positions 3 --repeats 1",
    f"whole_model.py train --length {SHORTEST_BP} --layers 1 --kinds bigbird_relative --repeats 1",
    f"whole_model.py predict --length {SHORTEST_BP} --layers 1 --kinds tiled --repeats 1",
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
    rows = benchmark_tables.read(path)
    assert (rows["seconds"] > 0).all()
    assert rows["device"].notna().all()
    parameters = rows.attrs["provenance"]["parameters"]
    assert parameters["repeats"] == 1
    assert "folder" not in parameters
