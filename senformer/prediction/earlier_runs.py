"""Whether what lies there is of the run that is asked for: done, begun, or another's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from senformer.prediction import coverage_files
from senformer.storage import atomic_files
from senformer.storage.text_files import read_json_object

DESCRIPTION_FILE = "predictions.json"
"""Beside the bigWigs: what they were made of. Written last."""

_RUN_FILE = "run.json"


def is_done(out: Path, run: Mapping[str, Any]) -> bool:
    """Whether `out` holds all of this run.

    Args:
        out: A folder of bigWigs or a Parquet file; need not exist.
        run: All that decides the values, by name.

    Raises:
        FileExistsError: If it holds those of another run, or is a file of another kind.
        ValueError: If its description is damaged.
    """
    if not out.exists():
        return False
    if out.is_dir():
        description = out / DESCRIPTION_FILE
        if not description.is_file():
            return False
        found = read_json_object(description, "the description of predictions")
    else:
        found = _description_in(out)
    _expect_same_run(out, found.get("run", {}), run)
    return True


def begin_or_resume(folder: Path, out: Path, run: Mapping[str, Any]) -> None:
    """Make the folder of what is predicted so far, or find that it is of this run.

    Args:
        folder: The folder.
        out: Where the files will be.
        run: As for `is_done`.

    Raises:
        FileExistsError: If it is of another run, or `out` holds anything else.
        ValueError: If its description is damaged.
    """
    described = folder / _RUN_FILE
    if described.is_file():
        _expect_same_run(folder, read_json_object(described, "the description of a run"), run)
        return
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(
            f"{out}: exists and is no earlier prediction, expected a folder that is new or empty"
        )
    with atomic_files.replace_file(described) as unfinished:
        unfinished.write_text(json.dumps(run, indent=1) + "\n")


def _description_in(file: Path) -> dict[str, Any]:
    try:
        metadata = pq.read_schema(file).metadata or {}
    except (pa.ArrowException, OSError):
        metadata = {}
    if coverage_files.METADATA_KEY not in metadata:
        raise FileExistsError(f"{file}: exists and is no earlier prediction, expected a new file")
    description: dict[str, Any] = json.loads(metadata[coverage_files.METADATA_KEY])
    return description


def _expect_same_run(path: Path, found: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    differing = [name for name in run if found.get(name) != run[name]]
    if differing:
        raise FileExistsError(
            f"{path}: of another prediction, which differs in {', '.join(differing)}; expected a "
            "new name, or that it is deleted"
        )
