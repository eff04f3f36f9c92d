"""Memory of a CPU is kept, whatever the kernels, and settings that are there stay."""

import os
import subprocess
import sys

import psutil

from senformer.host_memory import KEEP, LIMIT_MB, keep_memory

ARRAY_MB = 64
PAGES_OF_ARRAY = ARRAY_MB * 2**20 // os.sysconf("SC_PAGE_SIZE")
COUNT_NEW_PAGES = f"""
import resource, senformer, tensorflow as tf
x = tf.zeros([{ARRAY_MB}, 2**18])
for _ in range(3):
    y = x + 1
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    y = x + 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(settings: dict[str, str]) -> int:
    """Pages that the system hands out while ten large arrays are made, one after another."""
    environment = {k: v for k, v in os.environ.items() if k not in (KEEP, LIMIT_MB)}
    done = subprocess.run(
        [sys.executable, "-c", COUNT_NEW_PAGES],
        env={**environment, "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "", **settings},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_arrays_lie_where_others_lay():
    assert new_pages({}) < PAGES_OF_ARRAY
    assert new_pages({KEEP: "0"}) > 5 * PAGES_OF_ARRAY  # what the setting is there for


def test_all_memory_of_the_machine_may_be_used():
    environment: dict[str, str] = {}
    keep_memory(environment)
    total = psutil.virtual_memory().total
    assert total - 2**20 < int(environment.pop(LIMIT_MB)) * 2**20 <= total
    assert environment == {KEEP: "1"}


def test_settings_that_are_there_stay():
    environment = {KEEP: "0", LIMIT_MB: "1000"}
    keep_memory(environment)
    assert environment == {KEEP: "0", LIMIT_MB: "1000"}
