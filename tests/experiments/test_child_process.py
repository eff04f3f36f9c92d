import contextlib
import subprocess
import sys
import time

import psutil
import pytest

from senformer.experiments import child_process

CHILD = """
import os, time
from senformer.experiments import child_process
child_process.end_with_parent()
print(os.environ["TEXT"], flush=True)
time.sleep(float(os.environ["SECONDS"]))
"""

# Programs of a process that waits for its child.
PARENTS = {
    "any child": f"""
from senformer.experiments import child_process
child_process.run(["-c", {CHILD!r}], {{"TEXT": "", "SECONDS": "600"}})
""",
    "a measurement": """
from senformer.experiments.memory_and_time import measurements
from senformer.experiments.memory_and_time.grid import Measurement
sizes = {"num_transformer_layers": 1, "channels": 256, "sequence_length_bp": 32_768}
measurements.measure(Measurement(attention="dense", steps=100_000, **sizes))
""",
}


def test_run_returns_output_and_status():
    done = child_process.run(["-c", CHILD], {"TEXT": "hello", "SECONDS": "0"})
    assert (done.returncode, done.stdout) == (0, "hello\n")
    failed = child_process.run(["-c", "import sys; sys.exit('why')"], {})
    assert (failed.returncode, failed.stderr) == (1, "why\n")


def test_end_with_parent_ignores_other_parents():
    alone = "from senformer.experiments import child_process as c; c.end_with_parent(); print(1)"
    assert subprocess.run([sys.executable, "-c", alone], check=False).returncode == 0


@pytest.mark.parametrize("parent", PARENTS)
def test_child_ends_with_killed_parent(parent):
    killed = subprocess.Popen([sys.executable, "-c", PARENTS[parent]])
    [child] = wait_until(lambda: psutil.Process(killed.pid).children())
    killed.kill()
    killed.wait()
    try:
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def wait_until(condition):
    deadline = time.monotonic() + 60  # enough on a busy machine
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found
