"""Describe why a command failed: one line for its user, or how to report a bug."""

from __future__ import annotations

import builtins
import json
import platform
import traceback
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from papermill.exceptions import PapermillExecutionError

_REPORTED_LIBRARIES = ("senformer", "tensorflow", "dm-sonnet", "numpy", "pandas")

_BUGS = (UnicodeError, json.JSONDecodeError)
"""Subclasses of ValueError that name no file: the code that reads a file must catch them."""

_OUT_OF_MEMORY = "ResourceExhaustedError"
"""TensorFlow's error; its name, because importing it takes seconds."""

_LONGEST_LINE = 1000


class NotebookError(RuntimeError):
    """A notebook failed; the message is the line for the user."""


def line_for_user(error: Exception) -> str | None:
    """Return the line about an error that the user can fix.

    Args:
        error: The error that a command raised.

    Returns:
        What was found and what was expected, or None if the error is a bug.
    """
    line = None
    if isinstance(error, OSError) and error.strerror is not None:  # raised by the system
        paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
        line = ": ".join([" -> ".join(paths), error.strerror] if paths else [error.strerror])
    elif is_out_of_memory(error):
        line = "out of memory"
    elif isinstance(error, OSError | ValueError | NotebookError) and not isinstance(error, _BUGS):
        line = str(error)
    return _shorten(" ".join(line.split())) if line else None


def is_out_of_memory(error: Exception) -> bool:
    """Return whether Python or TensorFlow could not allocate memory."""
    return isinstance(error, MemoryError) or type(error).__name__ == _OUT_OF_MEMORY


def line_of_notebook(error: BaseException, notebook: Path) -> str | None:
    """Return the line about a notebook that failed, or None if another error stopped it.

    Args:
        error: The error from papermill.
        notebook: Path of the notebook with the outputs until the error, if it exists.
    """
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        return _line_of_cell(error, notebook)
    if not isinstance(error, RuntimeError):  # as jupyter_client and nbclient raise for a kernel
        return None
    cells = json.loads(notebook.read_text("utf-8"))["cells"] if notebook.exists() else []
    started = [n for n, cell in enumerate(cells, 1) if cell["metadata"]["papermill"]["start_time"]]
    if not started:
        return f"{notebook.name.split('.')[0]}: the kernel did not start ({error})"
    return (
        f"the kernel died in cell {started[-1]}, probably because it ran out of memory "
        f"(see {notebook})"
    )


def _line_of_cell(error: PapermillExecutionError, notebook: Path) -> str:
    last = [line.strip() for line in error.evalue.splitlines() if line.strip()][-1:]
    reason = _shorten(": ".join([error.ename, *last]))
    kind = getattr(builtins, error.ename, None)
    is_of_system = isinstance(kind, type) and issubclass(kind, OSError)
    if is_of_system or kind in (ValueError, MemoryError) or error.ename == _OUT_OF_MEMORY:
        return f"{reason} (see {notebook})"
    return f"{reason} (see {notebook}). {report_request()}"


def _shorten(line: str) -> str:
    """Return a line without its middle if it is very long, such as a value of megabytes."""
    half = _LONGEST_LINE // 2
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


def bug_report(error: Exception) -> str:
    """Return the traceback of a bug and a request to report it."""
    return f"{''.join(traceback.format_exception(error))}\nsenformer: {report_request()}"


def report_request() -> str:
    """Return a line that asks to report a bug, with the versions to name."""
    versions = [f"Python {platform.python_version()}", platform.platform()]
    for name in _REPORTED_LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    return (
        "This is a bug. Please report it as an issue of the repository, with the command, the "
        f"traceback and these versions: {', '.join(versions)}"
    )
