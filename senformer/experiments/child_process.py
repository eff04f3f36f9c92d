"""Run a measurement in a child process that ends with its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

_PIPE = "SENFORMER_PARENT_PIPE"


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess:
    """Run Python in a child process, wait for its end, and return its output as text.

    The child gets one end of a pipe. This process keeps the other end and never writes to it. When
    this process ends, even by SIGKILL, the system closes the pipe, and a child that called
    `end_with_parent` ends too. This holds on Linux and macOS.

    Args:
        arguments: Arguments of Python, such as `-m` and a module's name.
        environment: Variables of the child in addition to those of this process.
    """
    watched, held = os.pipe()  # a child inherits neither end unless it is passed on
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, **environment, _PIPE: str(watched)},
            pass_fds=[watched],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    finally:
        os.close(watched)
        os.close(held)


def end_with_parent() -> None:
    """End this process when the parent that started it with `run` ends; call it first."""
    watched = os.environ.pop(_PIPE, None)  # so that no child of this process uses it

    def wait_and_exit(descriptor: int) -> None:
        os.read(descriptor, 1)  # returns when the other end is closed
        os._exit(1)

    if watched is not None:
        threading.Thread(target=wait_and_exit, args=[int(watched)], daemon=True).start()
