"""Check the path of an output before the work that fills it."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path


def check_output(path: Path) -> None:
    """Check that a file or folder can be written; nothing is left on the disk.

    Call it before the work whose result goes there.

    Args:
        path: The file or folder. Parents that are missing are created later.

    Raises:
        ValueError: If the path ends in no name, or is neither a file nor a folder.
        OSError: If the disk takes no file of this name there; the message names `path`.
    """
    if path.name in ("", ".."):
        raise ValueError(f"output {str(path)!r}: expected the name of a new file or folder")
    if path.is_symlink() and not path.exists():
        raise ValueError(f"{path}: a link to nothing, expected a new file or folder")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{path}: neither a file nor a folder, expected a new name")
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        with contextlib.suppress(FileNotFoundError):  # a name that is too long is another error
            path.with_name(f".{path.name}.unfinished.parts.lock").lstat()
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OSError(
            error.errno, f"cannot be written in {existing} ({error.strerror})", str(path)
        ) from None
