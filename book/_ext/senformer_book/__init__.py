"""The Sphinx extension of this website; each part registers itself with `setup`."""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from senformer_book import (
    api_docs,
    claim_tables,
    external_links,
    figure_index,
    folds,
    front_page,
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
    claim_tables,
    html_repairs,
    api_docs,
    planner_form,
    front_page,
    external_links,
    repository,
    sortable_tables,
)
_SCRIPTS = Path(__file__).parent / "static"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register every part, and the folder and files of its scripts, with Sphinx."""
    app.connect("config-inited", _add_scripts)
    for part in _PARTS:
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _add_scripts(app: Sphinx, config: Config) -> None:
    config.html_static_path += [str(_SCRIPTS), str(plotly_figures.PLOTLY_JS)]
