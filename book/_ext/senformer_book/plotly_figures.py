"""Plotly figures on the pages of the book, which need no network.

The page contains a figure's JSON, and plotly_figures.js draws it. The site ships plotly.js from the
installed plotly package once; only pages with a figure load it, after their text.
"""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly
from docutils import nodes
from sphinx.application import Sphinx

DEFAULT_HEIGHT_PX = 450

_OPENING = '<figure class="plotly-figure"'

PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def figure_html(figure: Mapping[str, Any]) -> str:
    """Write the HTML of one figure: its JSON, a box of its height, and its description.

    Args:
        figure: A Plotly figure as a notebook stores it, `{"data": [...], "layout": {...}, ...}`.
            `layout.meta` holds its alternative text, `description`, and optionally the line under
            it, `caption`, the addresses of the links in that line by their words, `links`, and the
            anchor of the figure, `id`.

    Returns:
        A `<figure>` that plotly_figures.js fills.

    Raises:
        ValueError: If `figure` has no `data` or `layout`.
    """
    if not {"data", "layout"} <= figure.keys():
        raise ValueError(f"a Plotly figure needs 'data' and 'layout'; got {sorted(figure)}")
    layout = figure["layout"]
    about = meta(layout)
    description = html.escape(about.get("description", "Figure without a description"))
    anchor = f' id="{html.escape(about["id"])}"' if "id" in about else ""
    # The page reserves the figure's height, so that text does not move when it is drawn.
    height_px = int(layout.get("height") or DEFAULT_HEIGHT_PX)
    # "</script>" or "<!--" in a text of the figure would end or escape the element that holds it.
    figure_json = json.dumps(figure, separators=(",", ":")).replace("<", "\\u003c")
    parts = [
        f'{_OPENING}{anchor} aria-label="{description}">',
        f'<div class="plotly-figure-plot" style="min-height:{height_px}px"></div>',
        f'<script type="application/json">{figure_json}</script>',
        f"<noscript><p>A figure that needs JavaScript: {description}</p></noscript>",
    ]
    if "caption" in about:
        links = "".join(
            f' · <a href="{html.escape(address)}">{html.escape(words)}</a>'
            for words, address in about.get("links", {}).items()
        )
        parts.append(f"<figcaption>{html.escape(about['caption'])}{links}</figcaption>")
    return "\n".join([*parts, "</figure>"])


def meta(layout: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `layout.meta` if it is a mapping, else an empty one; Plotly accepts any value."""
    value = layout.get("meta")
    return value if isinstance(value, Mapping) else {}


def setup(app: Sphinx) -> None:
    """Register the hook that loads the scripts."""
    app.connect("html-page-context", _add_scripts)


def _add_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Add the scripts to a page that has a figure."""
    raw = doctree.findall(nodes.raw) if doctree is not None else ()
    if any(_OPENING in node.astext() for node in raw):
        for script in (PLOTLY_JS.name, "plotly_figures.js"):
            app.add_js_file(script, loading_method="defer")
