"""A setting of TensorFlow by which a CPU's memory is kept from one operation to the next.

Without it, and without oneDNN's kernels, which keep memory by themselves, TensorFlow asks the
system for each large array and hands it back, and the system clears every page of it anew. A layer
of self-attention over 6,144 tokens takes three times as long that way.
"""

from __future__ import annotations

from collections.abc import MutableMapping

import psutil

KEEP = "TF_CPU_ALLOCATOR_USE_BFC"
"""Whether the allocator that TensorFlow uses on a GPU serves the CPU too."""

LIMIT_MB = "TF_CPU_BFC_MEM_LIMIT_IN_MB"
"""How much it may give out, in 2^20 bytes; 64 GB if nothing is set."""

BYTES_PER_MB = 2**20
"""What TensorFlow counts as a MB."""


def settings(limit_bytes: float) -> dict[str, str]:
    """Variables by which a process keeps the memory of its CPU, up to so many bytes."""
    return {KEEP: "1", LIMIT_MB: str(int(limit_bytes / BYTES_PER_MB))}


def keep_memory(environment: MutableMapping[str, str]) -> None:
    """Let TensorFlow keep the memory of a CPU, up to all that the machine has.

    `import senformer` does this for the process, which then holds its largest use until it ends,
    and fails with `ResourceExhaustedError` where it would have been killed. It counts its peak too,
    see `senformer.profiling`. TensorFlow reads the settings when it first computes.

    Args:
        environment: Changed: `os.environ`, or what a process is started with. A setting that is
            there stays.
    """
    for name, value in settings(psutil.virtual_memory().total).items():
        environment.setdefault(name, value)
