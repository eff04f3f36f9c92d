"""Compute SHA-256 checksums of files and of plain values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def checksum_file(path: Path) -> str:
    """Compute the checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_values(values: Mapping[str, Any]) -> str:
    """Compute the checksum of values that JSON can represent, in any order of the names."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
