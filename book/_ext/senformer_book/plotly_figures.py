"""Plotly figures on the pages of the book, drawn without a network.

A figure's JSON stands in the page, and plotly_figures.js draws it. plotly.js is copied out of the
installed plotly package into the site, once, and only pages that show a figure load it, after their
text.
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
    """Write the HTML of one figure: its JSON, a box of its height, and words for who cannot see it.

    Args:
        figure: a Plotly figure as stored in a notebook, `{"data": [...], "layout": {...}, ...}`.
            `layout.meta["description"]` is its alternative text (its title, then its axes' titles,
            where it has none), `layout.meta["caption"]` the line under it, `layout.meta["links"]`
            what it leads to, addresses by the words of the link, and `layout.meta["id"]` its name
            in addresses.

    Returns:
        A `<figure>` that plotly_figures.js fills.

    Raises:
        ValueError: if `figure` has no `data` or `layout`.
    """
    if not {"data", "layout"} <= figure.keys():
        raise ValueError(f"a Plotly figure needs 'data' and 'layout'; got {sorted(figure)}")
    layout = figure["layout"]
    description = html.escape(describe(layout))
    name = meta(layout).get("id")
    named = f' id="{html.escape(name)}"' if name else ""
    parts = [
        f'{_OPENING}{named} aria-label="{description}">',
        f'<div class="plotly-figure-plot" style="min-height:{height_px(layout)}px"></div>',
        f'<script type="application/json">{_script_json(figure)}</script>',
        f"<noscript><p>A figure that needs JavaScript: {description}</p></noscript>",
        _figcaption(meta(layout)),
        "</figure>",
    ]
    return "\n".join(part for part in parts if part)


def _figcaption(about: Mapping[str, Any]) -> str:
    if "caption" not in about:
        return ""
    links = "".join(
        f' · <a href="{html.escape(address)}">{html.escape(words)}</a>'
        for words, address in about.get("links", {}).items()
    )
    return f"<figcaption>{html.escape(about['caption'])}{links}</figcaption>"


def describe(layout: Mapping[str, Any]) -> str:
    """Give a figure's alternative text: its description, else its title, else its axes' titles."""
    if description := meta(layout).get("description"):
        return str(description)
    axes = [layout.get(axis, {}) for axis in ("yaxis", "xaxis")]
    titles = [_title(part) for part in (layout, *axes)]
    return titles[0] or " against ".join(filter(None, titles[1:])) or "Figure without a description"


def meta(layout: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give `layout.meta` when it is a mapping; Plotly allows anything there."""
    value = layout.get("meta")
    return value if isinstance(value, Mapping) else {}


def height_px(layout: Mapping[str, Any]) -> int:
    """Give the height that a page reserves, so that text does not move under the reader."""
    return int(layout.get("height") or DEFAULT_HEIGHT_PX)


def setup(app: Sphinx) -> None:
    """Register the hook that loads the scripts."""
    app.connect("html-page-context", _load_scripts_where_needed)


def _load_scripts_where_needed(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    raw = doctree.findall(nodes.raw) if doctree is not None else ()
    if any(_OPENING in node.astext() for node in raw):
        for script in (PLOTLY_JS.name, "plotly_figures.js"):
            app.add_js_file(script, loading_method="defer")


def _script_json(figure: Mapping[str, Any]) -> str:
    # "</script>" or "<!--" in a text of the figure would end or escape the element that holds it.
    return json.dumps(figure, separators=(",", ":")).replace("<", "\\u003c")


def _title(part: Mapping[str, Any]) -> str:
    title = part.get("title") or ""
    return str(title.get("text", "") if isinstance(title, Mapping) else title)
