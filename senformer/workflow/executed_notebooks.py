"""Read executed notebooks, and bind each one to the tables that its run wrote.

`senformer run` seals a notebook: its metadata names the tables of its run with their digests, and
holds a digest of the notebook. A notebook or table that was edited, or comes from another run, no
longer fits the seal.
"""

from __future__ import annotations

import copy
import glob
import hashlib
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat

from senformer.report import results
from senformer.storage.checksums import checksum_values
from senformer.storage.text_files import parse_json_object, read_text

PLOTLY_MIME = "application/vnd.plotly.v1+json"
"""MIME type of a Plotly figure among a notebook's outputs."""

_EXPECTED = "an executed notebook"
_SEAL = "senformer"
_DIGEST = "sha256"


def read(path: Path) -> nbformat.NotebookNode:
    """Read an executed notebook.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no notebook.
    """
    text = read_text(path, _EXPECTED)
    parse_json_object(text, path, _EXPECTED)
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except (nbformat.ValidationError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: not a notebook ({reason}), expected {_EXPECTED}") from None
    return notebook


def drop_html_of_figures(notebook: nbformat.NotebookNode) -> None:
    """Drop the HTML form of each Plotly figure, which can contain all of plotly.js (5 MB)."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if PLOTLY_MIME in output.get("data", {}):
                output.data.pop("text/html", None)


def list_tables(folder: Path, name: str) -> list[Path]:
    """Return the tables of a notebook in a folder: `<name>.csv` and `<name>_*.csv`."""
    pattern = re.compile(rf"{name}(_\w+)?\.csv", re.ASCII)
    return sorted(path for path in folder.glob("*.csv") if pattern.fullmatch(path.name))


def tables_of(notebook: Path) -> list[Path]:
    """Return all tables in the folder of a notebook whose names begin with its name."""
    return sorted(notebook.parent.glob(f"{glob.escape(notebook.stem)}*.csv"))


def find_tables(notebook: nbformat.NotebookNode, name: str, folder: Path) -> list[Path]:
    """Return the tables in a folder that a notebook wrote when papermill executed it.

    Their provenance has the notebook's parameters, and a time since its start.
    """
    executed = notebook.metadata.papermill
    # Provenance has no fractions of a second.
    start = datetime.fromisoformat(executed.start_time).replace(microsecond=0)
    found = []
    for path in list_tables(folder, name):
        provenance = results.read(path).attrs["provenance"]
        if (
            provenance["parameters"] == executed.parameters.get("parameters")
            and datetime.fromisoformat(provenance["time_utc"]) >= start
        ):
            found.append(path)
    return found


def seal(notebook: nbformat.NotebookNode, name: str, tables: Iterable[Path]) -> None:
    """Write a notebook's name, the digests of its tables and its own digest into its metadata."""
    digests = {path.name: _digest_bytes(path.read_bytes()) for path in tables}
    notebook.metadata[_SEAL] = {"notebook": name, "tables": digests}
    notebook.metadata[_SEAL][_DIGEST] = _digest_notebook(notebook)


def read_sealed(path: Path) -> tuple[nbformat.NotebookNode, dict[str, bytes]]:
    """Read a sealed notebook and its tables, once nothing of them changed after the run.

    Args:
        path: The notebook, `<name>.ipynb`, next to its tables.

    Returns:
        The notebook, and the content of each table by the name of its file.

    Raises:
        FileNotFoundError: If the notebook or a table is missing, or is a link.
        ValueError: If a file changed, the notebook was executed without `senformer run`, has a
            failed or unexecuted cell, or a table next to it is of another run.
    """
    _expect_file(path)
    notebook = read(path)
    _expect_executed(path, notebook)
    sealed = _parse_seal(path, notebook)
    tables = {}
    for name, digest in sealed["tables"].items():
        table = path.with_name(name)
        _expect_file(table)
        results.read(table)
        tables[name] = table.read_bytes()
        if _digest_bytes(tables[name]) != digest:
            raise ValueError(f"{table}: another run wrote it, expected the table of {path.name}")
    for other in tables_of(path):
        if other.name not in tables:
            raise ValueError(f"{other}: not a table of {path.name}; delete it")
    return notebook, tables


def _expect_file(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        found = "is a link" if path.is_symlink() else "is missing or no file"
        raise FileNotFoundError(f"{path}: {found}, expected a file of the run")


def _expect_executed(path: Path, notebook: nbformat.NotebookNode) -> None:
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.strip():
            if any(output.output_type == "error" for output in cell.outputs):
                raise ValueError(f"{path}: cell {number} failed, expected {_EXPECTED}")
            if cell.execution_count is None:
                raise ValueError(f"{path}: cell {number} was not executed, expected {_EXPECTED}")


def _parse_seal(path: Path, notebook: nbformat.NotebookNode) -> dict[str, Any]:
    sealed = notebook.metadata.get(_SEAL)
    expected = f"a notebook as `senformer run {path.stem}` wrote it"
    if not isinstance(sealed, dict) or not isinstance(sealed.get("tables"), dict):
        raise ValueError(f"{path}: no digests of its tables in its metadata, expected {expected}")
    if sealed.get(_DIGEST) != _digest_notebook(notebook):
        raise ValueError(f"{path}: changed after it was executed, expected {expected}")
    if sealed["notebook"] != path.stem:
        raise ValueError(f"{path}: is the notebook {sealed['notebook']}, expected {expected}")
    if not sealed["tables"]:
        raise ValueError(f"{path}: wrote no table, expected {expected}")
    return sealed


def _digest_notebook(notebook: nbformat.NotebookNode) -> str:
    """Compute the digest of all but the digest itself and the HTML of figures."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata[_SEAL].pop(_DIGEST, None)
    drop_html_of_figures(notebook)
    stored = nbformat.reads(nbformat.writes(notebook), as_version=4)  # as if it came from a file
    return checksum_values(stored)


def _digest_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
