"""What is said when a command cannot go on: one line for its user, or how to report a bug."""

from __future__ import annotations

import json
import platform
import traceback
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from papermill.exceptions import PapermillExecutionError

_REPORTED_LIBRARIES = ("senformer", "tensorflow", "dm-sonnet", "numpy", "pandas")

_WITHOUT_A_NAME = (UnicodeError, json.JSONDecodeError)
"""Of the errors of a value, those that name no file: whoever reads one has to say which it was."""


def line_for_user(error: Exception) -> str | None:
    """The line about what a user gave and can mend.

    Args:
        error: What a command raised.

    Returns:
        What was wrong and what was expected; nothing where the program is at fault.
    """
    if isinstance(error, OSError):
        return _line_of_system(error)
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, ValueError) and not isinstance(error, _WITHOUT_A_NAME):
        return " ".join(str(error).split()) or None
    return None


def line_of_cell(error: PapermillExecutionError, notebook: Path) -> str:
    """The line about a notebook's cell that failed.

    Args:
        error: What running the notebook raised.
        notebook: Where it was kept, with the traceback.
    """
    last = [line.strip() for line in error.evalue.splitlines() if line.strip()][-1:]
    reason = ": ".join([error.ename, *last])
    if error.ename in _names_of_users_errors():
        return f"{reason} (see {notebook})"
    return f"{reason} (see {notebook}). {how_to_report()}"


def bug_report(error: Exception) -> str:
    """The traceback of an error that no user can have caused, and where to send it."""
    return f"{''.join(traceback.format_exception(error))}\nsenformer: {how_to_report()}"


def how_to_report() -> str:
    """A line for whoever meets a bug: where to report it, and with which versions."""
    versions = [f"Python {platform.python_version()}", platform.platform()]
    for name in _REPORTED_LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    return (
        "This is a bug. Please report it among the issues of the repository that you have this "
        f"from, with the command, the traceback and these versions: {', '.join(versions)}"
    )


def _line_of_system(error: OSError) -> str:
    if error.strerror is None:  # raised here, with a sentence of its own
        return " ".join(str(error).split())
    paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
    return ": ".join([" -> ".join(paths), error.strerror] if paths else [error.strerror])


def _names_of_users_errors() -> set[str]:
    kinds: list[type[BaseException]] = [ValueError, MemoryError, OSError]
    for kind in kinds:
        if issubclass(kind, OSError):
            kinds += [below for below in kind.__subclasses__() if below.__module__ == "builtins"]
    return {kind.__name__ for kind in kinds}
