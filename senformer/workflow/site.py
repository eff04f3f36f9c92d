"""Build the website of a run: the book's prose with that run's results.

`build` does not change the book. Only `publication.publish` writes to `book/results`.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat

from senformer.report import results
from senformer.storage import atomic_files
from senformer.workflow import executed_notebooks
from senformer.workflow.notebooks import ORDER, ROOT

BOOK = ROOT / "book"

_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
_MAX_WARNINGS = 3
_MAX_CHARACTERS = 300  # of a warning in a message


def build(run_folder: Path, destination: Path) -> Path:
    """Build the website of one run, as `make report` does.

    Args:
        run_folder: Folder with the executed notebooks `<name>.ipynb` and their tables
            `<name>*.csv`.
        destination: Folder of the finished site; a successful build replaces its contents.

    Returns:
        The path of the site's `index.html`.

    Raises:
        FileNotFoundError: If a notebook or its tables are missing.
        FileExistsError: If the destination is a file or a link.
        ValueError: If a table is damaged, or Sphinx warns; see `build_book`.
    """
    run_folder, destination = Path(run_folder), Path(destination)
    check_run(run_folder)
    with atomic_files.replace_folder(destination) as unfinished:
        source, output = unfinished.parent / "book", unfinished.parent / "output"
        shutil.copytree(BOOK, source, ignore=shutil.ignore_patterns("_build", "results"))
        copy_results(run_folder, source / "results")
        build_book(source, output).replace(unfinished)
    return destination / "index.html"


def check_run(run_folder: Path) -> None:
    """Check that a run has all notebooks and tables.

    Raises:
        FileNotFoundError: If it does not; the message names the first missing file.
    """
    for name in ORDER:
        if not (run_folder / f"{name}.ipynb").is_file():
            raise FileNotFoundError(f"{run_folder / name}.ipynb: no such executed notebook")
        if not executed_notebooks.list_tables(run_folder, name):
            raise FileNotFoundError(f"{run_folder / name}*.csv: no table of {name}.ipynb")


def copy_results(run_folder: Path, destination: Path) -> None:
    """Copy a run's notebooks to a folder and its tables to `data/` in it."""
    (destination / "data").mkdir(parents=True)
    for name in ORDER:
        notebook = executed_notebooks.read(run_folder / f"{name}.ipynb")
        write_notebook(notebook, destination / f"{name}.ipynb")
        for table in executed_notebooks.list_tables(run_folder, name):
            shutil.copyfile(table, destination / "data" / table.name)


def write_notebook(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook for the book, without the HTML of its figures."""
    executed_notebooks.drop_html_of_figures(notebook)
    nbformat.write(notebook, path)


def build_book(source: Path, output: Path, *, builder: str = "html") -> Path:
    """Run Jupyter Book on a folder and treat warnings as errors.

    Args:
        source: Folder of the book.
        output: Folder for Jupyter Book's output.
        builder: `html`, or `singlehtml` for all pages in one.

    Returns:
        The folder of HTML.

    Raises:
        ValueError: If a table of the book is damaged, or Sphinx warns; the message has the first
            warnings.
        RuntimeError: If Jupyter Book fails.
    """
    for table in sorted((source / "results" / "data").glob("*.csv")):
        results.read(table)
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", str(source)]
    command += ["--path-output", str(output), "--builder", builder]
    command += ["-W", "-n", "--keep-going", "-q"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
    done = run_program(command, environment)
    if done.returncode:
        warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
        if not warnings or "Traceback" in done.stderr:
            raise RuntimeError(f"jupyter-book failed on {source}:\n{done.stderr.strip()}")
        shown = "; ".join(line[:_MAX_CHARACTERS] for line in warnings[:_MAX_WARNINGS])
        raise ValueError(f"{source}: {len(warnings)} warnings of Sphinx, expected none ({shown})")
    return output / "_build" / builder


def run_program(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    timeout: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program and capture its output; Linux kills it if this process is killed.

    Otherwise the program would go on to write into a folder that the next command uses.
    """

    def end_with_parent() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)

    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=timeout,
        preexec_fn=end_with_parent,
    )
