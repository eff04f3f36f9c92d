"""The kernels that TensorFlow computes with on a CPU: those of oneDNN, or its own.

TensorFlow chooses when it is imported. On Linux it takes oneDNN's where the processor has
instructions made for neural networks (VNNI, for instance), and its own on any other; Enformer as
published takes two to three times as long with the latter. So each choice is a setting of a
benchmark, whatever the processor:

* `onednn`: oneDNN's, and memory that is kept from one operation to the next.
* `own`: TensorFlow's own, and its own way with memory: the system hands out each large array anew.
* `own_pooled`: its own kernels, and memory that is kept, as `import senformer` has it.
"""

from __future__ import annotations

import argparse
import os
import sys

from senformer.tf_environment import KEEP

ENVIRONMENTS = {
    "onednn": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "own": {"TF_ENABLE_ONEDNN_OPTS": "0", KEEP: "0"},
    "own_pooled": {"TF_ENABLE_ONEDNN_OPTS": "0", KEEP: "1"},
}


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option `--kernels`, for `start_with`."""
    parser.add_argument("--kernels", default="onednn", choices=ENVIRONMENTS)


def start_with(kernels: str) -> None:
    """Go on with these kernels: from the start of the script, unless it was started with them."""
    environment = {**os.environ, **ENVIRONMENTS[kernels]}
    if environment != os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
