"""An executed notebook as a page of the book: code folded, and where its numbers come from.

The notebook's file stays as it was run. When Sphinx reads it, every code cell is folded (nothing
is removed; one click opens it), neighbouring cells become tabs where their tags say so, every
figure gets a line with device, data, commit and date, the table of claims is set as on the page of
claims, and a last section offers the notebook, the script and the data files for download.
"""

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
from senformer.workflow import notebooks
from senformer.workflow.site import PLOTLY_MIME
from senformer_book.plotly_figures import figure_html, meta

LOGGER = logging.getLogger(__name__)

SCRIPTS = "_downloads/notebooks"
"""Folder of the site that holds the notebooks as scripts."""

TAB = "tab: "
"""Tag of a code cell whose output shares its place with that of its neighbours, and the title."""

_CLAIMS = {"claims": "measured", "claims: stored": "stored"}
"""Tags of code cells whose output is a table of claims, and how the page of claims sets it."""

_PROMPTS = {
    "parameters": "parameters and their defaults",
    "injected-parameters": "parameters of this run",
}


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
    fold_code(notebook)
    if data_files := tables(path):
        if f"{path.stem}_claims.csv" in {data_file.name for data_file in data_files}:
            set_claims(notebook, path.stem)
        for data_file in data_files:
            app.env.note_dependency(str(data_file))
        provenance = results.read(data_files[0]).attrs["provenance"]
        caption_figures(notebook, results.caption(provenance), f"#{_origin_id(path.stem)}")
        notebook.cells.append(origin(path.stem, data_files, provenance))
        write_figures(notebook)
    else:
        LOGGER.warning("%s: no data/%s*.csv beside it says where it comes from", path, path.stem)
    source[0] = nbformat.writes(notebook)


def tables(page: Path) -> list[Path]:
    """List the data files beside a results page: `data/<name>*.csv`."""
    return sorted((page.parent / "data").glob(f"{page.stem}*.csv"))


def fold_code(notebook: NotebookNode) -> None:
    """Tag every code cell so that the page shows its output and folds its source."""
    for cell in _code_cells(notebook):
        tags = cell.metadata.setdefault("tags", [])
        what = next((words for tag, words in _PROMPTS.items() if tag in tags), "code")
        cell.metadata["mystnb"] = {
            "code_prompt_show": f"Show {what}",
            "code_prompt_hide": f"Hide {what}",
        }
        tags.append("hide-input")


def set_claims(notebook: NotebookNode, topic: str) -> None:
    """Set the tables of claims as the page of claims sets them: from the same file, with notes.

    Args:
        notebook: its cells tagged `claims`, or `claims: stored` for those that the study's own
            stored results judge, lose their output to a cell of prose.
        topic: of the claims, the notebook's name.
    """
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        for tag in cell.metadata.get("tags", ()):
            if tag in _CLAIMS:
                cell.outputs = []
                table = f"```{{claims}} {topic}\n:short:\n:{_CLAIMS[tag]}:\n```"
                cells.append(nbformat.v4.new_markdown_cell(table))
    notebook.cells = cells


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


def caption_figures(notebook: NotebookNode, caption: str, source: str) -> None:
    """Put under every Plotly figure where it comes from.

    Args:
        notebook: Its figures are changed.
        caption: The line for figures that have none of their own.
        source: Address of what the figures were drawn from.
    """
    for figure in _figures(notebook):
        own = meta(figure["layout"])
        figure["layout"]["meta"] = {"caption": caption, **own, "source": source}


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
