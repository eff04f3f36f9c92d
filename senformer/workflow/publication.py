"""Publish a run's results in the book, normally only those of one clean commit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from senformer.report import results
from senformer.storage import atomic_files
from senformer.workflow import executed_notebooks, site
from senformer.workflow.notebooks import ORDER

_CLEAN_COMMIT = re.compile("[0-9a-f]{7,64}")  # `provenance.commit` adds -dirty, or says unknown

_OF_THE_RUN = ("output_folder", "data", "seed")
"""Parameters that are equal in all notebooks of a run, if they have them."""


def publish(run_folder: Path, book: Path = site.BOOK, *, mixed: bool = False) -> list[Path]:
    """Replace the results in `book/results` by a run's executed notebooks and tables.

    Args:
        run_folder: The run's folder; see `site.build`.
        book: The book that receives the results.
        mixed: Whether to accept results of several commits or of uncommitted changes. Each page
            then states which results are older.

    Returns:
        The files written. Older results that this run lacks are deleted.

    Raises:
        FileNotFoundError: If a notebook or a table is missing or is a link; nothing is written.
        ValueError: If a notebook failed, a notebook or table changed after the run, or the results
            are not all of one run or, without `mixed`, of one clean commit; nothing is written.
    """
    run_folder = Path(run_folder)
    paths = [run_folder / f"{name}.ipynb" for name in ORDER]
    notebooks = {path: executed_notebooks.read_sealed(path) for path in paths}
    expect_one_run(
        {path: notebook.metadata.papermill.parameters for path, (notebook, _) in notebooks.items()}
    )
    if not mixed:
        names = [name for _, tables in notebooks.values() for name in tables]
        expect_one_clean_commit(run_folder / name for name in names)
    with atomic_files.replace_folder(book / "results") as unfinished:
        (unfinished / "data").mkdir()
        for path, (notebook, tables) in notebooks.items():
            site.write_notebook(notebook, unfinished / path.name)
            for name, content in tables.items():
                (unfinished / "data" / name).write_bytes(content)
    return sorted(path for path in (book / "results").rglob("*") if path.is_file())


def expect_one_run(parameters: Mapping[Path, Mapping[str, Any]]) -> None:
    """Check that notebooks belong to one run: one folder, one data set and one seed.

    Args:
        parameters: What papermill says of the parameters, by the path of the notebook.

    Raises:
        ValueError: If they do not; the message names two notebooks that differ.
    """
    first: dict[str, tuple[Path, Any]] = {}
    for path, passed in parameters.items():
        for key in _OF_THE_RUN:
            if key not in passed["parameters"]:
                continue
            value = passed["parameters"][key]
            other, expected = first.setdefault(key, (path, value))
            if value != expected:
                raise ValueError(
                    f"{path}: {key}={value!r}, expected {expected!r} as in {other.name}"
                )


def expect_one_clean_commit(tables: Iterable[Path]) -> None:
    """Check that tables come from the same committed code.

    Raises:
        ValueError: If they do not; the message names the commits.
    """
    paths = list(tables)
    commits = commits_of(map(results.read, paths))
    if len(commits) > 1 or not all(map(_CLEAN_COMMIT.fullmatch, commits)):
        found = ", ".join(map(results.shorten_commit, commits))
        raise ValueError(
            f"{paths[0].parent}: results of {found}, expected one clean commit; delete older files "
            "to recompute them, or publish all with --mixed"
        )


def commits_of(tables: Iterable[pd.DataFrame]) -> list[str]:
    """Return the commits that wrote the tables, and those that measured their rows.

    Args:
        tables: Tables from `results.read`.
    """
    found: dict[str, None] = {}
    for table in tables:
        found[table.attrs["provenance"]["commit"]] = None
        if "commit" in table:
            found.update(dict.fromkeys(table["commit"].dropna().astype(str)))
    return list(found)


def newest_commit(folder: Path) -> str:
    """Return the commit of the newest table in a folder.

    Raises:
        FileNotFoundError: If the folder has no table.
    """
    provenances = [results.read(path).attrs["provenance"] for path in sorted(folder.glob("*.csv"))]
    if not provenances:
        raise FileNotFoundError(f"{folder}: no table of results")
    return str(max(provenances, key=lambda provenance: provenance["time_utc"])["commit"])
