"""Build the website of a run: the book's prose with that run's results.

`build` does not change the book. Only `publication.publish` writes to `book/results`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from senformer.storage import atomic_files
from senformer.storage.text_files import parse_json_object, read_text
from senformer.workflow.notebooks import ORDER, ROOT

BOOK = ROOT / "book"

PLOTLY_MIME = "application/vnd.plotly.v1+json"
"""MIME type of a Plotly figure among a notebook's outputs."""


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
        RuntimeError: If Sphinx fails or warns; the message holds its warnings.
    """
    run_folder, destination = Path(run_folder), Path(destination)
    check_run(run_folder)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "book"
        shutil.copytree(BOOK, source, ignore=shutil.ignore_patterns("_build", "results"))
        copy_results(run_folder, source / "results")
        html = build_book(source, Path(folder) / "output")
        replace_folder(html, destination)
    return destination / "index.html"


def check_run(run_folder: Path) -> None:
    """Check that a run has all notebooks and tables.

    Raises:
        FileNotFoundError: If it does not; the message names the first missing file.
    """
    for name in ORDER:
        if not (run_folder / f"{name}.ipynb").is_file():
            raise FileNotFoundError(f"{run_folder / name}.ipynb: no such executed notebook")
        if not any(run_folder.glob(f"{name}*.csv")):
            raise FileNotFoundError(f"{run_folder / name}*.csv: no table of {name}.ipynb")


def copy_results(run_folder: Path, results: Path) -> None:
    """Copy a run's notebooks to `results/` and its tables to `results/data/`."""
    (results / "data").mkdir(parents=True)
    for name in ORDER:
        notebook = read_notebook(run_folder / f"{name}.ipynb")
        drop_html_of_figures(notebook)
        nbformat.write(notebook, results / f"{name}.ipynb")
        for table in run_folder.glob(f"{name}*.csv"):
            shutil.copyfile(table, results / "data" / table.name)


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Read an executed notebook.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no notebook.
    """
    expected = "an executed notebook"
    text = read_text(path, expected)
    parse_json_object(text, path, expected)
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except (nbformat.ValidationError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: not a notebook ({reason}), expected {expected}") from None
    return notebook


def drop_html_of_figures(notebook: nbformat.NotebookNode) -> None:
    """Drop the HTML form of each Plotly figure, which can contain all of plotly.js (5 MB)."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if PLOTLY_MIME in output.get("data", {}):
                output.data.pop("text/html", None)


def build_book(source: Path, output: Path, *, builder: str = "html") -> Path:
    """Run Jupyter Book on a folder and treat warnings as errors.

    Args:
        source: Folder of the book.
        output: Folder for Jupyter Book's output.
        builder: `html`, or `singlehtml` for all pages in one.

    Returns:
        The folder of HTML.

    Raises:
        RuntimeError: If Jupyter Book fails or warns.
    """
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", str(source)]
    command += ["--path-output", str(output), "--builder", builder]
    command += ["-W", "-n", "--keep-going", "-q"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"jupyter-book failed on {source}:\n{done.stderr.strip()}")
    return output / "_build" / builder


def replace_folder(new: Path, destination: Path) -> None:
    """Replace a folder by a finished one; an interruption leaves the old one complete."""
    with atomic_files.replace_folder(destination) as unfinished:
        shutil.copytree(new, unfinished, dirs_exist_ok=True)
