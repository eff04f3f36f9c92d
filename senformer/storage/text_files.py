"""Text that a user gives, read so that whatever is wrong with it names the file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_text(path: str | Path, expected: str) -> str:
    """A file's text.

    Args:
        path: The file, UTF-8, with or without a byte-order mark.
        expected: What should be there, for the message.

    Raises:
        FileNotFoundError: If there is no such file, or a folder in its place.
        ValueError: If it is not text.
    """
    path = Path(path)
    if path.is_dir():
        raise FileNotFoundError(f"{path}: is a folder, expected {expected}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file, expected {expected}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error}), expected {expected}") from None
    if "\0" in text:
        raise ValueError(f"{path}: not text, it holds zero bytes, expected {expected}")
    return text


def read_json_object(path: str | Path, expected: str) -> dict[str, Any]:
    """A file's JSON object.

    Args:
        path: The file.
        expected: What should be there, for the message.

    Raises:
        FileNotFoundError: As `read_text`.
        ValueError: If it is not JSON, not an object, or names a key twice.
    """
    return parse_json_object(read_text(path, expected), path, expected)


def parse_json_object(text: str, path: str | Path, expected: str) -> dict[str, Any]:
    """The JSON object that a part of a file is.

    Args:
        text: The part.
        path: The file, for the message.
        expected: What should be there, for the message.

    Raises:
        ValueError: As `read_json_object`.
    """
    try:
        found = json.loads(text, object_pairs_hook=_without_repeated_keys)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error}), expected {expected}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: {type(found).__name__} in JSON, expected {expected}")
    return found


@contextlib.contextmanager
def add_path_to_errors(path: str | Path) -> Iterator[None]:
    """Give the errors of the system that name no file, such as that of a full disk, this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} stands twice")
        found[key] = value
    return found
