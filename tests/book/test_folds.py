from docutils import nodes
from docutils.utils import new_document
from nbformat.v4 import new_markdown_cell, new_notebook
from senformer_book import folds


def section(title, *content):
    return nodes.section("", nodes.title("", title), *content)


def test_a_cell_with_the_tag_marks_the_section_that_it_begins():
    tagged = new_markdown_cell("## Folded", metadata={"tags": ["folded"]})
    notebook = new_notebook(cells=[new_markdown_cell("## Open"), tagged])
    folds.mark(notebook)
    assert [folds.MARK in cell.source for cell in notebook.cells] == [False, True]


def test_a_marked_section_keeps_its_title_and_folds_the_rest():
    document = new_document("page")
    mark = nodes.comment("", folds.MARK)
    document += [
        section("Open", nodes.paragraph("", "a")),
        section(
            "Folded", mark, nodes.paragraph("", "b"), section("Deeper", nodes.comment("", "x"))
        ),
    ]
    folds.classify_marked(document)
    folds.fold_marked(document)
    opened, folded = document.children
    assert [type(node).__name__ for node in opened] == ["title", "paragraph"]
    text = [node.astext() for node in folded]
    assert text[:4] == ["<details><summary>", "Folded", "</summary>", "b"]
    assert text[-1] == "</details>"
    [deeper] = [node for node in folded if isinstance(node, nodes.section)]
    assert deeper["classes"] == [] and deeper[0].astext() == "Deeper"


def test_the_switch_stands_below_the_title():
    notebook = new_notebook(cells=[new_markdown_cell("# Memory\n\nHow much?")])
    folds.add_switch(notebook, "memory.ipynb")
    title, *_, question = notebook.cells[0].source.splitlines()
    assert (title, question) == ("# Memory", "How much?")
    assert 'id="show-code"' in notebook.cells[0].source
