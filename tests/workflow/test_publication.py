"""`publish` accepts only one complete, unchanged run of one clean commit."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from provenance_example import PROVENANCE

from senformer.report import results
from senformer.workflow import executed_notebooks, notebooks, publication

START = "2026-01-02T03:04:00.7+00:00"


def write_table(folder, name, **provenance):
    frame = pd.DataFrame({"table": name, "value": [1, 2]})
    return results.write(frame, folder / f"{name}.csv", PROVENANCE | provenance)


def write_notebook(folder, name, **parameters):
    """Write a sealed notebook with all tables of its name in the folder."""
    answer = new_output("display_data", data={"text/markdown": f"The answer of {name}."})
    cells = [new_code_cell("answer", execution_count=1, outputs=[answer]), new_code_cell("")]
    ran = {"start_time": START, "parameters": {"parameters": {"seed": 0} | parameters}}
    notebook = new_notebook(cells=cells, metadata={"papermill": ran})
    executed_notebooks.seal(notebook, name, sorted(folder.glob(f"{name}*.csv")))
    nbformat.write(notebook, folder / f"{name}.ipynb")


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    for name in notebooks.ORDER:
        write_table(folder, name)
        write_table(folder, f"{name}_claims")
        write_notebook(folder, name)
    return folder


@pytest.fixture
def book(tmp_path):
    (tmp_path / "book/results/data").mkdir(parents=True)
    (tmp_path / "book/results/data/old.csv").write_text("old")
    return tmp_path / "book"


def test_publish_replaces_old_results(run_folder, book):
    written = publication.publish(run_folder, book)
    assert sorted(path for path in book.rglob("*") if path.is_file()) == written
    for path in written:
        copied = (run_folder / path.name).read_bytes()
        assert path.read_bytes() == copied
    assert len(written) == 3 * len(notebooks.ORDER)


def edit_table(pattern, new):
    def edit(folder):
        path = folder / "memory.csv"
        path.write_text(re.sub(pattern, new, path.read_text(), count=1))

    return edit


def edit_notebook(change):
    def edit(folder):
        path = folder / "memory.ipynb"
        notebook = nbformat.read(path, 4)
        change(notebook, notebook.cells[0])
        nbformat.write(notebook, path)

    return edit


def replace(name, other):
    return lambda folder: (folder / other).replace(folder / name)


def link(name, target):
    def edit(folder):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return edit


def write_with_right_digest(**provenance):
    return lambda folder: write_table(folder, "memory", **provenance)


def write_wrong_commit(folder):
    path = folder / "memory.csv"
    header, _, table = path.read_text().partition("\n")
    described = json.loads(header[2:]) | {"commit": 5}
    del described["sha256"]
    described["sha256"] = results._digest(described, table)
    path.write_text(f"# {json.dumps(described)}\n{table}")


def add_error(notebook, cell):
    cell.outputs.append(new_output("error", ename="ValueError", evalue="x", traceback=[]))


DAMAGES = {
    "table missing": (lambda folder: (folder / "memory.csv").unlink(), "memory.csv: is missing"),
    "second table missing": (
        lambda folder: (folder / "finetuning_claims.csv").unlink(),
        "finetuning_claims.csv: is missing",
    ),
    "notebook missing": (lambda f: (f / "runtime.ipynb").unlink(), "runtime.ipynb: is missing"),
    "other notebook": (
        replace("memory.ipynb", "runtime.ipynb"),
        "memory.ipynb: is the notebook runtime",
    ),
    "other table": (replace("memory.csv", "runtime.csv"), "memory.csv: another run wrote it"),
    "edited number": (edit_table(",1\n", ",3\n"), "memory.csv: changed after"),
    "no rows": (edit_table("memory,.*\n", ""), "memory.csv: changed after"),
    "cut off": (edit_table("2\n$", ""), "memory.csv: changed after"),
    "no digest": (edit_table(', "sha256": ".*"', ""), "memory.csv: no sha256"),
    "null digest": (edit_table('"sha256": ".*"', '"sha256": null'), "memory.csv: no sha256"),
    "a picture": (
        lambda folder: (folder / "memory.csv").write_bytes(b"\x89PNG\r\n\x1a\n"),
        "memory.csv: not UTF-8",
    ),
    "a link": (link("memory.csv", "/etc/passwd"), "memory.csv: is a link"),
    "a link to a table": (link("memory.csv", "runtime.csv"), "memory.csv: is a link"),
    "a linked notebook": (link("memory.ipynb", "runtime.ipynb"), "memory.ipynb: is a link"),
    "a further link": (link("memory_x.csv", "/etc/passwd"), "memory_x.csv: not a table of memory"),
    "a further table": (
        lambda folder: write_table(folder, "memory_causes"),
        "memory_causes.csv: not a table of memory.ipynb; delete it",
    ),
    "another seed": (write_with_right_digest(seed=1), "memory.csv: another run wrote it"),
    "a later run": (
        write_with_right_digest(time_utc="2026-01-02T03:05:05+00:00"),
        "memory.csv: another run wrote it",
    ),
    "commit is a number": (write_wrong_commit, "memory.csv: its provenance is wrong .commit=5"),
    "another sentence": (
        edit_notebook(lambda notebook, cell: cell.outputs[0].data.update({"text/markdown": "?"})),
        "memory.ipynb: changed after it was executed",
    ),
    "no outputs": (
        edit_notebook(lambda notebook, cell: cell.outputs.clear()),
        "memory.ipynb: changed after it was executed",
    ),
    "an error": (edit_notebook(add_error), "memory.ipynb: cell 0 failed"),
    "not executed": (
        edit_notebook(lambda notebook, cell: cell.update(execution_count=None)),
        "memory.ipynb: cell 0 was not executed",
    ),
    "other parameters": (
        edit_notebook(lambda notebook, cell: notebook.metadata.papermill.parameters.clear()),
        "memory.ipynb: changed after it was executed",
    ),
    "no seal": (
        edit_notebook(lambda notebook, cell: notebook.metadata.pop("senformer")),
        "memory.ipynb: no digests of its tables",
    ),
    "not a notebook": (
        lambda folder: (folder / "memory.ipynb").write_text("{}"),
        "memory.ipynb: not a notebook",
    ),
    "a run of another seed": (
        lambda folder: write_notebook(folder, "runtime", seed=1),
        "runtime.ipynb: seed=1, expected 0 as in memory.ipynb",
    ),
    "a run of another folder": (
        lambda folder: [
            write_notebook(folder, name, output_folder=f"../runs/{name}")
            for name in ("memory", "runtime")
        ],
        "runtime.ipynb: output_folder='../runs/runtime', expected '../runs/memory'",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_publish_refuses_a_damaged_run(damage, run_folder, book):
    change, message = DAMAGES[damage]
    change(run_folder)
    for mixed in (False, True):
        with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
            publication.publish(run_folder, book, mixed=mixed)
        assert "\n" not in str(error.value)
    assert [path.name for path in book.rglob("*") if path.is_file()] == ["old.csv"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["publish", "site", "pdf"])
def test_killed_command_loses_nothing(command, run_folder, book, tmp_path):
    (tmp_path / "prose").mkdir()
    tests = Path(__file__).parents[1]
    search = [tests / "storage", *sys.path]
    done = subprocess.run(
        [sys.executable, tests / "workflow" / "killed_commands.py", command, run_folder, book],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, search))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


@pytest.mark.parametrize(
    ("commits", "found"),
    [
        (("a" * 40, "b" * 40), "results of bbbbbbb, aaaaaaa, expected one clean commit"),
        (("a" * 40 + "-dirty",) * 2, "results of aaaaaaa-dirty, expected one clean commit"),
        ((results.UNKNOWN,) * 2, "results of unknown, expected one clean commit"),
    ],
)
def test_publish_refuses_mixed_commits(commits, found, tmp_path, book):
    for name in notebooks.ORDER:
        write_table(tmp_path / "run", name, commit=commits[name == "memory"])
        write_notebook(tmp_path / "run", name)
    with pytest.raises(ValueError, match=found):
        publication.publish(tmp_path / "run", book)
    assert publication.publish(tmp_path / "run", book, mixed=True)


def test_commits_of_rows_are_compared(tmp_path):
    frame = pd.DataFrame({"commit": ["a" * 40, "b" * 40, None]})
    path = results.write(frame, tmp_path / "memory.csv", PROVENANCE | {"commit": "a" * 40})
    with pytest.raises(ValueError, match="aaaaaaa, bbbbbbb"):
        publication.expect_one_clean_commit([path])


def test_newest_commit_depends_on_time(tmp_path):
    write_table(tmp_path, "memory", commit="a" * 40, time_utc="2026-01-02")
    write_table(tmp_path, "runtime", commit="b" * 40, time_utc="2026-01-01")
    assert publication.newest_commit(tmp_path) == "a" * 40
    with pytest.raises(FileNotFoundError, match="no table of results"):
        publication.newest_commit(tmp_path / "nowhere")


def test_find_tables_takes_those_of_the_run(tmp_path):
    own = write_table(tmp_path, "memory")
    write_table(tmp_path, "memory_before", time_utc="2026-01-02T03:03:59+00:00")
    write_table(tmp_path, "memory_other", parameters={"seed": 1})
    write_table(tmp_path, "runtime")
    write_notebook(tmp_path, "memory")
    notebook = executed_notebooks.read(tmp_path / "memory.ipynb")
    assert executed_notebooks.find_tables(notebook, "memory", tmp_path) == [own]
