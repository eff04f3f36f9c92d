"""What a results page does not show at once: sections that are folded, code behind one switch.

A section is folded whose markdown cell carries the tag `folded`; a link to anything in it opens it.
Code is shown on the whole page or not at all. Both are plain HTML, which needs no script but for
opening a fold by a link and for paper, where nothing is folded.
"""

from pathlib import Path

from docutils import nodes
from nbformat import NotebookNode
from sphinx.application import Sphinx

from senformer_book import static_files

TAG = "folded"
"""Of a markdown cell that begins a section to be folded."""

MARK = "senformer_book: folded"
"""The comment, `% ...` on a line of its own, that marks the section that it stands in."""

_CLASS = "folded-section"
_HERE = Path(__file__).parent
_SCRIPT, _STYLE = _HERE / "folds.js", _HERE / "folds.css"
_SWITCH = (
    '<p class="code-switch"><label><input type="checkbox" id="show-code"> Show the code</label>'
    ' · <a href="{origin}">notebook and data</a></p>'
)


def mark(notebook: NotebookNode) -> None:
    """Mark the sections to be folded, by the tags of their cells, for `fold_marked`.

    Args:
        notebook: its markdown cells with the tag are changed.
    """
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and TAG in cell.metadata.get("tags", ()):
            cell.source = f"{cell.source}\n\n% {MARK}"


def add_switch(notebook: NotebookNode, origin: str) -> None:
    """Put the switch for the page's code, and a link to where it comes from, below its title.

    Args:
        notebook: its first cell is changed: the title and what follows it.
        origin: the address of the section that offers notebook and data.
    """
    title, _, rest = notebook.cells[0].source.partition("\n")
    switch = _SWITCH.format(origin=origin)
    notebook.cells[0].source = f"{title}\n\n```{{raw}} html\n{switch}\n```\n{rest}"


def classify_marked(doctree: nodes.document) -> None:
    """Turn marks into a class of their sections, while the tree is read."""
    for comment in [node for node in doctree.findall(nodes.comment) if node.astext() == MARK]:
        section = comment.parent
        section["classes"].append(_CLASS)
        section.remove(comment)


def fold_marked(doctree: nodes.document) -> None:
    """Fold the sections of the class: their titles stay, and open what is below them.

    Done as the page is written: the table of contents looks for a title first in a section.
    """
    for section in doctree.findall(nodes.section):
        if _CLASS in section["classes"]:
            title, *content = section.children
            section.children = []
            section += [
                _html("<details><summary>"),
                title,
                _html("</summary>"),
                *content,
                _html("</details>"),
            ]


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("doctree-read", lambda app, doctree: classify_marked(doctree))
    app.connect("doctree-resolved", _fold)
    static_files.ship(app, (_SCRIPT, _STYLE))
    app.add_css_file(_STYLE.name)
    app.add_js_file(_SCRIPT.name, loading_method="defer")


def _fold(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if app.builder.name == "html":  # all pages in one are for paper
        fold_marked(doctree)
