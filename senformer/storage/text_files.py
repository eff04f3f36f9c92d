"""Read text files of users, with errors that name the file."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_GZIP_MAGIC = b"\x1f\x8b"


def read_text(path: str | Path, expected: str) -> str:
    """Read a file's text.

    Args:
        path: The file, UTF-8, with or without a byte-order mark; plain or compressed by gzip.
        expected: Description of the expected content, for the message.

    Raises:
        FileNotFoundError: If the file does not exist, or is a folder.
        ValueError: If the file is not text, or a damaged gzip file.
    """
    path = Path(path)
    if path.is_dir():
        raise FileNotFoundError(f"{path}: is a folder, expected {expected}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file, expected {expected}")
    content = path.read_bytes()
    try:
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: a damaged gzip file ({error}), expected {expected}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error}), expected {expected}") from None
    if "\0" in text:
        raise ValueError(f"{path}: not text (it contains zero bytes), expected {expected}")
    return text


def read_json_object(path: str | Path, expected: str) -> dict[str, Any]:
    """Read a file's JSON object.

    Args:
        path: The file.
        expected: Description of the expected content, for the message.

    Raises:
        FileNotFoundError: If the file does not exist, or is a folder.
        ValueError: If the file is not JSON, is no object, or repeats a key.
    """
    return parse_json_object(read_text(path, expected), path, expected)


def parse_json_object(text: str, path: str | Path, expected: str) -> dict[str, Any]:
    """Parse a JSON object that is a part of a file.

    Args:
        text: The part of the file.
        path: The file, for the message.
        expected: Description of the expected content, for the message.

    Raises:
        ValueError: If the text is not JSON, is no object, or repeats a key.
    """

    def to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"key {key!r} is repeated")
            found[key] = value
        return found

    try:
        found = json.loads(text, object_pairs_hook=to_object)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error}), expected {expected}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: {type(found).__name__} in JSON, expected {expected}")
    return found


@contextlib.contextmanager
def add_path_to_errors(path: str | Path) -> Iterator[None]:
    """Add a path to an OSError that names no file, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
