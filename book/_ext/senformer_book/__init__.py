"""The website's machinery: one extension of Sphinx, whose parts stand in a file each."""

import os
from typing import Any

from sphinx.application import Sphinx

from senformer_book import (
    api_docs,
    claim_tables,
    diagrams,
    external_links,
    front_page,
    html_repairs,
    mathml,
    notebook_pages,
    planner_form,
    plotly_figures,
)

_PARTS = (
    plotly_figures,
    notebook_pages,
    mathml,
    diagrams,
    claim_tables,
    html_repairs,
    api_docs,
    planner_form,
    front_page,
    external_links,
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register every part with Sphinx."""
    _use_all_cores(app)
    for part in _PARTS:
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _use_all_cores(app: Sphinx) -> None:
    """Read and write pages side by side, as `sphinx-build --jobs`: Jupyter Book has no option."""
    app.parallel = os.cpu_count() or 1
    # It numbers sections when all pages have been read, and does not say that this is safe.
    if numbering := app.extensions.get("sphinx_multitoc_numbering"):
        numbering.parallel_read_safe = True
