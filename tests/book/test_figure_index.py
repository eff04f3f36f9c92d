"""Each of the study's figures has a notebook, a function and a table."""

import importlib
import re

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
    package, _, module_name = module.rpartition(".")
    source = (notebooks.NOTEBOOKS / f"{figure.notebook}.py").read_text()
    alias = re.search(rf"^from {package} import {module_name} as (\w+)$", source, re.M)[1]
    assert f"{alias}.{name}(" in source
    assert (site.BOOK / "results" / "data" / figure.table).is_file()
    assert figure.table.startswith(figure.notebook)
