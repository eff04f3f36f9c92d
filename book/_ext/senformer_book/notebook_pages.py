"""An executed notebook as a page of the book: answer first, and where its numbers come from.

The notebook's file stays as it was run. When Sphinx reads it, code goes behind one switch and
sections are folded (`senformer_book.folds`), neighbouring cells become tabs where their tags say
so, every figure gets a line with device, data, commit and date and links to its table, its notebook
and the function that drew it, the table of claims is set as on the page of claims, and a last
section offers the notebook, the script and the data files for download.
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
from senformer.study import published_tables
from senformer.workflow import notebooks
from senformer.workflow.publication import commits_of, newest_commit
from senformer.workflow.site import PLOTLY_MIME
from senformer_book import folds
from senformer_book.plotly_figures import figure_html, meta

LOGGER = logging.getLogger(__name__)

SCRIPTS = "_downloads/notebooks"
"""Folder of the site that holds the notebooks as scripts."""

TAB = "tab: "
"""Tag of a code cell whose output shares its place with that of its neighbours, and the title."""

CLAIMS = "claims"
"""Tag of a code cell whose output is a table of claims."""

TABLES = "_downloads/tables"
"""Folder of the site that holds what figures were drawn from."""

_PAGE_OF_FUNCTIONS = "api_report"


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    app.connect("doctree-read", lambda app, doctree: group_tabs(doctree))


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb":
        return
    notebook = nbformat.reads(source[0], as_version=4)
    write_script(notebook, Path(app.outdir) / SCRIPTS / f"{path.stem}.py")
    folds.mark(notebook)
    if data_files := tables(path):
        if f"{path.stem}_claims.csv" in {data_file.name for data_file in data_files}:
            set_claims(notebook, path.stem)
        for data_file in data_files:
            app.env.note_dependency(str(data_file))
        frames = [results.read(data_file) for data_file in data_files]
        provenance = frames[0].attrs["provenance"]
        files = copy_tables(data_files, Path(app.outdir) / TABLES)
        to_root = "../" if app.builder.name == "html" else ""
        caption_figures(notebook, results.caption(provenance), path.stem, files, to_root)
        notebook.cells.insert(1, older_than_the_rest(path, commits_of(frames)))
        notebook.cells.append(origin(path.stem, data_files, provenance))
        write_figures(notebook)
    else:
        LOGGER.warning("%s: no data/%s*.csv beside it says where it comes from", path, path.stem)
    folds.add_switch(notebook, f"#{_origin_id(path.stem)}")
    source[0] = nbformat.writes(notebook)


def tables(page: Path) -> list[Path]:
    """List the data files beside a results page: `data/<name>*.csv`."""
    return sorted((page.parent / "data").glob(f"{page.stem}*.csv"))


def copy_tables(data_files: list[Path], folder: Path) -> set[str]:
    """Put into the site what its figures were drawn from, so that each can lead to its table.

    Args:
        data_files: the page's own tables; those of benchmarks and what others published, which
            some figures are drawn from, go along.
        folder: of the site.

    Returns:
        The names of the files there.
    """
    elsewhere = (notebooks.ROOT / "benchmarks" / "results", published_tables.TABLES)
    files = [*data_files, *(path for place in elsewhere for path in sorted(place.glob("*.csv")))]
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.copyfile(path, folder / path.name)
    return {path.name for path in files}


def set_claims(notebook: NotebookNode, topic: str) -> None:
    """Set the table of claims as the page of claims sets it: from the same file, with notes.

    Args:
        notebook: its cells tagged `claims` lose their output to a cell of prose.
        topic: of the claims, the notebook's name.
    """
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if CLAIMS in cell.metadata.get("tags", ()):
            cell.outputs = []
            cells.append(nbformat.v4.new_markdown_cell(f"```{{claims}} {topic}\n:short:\n```"))
    notebook.cells = cells


def older_than_the_rest(page: Path, commits: list[str]) -> NotebookNode:
    """Say at a page's top that what it shows is of another commit than the newest results.

    Args:
        page: whose results lie beside those of the other pages.
        commits: of its own results.

    Returns:
        A markdown cell, empty where there is nothing to say.
    """
    newest = newest_commit(page.parent / "data")
    others = [commit[:7] for commit in commits if commit != newest]
    text = ""
    if others:
        named = "commit" if len(others) == 1 else "commits"
        text = (
            f":::{{note}}\nOlder than the newest results, which are of commit {newest[:7]}: what "
            f"this page shows was measured at {named} {', '.join(others)}.\n:::"
        )
    return nbformat.v4.new_markdown_cell(text)


def group_tabs(doctree: nodes.document) -> None:
    """Turn neighbouring code cells that carry a tag `tab: <title>` into tabs of those titles."""
    cells = [node for node in doctree.findall(nodes.container) if _tab_title(node)]
    for cell in cells:
        tab = _tab(cell)
        place = cell.parent.index(cell)
        before = cell.parent[place - 1] if place else None
        if is_component(before, "tab-set"):
            before += tab
            cell.parent.remove(cell)
        else:
            cell.replace_self(create_component("tab-set", ["sd-tab-set"], children=[tab]))


def _tab(cell: nodes.container) -> nodes.container:
    title = _tab_title(cell)
    label = nodes.rubric(title, title, classes=["sd-tab-label"])
    content = create_component("tab-content", ["sd-tab-content"], children=[cell.deepcopy()])
    return create_component("tab-item", ["sd-tab-item"], children=[label, content])


def _tab_title(node: nodes.Node) -> str:
    tags = node.get("cell_metadata", {}).get("tags", ())
    return next((tag.removeprefix(TAB) for tag in tags if tag.startswith(TAB)), "")


def caption_figures(
    notebook: NotebookNode, caption: str, name: str, files: set[str], to_root: str
) -> None:
    """Put under every Plotly figure where it comes from, with links to all of it, and name it.

    Args:
        notebook: its figures are changed.
        caption: the line for figures that have none of their own.
        name: the notebook's name.
        files: tables that the site holds, by name.
        to_root: how the page leads to the site's first folder.
    """
    drawn: Counter[str] = Counter()
    for figure in _figures(notebook):
        own = meta(figure["layout"])
        links = {"notebook": f"#{_origin_id(name)}"}
        if own.get("file") in files:
            links["data"] = f"{to_root}{TABLES}/{own['file']}"
        named = {}
        if function := own.get("drawn_by"):
            links["function"] = f"{to_root}{_PAGE_OF_FUNCTIONS}.html#{function}"
            drawn[function] += 1
            named["id"] = figure_id(name, function, drawn[function])
        figure["layout"]["meta"] = {"caption": caption, **own, "links": links, **named}


def figure_id(notebook: str, function: str, number: int = 1) -> str:
    """The id of a page's figure: of the notebook and the function; from the second on numbered.

    Args:
        notebook: its name.
        function: with its module, as a figure's `meta` names it.
        number: which of the page's figures of this function it is.
    """
    of_module = ".".join(function.split(".")[-2:])
    return nodes.make_id(f"{notebook} {of_module}" + (f" {number}" if number > 1 else ""))


def write_figures(notebook: NotebookNode) -> None:
    """Put the HTML of every Plotly figure in place of its JSON: what myst-nb shows as it is.

    Args:
        notebook: Its figures are changed, so it is the last that is done to them.
    """
    for cell in _code_cells(notebook):
        for output in cell.outputs:
            if figure := output.get("data", {}).get(PLOTLY_MIME):
                output.data = {"text/html": figure_html(figure)}


def origin(name: str, data_files: list[Path], provenance: Mapping[str, Any]) -> NotebookNode:
    """Write the section that says what produced a page, and offers all of it for download.

    Args:
        name: the notebook's name, for example `memory`.
        data_files: its tables, below `data/` beside the page.
        provenance: that of the tables, as `results.read` gives it.

    Returns:
        A markdown cell.
    """
    libraries = ", ".join(
        f"{library} {version}" for library, version in provenance["libraries"].items()
    )
    rows = {
        "Device": provenance["device"],
        "Data": provenance["data"],
        "Commit": f"`{provenance['commit']}`",
        "Version": f"senformer {provenance['version']}, {libraries}",
        "Time": provenance["time_utc"],
        "Seed": provenance["seed"],
        "Notebook": f"{{download}}`{name}.ipynb <{name}.ipynb>` as it was run,"
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
        f"What the study states about this is [on the page of claims](claims-{name}), beside what"
        " was measured. This page is a notebook; one command runs it again with its parameters:",
        "",
        "```",
        notebooks.command_for(name, provenance["parameters"]),
        "```",
    ]
    return nbformat.v4.new_markdown_cell("\n".join(lines))


def _origin_id(name: str) -> str:
    # With the page's name, since all pages can be one.
    return nodes.make_id(f"origin-{name}")


def write_script(notebook: NotebookNode, path: Path) -> None:
    """Write the notebook that was run, its parameters included, as a py:percent script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(jupytext.writes(notebook, fmt="py:percent"))


def _figures(notebook: NotebookNode) -> Iterator[dict[str, Any]]:
    for cell in _code_cells(notebook):
        for output in cell.outputs:
            if figure := output.get("data", {}).get(PLOTLY_MIME):
                yield figure


def _code_cells(notebook: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in notebook.cells if cell.cell_type == "code")
