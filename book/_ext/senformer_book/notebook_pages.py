"""Turn an executed notebook into a page of the book.

The notebook's file stays as it ran. When Sphinx reads it, this module puts the code behind one
switch, folds sections (`senformer_book.folds`), groups neighbouring cells into tabs by their tags,
and captions each figure with device, data, commit and date and with links to its table, its
notebook and the function that drew it. It shows the table of claims as on the page of claims, and
adds a last section that offers the notebook, the script and the tables for download.
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from docutils import nodes
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx_design.shared import create_component, is_component

from senformer.report import results
from senformer.report.markdown import escape, fence
from senformer.report.results import shorten_commit
from senformer.study import published_tables
from senformer.workflow import notebooks
from senformer.workflow.executed_notebooks import PLOTLY_MIME
from senformer.workflow.publication import commits_of, newest_commit
from senformer_book import folds
from senformer_book.plotly_figures import figure_html, meta

LOGGER = logging.getLogger(__name__)

TAB = "tab: "
"""Prefix of the tag, followed by a title, of a code cell whose output becomes a tab."""

CLAIMS = "claims"
"""Tag of a code cell whose output is a table of claims."""

SCRIPTS = "_downloads/notebooks"
"""Folder of the site that holds the notebooks as scripts."""

TABLES = "_downloads/tables"
"""Folder of the site that holds the tables behind the figures."""

_REFERENCE_PAGE = "api_report"


def setup(app: Sphinx) -> None:
    """Register the hooks."""
    app.connect("source-read", _read)
    app.connect("doctree-read", lambda app, doctree: group_tabs(doctree))


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb":
        return
    notebook = nbformat.reads(source[0], as_version=4)
    write_script(notebook, Path(app.outdir) / SCRIPTS / f"{path.stem}.py")
    folds.mark(notebook)
    data_files = sorted((path.parent / "data").glob(f"{path.stem}*.csv"))
    if data_files:
        for data_file in data_files:
            app.env.note_dependency(str(data_file))
        _add_results(notebook, path, data_files, app)
    else:
        LOGGER.warning("%s: found no data/%s*.csv, which holds its provenance", path, path.stem)
    folds.add_switch(notebook, f"#{_origin_id(path.stem)}")
    source[0] = nbformat.writes(notebook)


def _add_results(notebook: NotebookNode, page: Path, data_files: list[Path], app: Sphinx) -> None:
    name = page.stem
    if any(data_file.name == f"{name}_claims.csv" for data_file in data_files):
        set_claims(notebook, name)
    frames = [results.read(data_file) for data_file in data_files]
    provenance = frames[0].attrs["provenance"]
    files = copy_tables(data_files, Path(app.outdir) / TABLES)
    root = "../" if app.builder.name == "html" else ""
    caption_figures(notebook, results.caption(provenance), name, files, root)
    notebook.cells.insert(1, note_older_results(page, commits_of(frames)))
    notebook.cells.append(describe_origin(name, data_files, provenance))
    write_figures(notebook)


def copy_tables(data_files: list[Path], folder: Path) -> set[str]:
    """Copy the tables behind a page's figures into the site.

    Args:
        data_files: The page's own tables. The function adds the tables of the benchmarks and of
            other publications, which some figures show.
        folder: Folder of the site.

    Returns:
        Names of the copied files.
    """
    elsewhere = (notebooks.ROOT / "benchmarks" / "results", published_tables.TABLES)
    files = [*data_files, *(path for place in elsewhere for path in sorted(place.glob("*.csv")))]
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.copyfile(path, folder / path.name)
    return {path.name for path in files}


def set_claims(notebook: NotebookNode, topic: str) -> None:
    """Replace the output of cells tagged `claims` by the directive `claims` for the topic."""
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if CLAIMS in cell.metadata.get("tags", ()):
            cell.outputs = []
            cells.append(nbformat.v4.new_markdown_cell(f"```{{claims}} {topic}\n:short:\n```"))
    notebook.cells = cells


def note_older_results(page: Path, commits: list[str]) -> NotebookNode:
    """Write a note if a page's results are older than the newest results of the book.

    Args:
        page: Path of the page, next to the folder `data` of all results.
        commits: Commits of the page's own results.

    Returns:
        A Markdown cell; empty if all results are of the newest commit.
    """
    newest, *others = (
        escape(shorten_commit(commit))
        for commit in dict.fromkeys([newest_commit(page.parent / "data"), *commits])
    )
    text = ""
    if others:
        named = "commit" if len(others) == 1 else "commits"
        text = (
            f":::{{note}}\nThe newest results are of commit {newest}. This page "
            f"shows older results, measured at {named} {', '.join(others)}.\n:::"
        )
    return nbformat.v4.new_markdown_cell(text)


def group_tabs(doctree: nodes.document) -> None:
    """Turn neighbouring code cells that have a tag `tab: <title>` into tabs with these titles."""
    cells = [node for node in doctree.findall(nodes.container) if _tab_title(node)]
    for cell in cells:
        title = _tab_title(cell)
        label = nodes.rubric(title, title, classes=["sd-tab-label"])
        content = create_component("tab-content", ["sd-tab-content"], children=[cell.deepcopy()])
        tab = create_component("tab-item", ["sd-tab-item"], children=[label, content])
        place = cell.parent.index(cell)
        before = cell.parent[place - 1] if place else None
        if is_component(before, "tab-set"):
            before += tab
            cell.parent.remove(cell)
        else:
            cell.replace_self(create_component("tab-set", ["sd-tab-set"], children=[tab]))


def _tab_title(node: nodes.Node) -> str:
    tags = node.get("cell_metadata", {}).get("tags", ())
    return next((tag.removeprefix(TAB) for tag in tags if tag.startswith(TAB)), "")


def caption_figures(
    notebook: NotebookNode, caption: str, name: str, files: set[str], root: str
) -> None:
    """Give every Plotly figure a caption, links to its origin, and an id.

    Args:
        notebook: Notebook whose figures the function changes.
        caption: Caption of figures that have none of their own.
        name: Name of the notebook.
        files: Names of the tables in the site.
        root: Path from the page to the site's first folder.
    """
    drawn: Counter[str] = Counter()
    for output in _figure_outputs(notebook):
        layout = output.data[PLOTLY_MIME]["layout"]
        own = meta(layout)
        links = {"notebook": f"#{_origin_id(name)}"}
        if own.get("file") in files:
            links["data"] = f"{root}{TABLES}/{own['file']}"
        identity = {}
        if function := own.get("drawn_by"):
            links["function"] = f"{root}{_REFERENCE_PAGE}.html#{function}"
            drawn[function] += 1
            identity["id"] = figure_id(name, function, drawn[function])
        layout["meta"] = {"caption": caption, **own, "links": links, **identity}


def figure_id(notebook: str, function: str, number: int = 1) -> str:
    """Return the id of a figure on a page; ids are numbered from the second figure on.

    Args:
        notebook: Name of the notebook.
        function: Full name of the function, as in the figure's `meta`.
        number: Position among the page's figures by this function, counted from 1.
    """
    short_name = ".".join(function.split(".")[-2:])
    return nodes.make_id(f"{notebook} {short_name}" + (f" {number}" if number > 1 else ""))


def write_figures(notebook: NotebookNode) -> None:
    """Replace every Plotly figure's JSON by its HTML, which MyST-NB shows unchanged."""
    for output in _figure_outputs(notebook):
        output.data = {"text/html": figure_html(output.data[PLOTLY_MIME])}


def describe_origin(
    name: str, data_files: list[Path], provenance: Mapping[str, Any]
) -> NotebookNode:
    """Write the section that states a page's origin and offers its files for download.

    Args:
        name: Name of the notebook, for example `memory`.
        data_files: Tables of the page, in the folder `data` next to it.
        provenance: Provenance of the tables, as `results.read` returns it.

    Returns:
        A Markdown cell.
    """
    versions = {"senformer": provenance["version"], **provenance["libraries"]}
    rows = {
        "Device": escape(provenance["device"]),
        "Data": escape(provenance["data"]),
        "Commit": f"<code>{escape(provenance['commit'])}</code>",
        "Version": escape(", ".join(f"{name} {version}" for name, version in versions.items())),
        "Time": escape(provenance["time_utc"]),
        "Seed": provenance["seed"],
        "Notebook": f"{{download}}`{name}.ipynb <{name}.ipynb>` as executed,"
        f' <a href="../{SCRIPTS}/{name}.py" download>{name}.py</a> as a script',
        "Tables": ", ".join(f"{{download}}`{path.name} <data/{path.name}>`" for path in data_files),
    }
    lines = [
        f"({_origin_id(name)})=",
        "## Where this comes from",
        "",
        f"% {folds.MARK}",
        "",
        ":::{list-table}",
        ":stub-columns: 1",
        *(f"* - {key}\n  - {value}" for key, value in rows.items()),
        ":::",
        "",
        f"The [page of claims](claims-{name}) compares the study's claims with these measurements."
        " This page is a notebook. The following command runs it again with its parameters:",
        "",
        fence(notebooks.command_for(name, provenance["parameters"])),
    ]
    return nbformat.v4.new_markdown_cell("\n".join(lines))


def _origin_id(name: str) -> str:
    # The name keeps ids unique where all pages are printed as one.
    return nodes.make_id(f"origin-{name}")


def write_script(notebook: NotebookNode, path: Path) -> None:
    """Write the executed notebook, including its parameters, as a py:percent script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(jupytext.writes(notebook, fmt="py:percent"))


def _figure_outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if PLOTLY_MIME in output.get("data", {}):
                yield output
