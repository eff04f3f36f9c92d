from docutils import nodes
from docutils.utils import new_document
from nbformat.v4 import new_markdown_cell, new_notebook
from senformer_book import folds


def test_mark_marks_tagged_cells():
    tagged = new_markdown_cell("## Folded", metadata={"tags": ["folded"]})
    notebook = new_notebook(cells=[new_markdown_cell("## Open"), tagged])
    folds.mark(notebook)
    assert [folds.MARK in cell.source for cell in notebook.cells] == [False, True]


def test_fold_keeps_the_title_of_marked_sections():
    def section(title, *content):
        return nodes.section("", nodes.title("", title), *content)

    deeper = section("Deeper", nodes.comment("", "x"))
    marked = section("Folded", nodes.comment("", folds.MARK), nodes.paragraph("", "b"), deeper)
    document = new_document("page")
    document += [section("Open", nodes.paragraph("", "a")), marked]
    folds.classify_marked(document)
    folds.fold_marked(document)
    opened, folded = document.children
    assert [node.astext() for node in opened] == ["Open", "a"]
    text = [node.astext() for node in folded]
    assert text[:4] == ["<details><summary>", "Folded", "</summary>", "b"]
    assert text[-1] == "</details>" and deeper["classes"] == []


def test_switch_follows_the_title():
    notebook = new_notebook(cells=[new_markdown_cell("# Memory\n\nHow much?")])
    folds.add_switch(notebook, "memory.ipynb")
    title, *switch, question = notebook.cells[0].source.splitlines()
    assert (title, question) == ("# Memory", "How much?")
    assert 'id="show-code"' in "".join(switch)
