"""Making a run's results the ones that the book shows: those of one clean commit, or it is said."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from senformer.report import results
from senformer.workflow import site

DIRTY = "-dirty"
"""How a commit ends after which something was changed, as `provenance.commit` gives it."""


def publish(run_folder: Path, book: Path = site.BOOK, *, mixed: bool = False) -> list[Path]:
    """Make a run's results the published ones: executed notebooks and tables go to `book/results`.

    Args:
        run_folder: as for `site.build`.
        book: the book that receives them.
        mixed: publish also what is not all of one clean commit; each page then says what is older.

    Returns:
        The files written; older results that this run does not have are gone.

    Raises:
        FileNotFoundError: if a notebook or its tables are missing; nothing is written then.
        ValueError: if the results are of several commits, or of one with changes that were not
            committed, and `mixed` does not say that they may be.
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
    """Refuse results that were not all measured by the same code.

    Raises:
        ValueError: if they were not; the message names the commits.
    """
    commits = commits_of(results.read(path) for path in sorted(run_folder.glob("*.csv")))
    if len(commits) > 1 or any(DIRTY in commit for commit in commits):
        found = ", ".join(commit[:7] + DIRTY * (DIRTY in commit) for commit in commits)
        raise ValueError(
            f"{run_folder}: results of {found}, expected one clean commit; what is older is made "
            "anew where its file is deleted, and --mixed publishes all as it is"
        )


def commits_of(tables: Iterable[pd.DataFrame]) -> list[str]:
    """The commits at which tables were written, and those of rows that were measured before.

    Args:
        tables: as `results.read` gives them.
    """
    found: dict[str, None] = {}
    for table in tables:
        found[table.attrs["provenance"]["commit"]] = None
        if "commit" in table:
            found.update(dict.fromkeys(table["commit"].dropna()))
    return list(found)


def newest_commit(folder: Path) -> str:
    """The commit of the table in a folder that was written last.

    Raises:
        FileNotFoundError: if there is none.
    """
    provenances = [results.read(path).attrs["provenance"] for path in sorted(folder.glob("*.csv"))]
    if not provenances:
        raise FileNotFoundError(f"{folder}: no table of results")
    return str(max(provenances, key=lambda provenance: provenance["time_utc"])["commit"])
