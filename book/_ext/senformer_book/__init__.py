"""The website's machinery: one extension of Sphinx, whose parts stand in a file each."""

from typing import Any

from sphinx.application import Sphinx

from senformer_book import (
    api_docs,
    claim_tables,
    diagrams,
    external_links,
    figure_index,
    folds,
    front_page,
    glossary_links,
    html_repairs,
    mathml,
    notebook_pages,
    planner_form,
    plotly_figures,
    repository,
    sortable_tables,
)

_PARTS = (
    plotly_figures,
    folds,
    notebook_pages,
    figure_index,
    mathml,
    diagrams,
    claim_tables,
    html_repairs,
    api_docs,
    planner_form,
    front_page,
    external_links,
    repository,
    sortable_tables,
    glossary_links,
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register every part with Sphinx."""
    for part in _PARTS:
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
