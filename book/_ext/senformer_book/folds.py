"""Fold sections of a page, and hide the code of a results page behind one switch.

A section is folded if its Markdown cell has the tag `folded`; a link to anything in the section
opens it. The switch shows all code of the page or none. Both are plain HTML; folds.js opens folds
for links and for printing.
"""

from docutils import nodes
from nbformat import NotebookNode
from sphinx.application import Sphinx

TAG = "folded"
"""Tag of the Markdown cell that begins a folded section."""

MARK = "senformer_book: folded"
"""Text of the comment, `% ...` on its own line, that marks the section that contains it."""

_CLASS = "folded-section"
_SWITCH = (
    '<p class="code-switch"><label><input type="checkbox" id="show-code"> Show the code</label>'
    ' · <a href="{origin}">notebook and data</a></p>'
)


def mark(notebook: NotebookNode) -> None:
    """Add the comment `MARK` to each Markdown cell that has the tag `TAG`."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and TAG in cell.metadata.get("tags", ()):
            cell.source = f"{cell.source}\n\n% {MARK}"


def add_switch(notebook: NotebookNode, origin: str) -> None:
    """Add the code switch, and a link to the page's origin, below the title.

    Args:
        notebook: Notebook whose first cell holds the title; the function changes this cell.
        origin: Address of the section that offers notebook and data.
    """
    title, _, rest = notebook.cells[0].source.partition("\n")
    switch = _SWITCH.format(origin=origin)
    notebook.cells[0].source = f"{title}\n\n```{{raw}} html\n{switch}\n```\n{rest}"


def classify_marked(doctree: nodes.document) -> None:
    """Replace each mark by a class of its section, when Sphinx has read a page."""
    for comment in [node for node in doctree.findall(nodes.comment) if node.astext() == MARK]:
        section = comment.parent
        section["classes"].append(_CLASS)
        section.remove(comment)


def fold_marked(doctree: nodes.document) -> None:
    """Fold each section of the class under its title, when Sphinx writes a page.

    Folding earlier would break the table of contents, which expects a section's title first.
    """
    for section in doctree.findall(nodes.section):
        if _CLASS in section["classes"]:
            title, *content = section.children
            section.children = []
            opening, closing, end = (
                nodes.raw("", text, format="html")
                for text in ("<details><summary>", "</summary>", "</details>")
            )
            section += [opening, title, closing, *content, end]


def setup(app: Sphinx) -> None:
    """Register the hooks and the script."""
    app.connect("doctree-read", lambda app, doctree: classify_marked(doctree))
    app.connect("doctree-resolved", _fold)
    app.add_js_file("folds.js", loading_method="defer")


def _fold(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if app.builder.name == "html":  # the printed book, one page, has no folds
        fold_marked(doctree)
