"""Publish a run's results in the book, normally only those of one clean commit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from senformer.report import results
from senformer.workflow import site

DIRTY = "-dirty"
"""Suffix of a commit with uncommitted changes, as `provenance.commit` returns it."""


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
        FileNotFoundError: If a notebook or its tables are missing; nothing is written then.
        ValueError: If the results are not all of one clean commit, and `mixed` is False.
    """
    run_folder = Path(run_folder)
    site.check_run(run_folder)
    if not mixed:
        expect_one_clean_commit(run_folder)
    with tempfile.TemporaryDirectory() as folder:
        site.copy_results(run_folder, Path(folder) / "results")
        site.replace_folder(Path(folder) / "results", book / "results")
    return sorted(path for path in (book / "results").rglob("*") if path.is_file())


def expect_one_clean_commit(run_folder: Path) -> None:
    """Check that all results of a run come from the same committed code.

    Raises:
        ValueError: If they do not; the message names the commits.
    """
    commits = commits_of(results.read(path) for path in sorted(run_folder.glob("*.csv")))
    if len(commits) > 1 or any(DIRTY in commit for commit in commits):
        found = ", ".join(commit[:7] + DIRTY * (DIRTY in commit) for commit in commits)
        raise ValueError(
            f"{run_folder}: results of {found}, expected one clean commit; delete older files to "
            "recompute them, or publish all with --mixed"
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
            found.update(dict.fromkeys(table["commit"].dropna()))
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
