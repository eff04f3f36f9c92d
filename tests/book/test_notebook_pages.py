import html

import pandas as pd
import pytest
from docutils import nodes
from docutils.utils import new_document
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from provenance_example import PROVENANCE
from senformer_book import notebook_pages

from senformer.report import results
from senformer.workflow import notebooks
from senformer.workflow.executed_notebooks import PLOTLY_MIME


def figure_output(**layout):
    return new_output("display_data", data={PLOTLY_MIME: {"data": [], "layout": layout}})


@pytest.fixture
def notebook():
    return new_notebook(
        cells=[
            new_markdown_cell("# Memory"),
            new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
            new_code_cell("seed = 1", metadata={"tags": ["injected-parameters"]}),
            new_code_cell("figure.show()", outputs=[figure_output(), figure_output(meta="text")]),
        ]
    )


def test_set_claims_replaces_tagged_output(notebook):
    shown = new_output("display_data", data={"text/html": "<table>"})
    source = "tables.show(judged)"
    notebook.cells.append(new_code_cell(source, outputs=[shown], metadata={"tags": ["claims"]}))
    notebook.cells.append(new_markdown_cell("## After"))
    before = notebook.cells[-3].outputs
    notebook_pages.set_claims(notebook, "memory")
    kinds = [cell.cell_type for cell in notebook.cells[-3:]]
    assert kinds == ["code", "markdown", "markdown"]
    assert notebook.cells[-3].source == source and notebook.cells[-3].outputs == []
    assert notebook.cells[-2].source == "```{claims} memory\n:short:\n```"
    assert notebook.cells[-4].outputs == before != []


def test_write_figures_keeps_other_outputs(notebook):
    other = new_output("display_data", data={"text/html": "<table>"})
    notebook.cells[-1].outputs.append(other)
    notebook_pages.write_figures(notebook)
    *figures, table = (output.data for output in notebook.cells[-1].outputs)
    assert table == {"text/html": "<table>"}
    assert [list(figure) for figure in figures] == [["text/html"]] * 2
    assert all('<figure class="plotly-figure"' in figure["text/html"] for figure in figures)


DRAWN = {"drawn_by": "senformer.report.figures.cost.memory", "file": "memory.csv"}


def test_caption_links_notebook_table_and_function(notebook):
    own = {"caption": "own", "description": "d", **DRAWN}
    notebook.cells[-1].outputs += [figure_output(meta=own), figure_output(meta=DRAWN)]
    notebook_pages.caption_figures(notebook, "of the page", "memory", {"memory.csv"}, "../")
    metas = [output.data[PLOTLY_MIME]["layout"]["meta"] for output in notebook.cells[-1].outputs]
    only_notebook = {"notebook": "#origin-memory"}
    assert metas[:2] == [{"caption": "of the page", "links": only_notebook}] * 2
    assert [meta["caption"] for meta in metas[2:]] == ["own", "of the page"]
    assert [meta["id"] for meta in metas[2:]] == ["memory-cost-memory", "memory-cost-memory-2"]
    for meta in metas[2:]:
        assert meta["links"] == {
            **only_notebook,
            "data": "../_downloads/tables/memory.csv",
            "function": "../api_report.html#senformer.report.figures.cost.memory",
        }
    notebook_pages.caption_figures(notebook, "of the page", "memory", set(), "")
    assert "data" not in notebook.cells[-1].outputs[-1].data[PLOTLY_MIME]["layout"]["meta"]["links"]


def test_copy_tables_adds_benchmarks_and_publications(tmp_path):
    own = tmp_path / "memory.csv"
    own.write_text("x")
    names = notebook_pages.copy_tables([own], tmp_path / "site")
    assert {"memory.csv", "steps_on_gpu.csv", "long_range_arena.csv"} <= names
    assert {path.name for path in (tmp_path / "site").iterdir()} == names


def write_table(folder, name, commit, day):
    provenance = PROVENANCE | {"commit": commit, "time_utc": f"2026-01-0{day}T00:00:00+00:00"}
    results.write(pd.DataFrame({"x": [1]}), folder / "data" / f"{name}.csv", provenance)


def test_older_results_are_noted(tmp_path):
    write_table(tmp_path, "memory", "a" * 40, 1)
    write_table(tmp_path, "runtime", "b" * 40, 2)
    page = tmp_path / "memory.ipynb"
    note = notebook_pages.note_older_results(page, ["a" * 40, "b" * 40]).source
    assert "newest results are of commit bbbbbbb" in note
    assert "measured at commit aaaaaaa." in note
    assert notebook_pages.note_older_results(page, ["b" * 40]).source == ""


def test_origin_states_provenance(tmp_path):
    tables = [tmp_path / "memory.csv", tmp_path / "memory_layers.csv"]
    text = html.unescape(notebook_pages.describe_origin("memory", tables, PROVENANCE).source)
    for expected in (
        "a test's device",
        "simulated",
        "0123456789",
        "2026-01-02T03:04:05+00:00",
        "senformer 0.1.0, python 3.11",
        "{download}`memory.ipynb <memory.ipynb>`",
        "{download}`memory_layers.csv <data/memory_layers.csv>`",
        "senformer run memory",
    ):
        assert expected in text


def test_origin_command_repeats_the_run():
    model = notebooks.parameters_for("memory", profile="cpu", parameters={"steps": 9})
    parameters = model.model_dump()
    text = notebook_pages.describe_origin(
        "memory", [], {**PROVENANCE, "parameters": parameters}
    ).source
    assert "senformer run memory --profile cpu \\\n  -p steps=9\n" in text


def test_script_keeps_the_order_of_cells(notebook, tmp_path):
    path = tmp_path / "scripts" / "memory.py"
    notebook_pages.write_script(notebook, path)
    text = path.read_text()
    assert "# # Memory" in text
    assert text.index("seed = 0") < text.index("seed = 1") < text.index("figure.show()")


def test_group_tabs_joins_neighbouring_cells():
    def cell(*tags):
        return nodes.container(cell_metadata={"tags": list(tags)}, classes=list(tags))

    section = nodes.section("", cell("tab: a"), cell("tab: b"), nodes.paragraph(), cell("tab: c"))
    section += cell("plain")
    doctree = new_document("page")
    doctree += section
    notebook_pages.group_tabs(doctree)
    kinds = [node.get("design_component", type(node).__name__) for node in section]
    assert kinds == ["tab-set", "paragraph", "tab-set", "container"]
    labels = [[item[0].astext() for item in tab_set] for tab_set in (section[0], section[2])]
    assert labels == [["a", "b"], ["c"]]
    assert section[0][1][1][0]["classes"] == ["tab: b"]
