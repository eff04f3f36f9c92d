"""A process of its own for a measurement, which does not outlive the one that asked for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

_PIPE = "SENFORMER_PARENT_PIPE"


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess:
    """Run Python to its end, however that is; what it prints comes back as text.

    The child is given one end of a pipe of which this process holds the other and never writes to
    it. When this process ends, even by SIGKILL, the system closes the pipe, and a child that has
    called `end_with_parent` ends too. Linux and macOS do so alike.

    Args:
        arguments: Of Python, `-m` and a module's name first.
        environment: Variables that the child has beside those of this process.
    """
    watched, held = os.pipe()  # neither is inherited, unless it is passed on
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
    """End this process when the one that started it with `run` ends; call it first of all."""
    watched = os.environ.pop(_PIPE, None)  # so that no child of this one takes it for its own
    if watched is not None:
        threading.Thread(target=_end_with, args=[int(watched)], daemon=True).start()


def _end_with(watched: int) -> None:
    os.read(watched, 1)  # returns when the other end is closed
    os._exit(1)
