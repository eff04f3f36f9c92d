"""Write files completely or not at all, by one process at a time, on a disk with enough room."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock

from senformer.storage.text_files import add_path_to_errors

UNFINISHED = ".unfinished"
"""The folder for unfinished files. It holds one file at a time, so that the next process replaces
what a killed one left. It is a folder because some libraries write further files before they rename
one."""

_EARLIER = "earlier"
"""Name, in the hidden folder of `work_folder`, of a folder that is being replaced."""

_BYTES_PER_GB = 1e9
_READ_AND_WRITE = 0o666

_SECONDS_BEFORE_MESSAGE = 5.0


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` once it is complete and on the disk.

    Args:
        path: The file; its folder is created.

    Raises:
        OSError: If the file cannot be written, for instance because the disk is full; the message
            names `path`, and an earlier file stays.
    """
    folder = path.parent / UNFINISHED
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            unfinished = folder / path.name
            try:
                yield unfinished
                # Some libraries restrict files to their owner, but a group shares a run's models.
                unfinished.chmod(folder.stat().st_mode & _READ_AND_WRITE)
                _flush(unfinished)
                unfinished.replace(path)
                _flush(path.parent)  # keeps the name if the power supply fails
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{path}: not written, an earlier file is unchanged ({reason})") from error


@contextlib.contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces `path` once it is complete.

    Whenever the process is killed, the earlier folder or the new one stays complete. If that
    happens between two renames, the earlier one waits in the hidden folder of `work_folder` until
    `repair_folder` or the next call puts it back.

    Args:
        path: The folder; its parent is created. Other temporary files can lie next to the yielded
            folder.

    Raises:
        FileExistsError: If `path` is a file or a link.
        OSError: If the folder cannot be written; an earlier folder stays.
    """
    with work_folder(path) as folder:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise FileExistsError(f"{path}: is a file or a link, expected a folder or a new name")
        new = folder / "new"
        new.mkdir()
        yield new
        if path.exists():
            path.rename(folder / _EARLIER)
        try:
            new.rename(path)
        except OSError:
            _put_back(path)
            raise


@contextlib.contextmanager
def work_folder(path: Path) -> Iterator[Path]:
    """Yield an empty hidden folder next to `path`, for files that are needed to write `path`.

    Unlike a folder in `/tmp`, it does not outlive the next process that writes `path`. Only one
    process at a time has it; others wait.

    Args:
        path: The file or folder to write; its parent is created.
    """
    folder = _hidden_folder(path)
    with lock(path), add_path_to_errors(path):
        _put_back(path)  # a killed process may have left both folders
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def repair_folder(path: Path) -> None:
    """Put back the folder that a killed process was replacing, and remove what it left.

    Call it before you read a folder of `replace_folder`, or look for files next to it.
    """
    if _hidden_folder(path).exists() or _lock_file(path).exists():
        with work_folder(path):  # repairs; a running process holds it
            pass


def _put_back(path: Path) -> None:
    earlier = _hidden_folder(path) / _EARLIER
    if earlier.exists() and not path.exists():
        earlier.rename(path)


def remove_leftover(folder: Path) -> None:
    """Remove the unfinished file that a killed process left in a folder."""
    unfinished = folder / UNFINISHED
    if any(folder.glob(f"{UNFINISHED}*")):  # the folder, or its lock alone
        with lock(unfinished):  # a running process holds it
            shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Lock a path, which need not exist, for this process; other processes wait.

    Lock a path before you check whether a file exists and create it. The kernel releases the lock
    of a process that dies. A process that waits for some seconds prints a message.

    Args:
        path: The path. The lock is a hidden file in the same folder, which is removed afterwards.
    """
    file = _lock_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    held = filelock.FileLock(file)
    try:
        held.acquire(timeout=_SECONDS_BEFORE_MESSAGE)
    except filelock.Timeout:
        print(f"{path}: waiting for the process that uses it", file=sys.stderr)
        held.acquire()
    try:
        yield
    finally:
        # Remove the file before the release: a waiting process notices and creates another one.
        file.unlink(missing_ok=True)
        held.release()


def check_free_space(path: Path, num_bytes: int) -> None:
    """Check that the disk has room before work begins.

    Args:
        path: The file or folder to write, which need not exist.
        num_bytes: Size of the file or folder.

    Raises:
        OSError: If the disk has less room; the message names `path`, the needed and the free space.
    """
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    num_free = shutil.disk_usage(existing).free
    if num_bytes > num_free:
        raise OSError(
            f"{path}: needs {num_bytes / _BYTES_PER_GB:.3g} GB, but only "
            f"{num_free / _BYTES_PER_GB:.3g} GB are free"
        )


def _hidden_folder(path: Path) -> Path:
    """Return the folder of `work_folder`."""
    return _sibling(path, f".{path.name}{UNFINISHED}")


def _lock_file(path: Path) -> Path:
    return _sibling(path, f".{path.name.lstrip('.')}.lock")


def _sibling(path: Path, name: str) -> Path:
    if not path.name:
        raise ValueError(f"{path}: expected the name of a file or folder to write")
    return path.with_name(name)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
