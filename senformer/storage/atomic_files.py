"""Files that are written whole or not at all, by one process at a time, where there is room."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock

UNFINISHED = ".unfinished"
"""Where a folder's files are written, one at a time: what a killed process left lies where the next
one writes. A folder, for libraries that write beside a file what they then rename to it."""

_BYTES_PER_GB = 1e9
_READ_AND_WRITE = 0o666

_SECONDS_UNTIL_IT_SAYS_SO = 5.0


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A file near `path` to write to, which takes its place once it is on the disk.

    Args:
        path: The file; its folder is made.

    Raises:
        OSError: If it cannot be written, as on a disk that is full; the message names `path`, and
            what was there is there still.
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
                # Some libraries make files for their owner alone; a group shares a run's models.
                unfinished.chmod(folder.stat().st_mode & _READ_AND_WRITE)
                _flush(unfinished)
                unfinished.replace(path)
                _flush(path.parent)  # the name, which a failing power supply loses otherwise
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{path}: not written, what was there is as it was ({reason})") from error


@contextlib.contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """A new folder near `path` to fill, which takes its place once it is filled.

    Args:
        path: The folder; what is there is replaced. Its parent is made.

    Raises:
        OSError: If it cannot be written; what was there is there still.
    """
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    with lock(path):
        shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
        try:
            unfinished.mkdir(parents=True)
            yield unfinished
            if path.exists():
                shutil.rmtree(path)
            unfinished.replace(path)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def remove_leftover(folder: Path) -> None:
    """Remove what a process that was killed while it wrote to a folder left there."""
    unfinished = folder / UNFINISHED
    if unfinished.exists():
        with lock(unfinished):  # or it is no leftover
            shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a path, which need not exist, for this process alone: others that ask for it wait.

    Ask for it before you look whether a thing is made and make it. The kernel lets go for a process
    that dies; one that has waited for some seconds says so.

    Args:
        path: What is held. A hidden file beside it is locked, and gone afterwards.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name.lstrip('.')}.lock")
    lock = filelock.FileLock(file)
    try:
        lock.acquire(timeout=_SECONDS_UNTIL_IT_SAYS_SO)
    except filelock.Timeout:
        print(f"{path}: waiting for the process that is at it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        file.unlink(
            missing_ok=True
        )  # while it is held: who waits sees that it is gone, and makes another
        lock.release()


def check_free_space(path: Path, num_bytes: int) -> None:
    """Refuse to begin what the disk cannot take.

    Args:
        path: What is to be written, a file or a folder; neither need exist.
        num_bytes: How much of it.

    Raises:
        OSError: If there is less room; the message names `path`, what it needs and what there is.
    """
    there = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    num_free = shutil.disk_usage(there).free
    if num_bytes > num_free:
        raise OSError(
            f"{path}: {num_bytes / _BYTES_PER_GB:.3g} GB to write, expected as much room; "
            f"{num_free / _BYTES_PER_GB:.3g} GB are free"
        )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
