"""Settings that TensorFlow reads when it starts: `import senformer` makes them for the process.

**Memory of a CPU is kept** from one operation to the next. Without that, and without oneDNN's
kernels, which keep memory by themselves, TensorFlow asks the system for each large array and hands
it back, and the system clears every page of it anew. A layer of self-attention over 6,144 tokens
takes three times as long that way.

**Reductions stay in XLA**, TensorFlow's compiler. On a CPU it hands sums and maxima to a library,
YNNPACK, and prepares the library's part when a compiled function runs, not when it is compiled. Two
threads that run the same function for the first time then append to one list without a lock
(TensorFlow 2.21, `DefineConstant` in `xla/backends/cpu/ynn_emitter.cc`), and the process may die of
a segmentation fault. Attention does that: its heads run two at a time. XLA's own reductions are as
fast.
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

_FUSION_FLAG = "--xla_cpu_experimental_ynn_fusion_type"


def prepare(environment: MutableMapping[str, str]) -> None:
    """Make both settings for a process that has not loaded TensorFlow yet.

    Args:
        environment: Changed: `os.environ`, or what a process is started with. A setting that is
            there stays.
    """
    keep_memory(environment)
    keep_reductions_in_xla(environment)


def settings(limit_bytes: float) -> dict[str, str]:
    """Variables by which a process keeps the memory of its CPU, up to so many bytes."""
    return {KEEP: "1", LIMIT_MB: str(int(limit_bytes / BYTES_PER_MB))}


def keep_memory(environment: MutableMapping[str, str]) -> None:
    """Let TensorFlow keep the memory of a CPU, up to all that the machine has.

    The process then holds its largest use until it ends, and fails with `ResourceExhaustedError`
    where it would have been killed. It counts its peak too, which measurements of memory read.
    TensorFlow reads the settings when it first computes.

    Args:
        environment: Changed: `os.environ`, or what a process is started with. A setting that is
            there stays.
    """
    for name, value in settings(psutil.virtual_memory().total).items():
        environment.setdefault(name, value)


def keep_reductions_in_xla(environment: MutableMapping[str, str]) -> None:
    """Add the setting to `XLA_FLAGS`, unless they speak of it already.

    XLA reads its flags once, when it first compiles: a program that compiles something of its own
    before must set the flag itself.

    Args:
        environment: Changed: `os.environ`, or what a process is started with.
    """
    flags = environment.get("XLA_FLAGS", "")
    if _FUSION_FLAG not in flags:
        environment["XLA_FLAGS"] = f"{flags} {_FUSION_FLAG}=-reduce".strip()
