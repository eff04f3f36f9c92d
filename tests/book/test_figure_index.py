"""Each of the study's figures has a notebook, a function and a table."""

import ast
import importlib

import pytest

from senformer.report.study_figures import STUDY_FIGURES
from senformer.workflow import notebooks, site


def test_index_lists_all_eight_figures_in_order():
    numbers = [figure.number for figure in STUDY_FIGURES]
    assert numbers == sorted(numbers) and set(numbers) == set(range(1, 9))


@pytest.mark.parametrize("figure", STUDY_FIGURES, ids=lambda figure: figure.function)
def test_notebook_calls_the_function(figure):
    module, name = figure.function.rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), name))
    source = (notebooks.NOTEBOOKS / f"{figure.notebook}.py").read_text()
    tree = ast.parse(source)
    aliases = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{node.module}.{alias.name}" == module
    }
    called = {
        (node.func.value.id, node.func.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
    }
    assert any((alias, name) in called for alias in aliases)
    assert (site.BOOK / "results" / "data" / figure.table).is_file()
    assert figure.table.startswith(figure.notebook)
