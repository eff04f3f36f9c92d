"""Environment variables that TensorFlow reads at its start; `import senformer` sets them.

**The CPU allocator keeps memory** between operations. Without this setting, and without oneDNN's
kernels, which keep memory themselves, TensorFlow requests each large array from the operating
system and returns it, and the system clears every page. A layer of dense attention over 6,144
tokens then takes three times as long.

**XLA computes reductions itself.** On a CPU, XLA hands sums and maxima to a library, YNNPACK, and
prepares the library's part when a compiled function runs for the first time. Two threads that run
the same function for the first time append to one list without a lock (TensorFlow 2.21,
`DefineConstant` in `xla/backends/cpu/ynn_emitter.cc`), which may end the process with a
segmentation fault. Attention runs two heads at a time and is affected. XLA's own reductions are as
fast.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, MutableMapping

import psutil

KEEP = "TF_CPU_ALLOCATOR_USE_BFC"
"""Variable that selects, for the CPU, the allocator that TensorFlow uses on a GPU."""

LIMIT_MB = "TF_CPU_BFC_MEM_LIMIT_IN_MB"
"""Variable for the allocator's limit, in 2^20 bytes; 64 GB by default."""

BYTES_PER_MB = 2**20
"""Bytes that TensorFlow counts as one MB."""

_LINES_WITHOUT_GPU = (
    "All log messages before absl::InitializeLog|Could not find cuda drivers|"
    r"failed call to cuInit: .*\(303\)"
)
"""What TensorFlow writes on a machine without a driver for GPUs, which is no error. The number
means that there is no driver's library."""

_COPY_LINES = """
import re, sys
for line in sys.stdin.buffer:
    if not re.search(sys.argv[1].encode(), line):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
"""

_STDERR = 2

_FUSION_FLAG = "--xla_cpu_experimental_ynn_fusion_type"


def prepare(environment: MutableMapping[str, str]) -> None:
    """Add both settings to the environment of a process that has not loaded TensorFlow yet.

    Args:
        environment: Environment to change, such as `os.environ`; existing settings stay.
    """
    keep_memory(environment)
    keep_reductions_in_xla(environment)


def settings(limit_bytes: float) -> dict[str, str]:
    """Return the variables with which a process keeps CPU memory, up to a limit."""
    return {KEEP: "1", LIMIT_MB: str(int(limit_bytes / BYTES_PER_MB))}


def keep_memory(environment: MutableMapping[str, str]) -> None:
    """Let TensorFlow keep CPU memory, up to all memory of the machine.

    The process then holds its largest use until it ends, and raises `ResourceExhaustedError`
    instead of being killed. The allocator also records the peak memory that measurements read.
    TensorFlow reads the settings at its first computation.

    Args:
        environment: Environment to change, such as `os.environ`; existing settings stay.
    """
    for name, value in settings(psutil.virtual_memory().total).items():
        environment.setdefault(name, value)


def keep_reductions_in_xla(environment: MutableMapping[str, str]) -> None:
    """Add the setting to `XLA_FLAGS`, unless the flags contain it already.

    XLA reads its flags once, at its first compilation. A program that compiles its own functions
    before `import senformer` must set the flag itself.

    Args:
        environment: Environment to change, such as `os.environ`.
    """
    flags = environment.get("XLA_FLAGS", "")
    if _FUSION_FLAG not in flags:
        environment["XLA_FLAGS"] = f"{flags} {_FUSION_FLAG}=-reduce".strip()


def open_closed_streams() -> None:
    """Open /dev/null for each standard stream that is closed; call it first.

    Otherwise the next file that the process opens takes the stream's number, and what libraries
    write to the stream ends up in that file.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r", closefd=False))


def load_tensorflow() -> None:
    """Load TensorFlow without its lines about a GPU that is absent; see `filtered_stderr`."""
    if "tensorflow" in sys.modules:
        return
    with filtered_stderr() as filtered:
        stderr = os.dup(_STDERR)
        os.dup2(filtered, _STDERR)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # looks for GPUs
        finally:
            os.dup2(stderr, _STDERR)
            os.close(stderr)


@contextlib.contextmanager
def filtered_stderr() -> Iterator[int]:
    """Yield a descriptor for stderr that drops TensorFlow's lines about a GPU that is absent.

    A child process filters the lines: libraries write some of them before they read any setting,
    and an error that ends this process must still appear.
    """
    command = [sys.executable, "-IS", "-c", _COPY_LINES, _LINES_WITHOUT_GPU]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as copier:
        assert copier.stdin is not None
        yield copier.stdin.fileno()
