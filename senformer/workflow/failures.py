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


def line_for_user(error: Exception) -> str | None:
    """Return the line about an error that the user can fix.

    Args:
        error: The error that a command raised.

    Returns:
        What was found and what was expected, or None if the error is a bug.
    """
    if isinstance(error, OSError) and error.strerror is not None:  # raised by the system
        paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
        return ": ".join([" -> ".join(paths), error.strerror] if paths else [error.strerror])
    if isinstance(error, OSError):  # raised by this project, with its own message
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, ValueError) and not isinstance(error, _BUGS):
        return " ".join(str(error).split()) or None
    return None


def line_of_cell(error: PapermillExecutionError, notebook: Path) -> str:
    """Return the line about a notebook's failed cell.

    Args:
        error: The error from papermill.
        notebook: Path of the notebook with the traceback.
    """
    last = [line.strip() for line in error.evalue.splitlines() if line.strip()][-1:]
    reason = ": ".join([error.ename, *last])
    kind = getattr(builtins, error.ename, None)
    is_of_system = isinstance(kind, type) and issubclass(kind, OSError)
    if is_of_system or kind in (ValueError, MemoryError):
        return f"{reason} (see {notebook})"
    return f"{reason} (see {notebook}). {report_request()}"


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
