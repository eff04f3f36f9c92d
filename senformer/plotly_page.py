"""Plotly figures of notebooks on the pages of the book, drawn without a network.

A notebook stores a figure as `application/vnd.plotly.v1+json`. myst-nb asks `PlotlyMimeRenderer`
(an entry point of group `myst_nb.mime_renderers`) for its place on the page; Sphinx loads `setup`,
which copies plotly.js out of the installed plotly package into the site, once, and asks only pages
that show a figure to load it, after their text.
"""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import plotly
from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer
from sphinx.application import Sphinx

PLOTLY_MIME = "application/vnd.plotly.v1+json"
FIGURE_CLASS = "plotly-figure"
DEFAULT_HEIGHT_PX = 450

_HERE = Path(__file__).parent
_PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_SCRIPTS = (_PLOTLY_JS, _HERE / "plotly_page.js")
_STYLE = _HERE / "plotly_page.css"


class PlotlyMimeRenderer:
    """myst-nb's plugin for Plotly figures: the JSON goes into the page, plotly_page.js draws it.

    Protocol: `myst_nb.core.render.MimeRenderPlugin`.
    """

    mime_priority_overrides: ClassVar[list[tuple[str, str, int | None]]] = [
        (builder, PLOTLY_MIME, 0) for builder in ("html", "dirhtml", "singlehtml")
    ]

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Give the page's node for a Plotly figure, or None for any other output."""
        if inline or data.mime_type != PLOTLY_MIME:
            return None
        content = data.content
        figure = json.loads(content) if isinstance(content, str | bytes) else content
        return [nodes.raw("", figure_html(figure), format="html", classes=[FIGURE_CLASS])]


def figure_html(figure: Mapping[str, Any]) -> str:
    """Write the HTML of one figure: its JSON, a box of its height, and words for who cannot see it.

    Args:
        figure: a Plotly figure as stored in a notebook, `{"data": [...], "layout": {...}, ...}`.
            `layout.meta["description"]` is its alternative text (its title, then its axes' titles,
            where it has none), `layout.meta["caption"]` the line under it, and
            `layout.meta["source"]` the address of what it was drawn from.

    Returns:
        A `<figure>` that plotly_page.js fills.

    Raises:
        ValueError: if `figure` has no `data` or `layout`.
    """
    if not {"data", "layout"} <= figure.keys():
        raise ValueError(f"a Plotly figure needs 'data' and 'layout'; got {sorted(figure)}")
    layout = figure["layout"]
    description = html.escape(describe(layout))
    parts = [
        f'<figure class="{FIGURE_CLASS}" aria-label="{description}">',
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
    address = html.escape(about.get("source", ""))
    link = f' · <a href="{address}">data and notebook</a>' if address else ""
    return f"<figcaption>{html.escape(about['caption'])}{link}</figcaption>"


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


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the site's scripts and style with Sphinx."""
    app.connect("builder-inited", _copy_assets)
    app.connect("html-page-context", _load_scripts_where_needed)
    app.add_css_file(_STYLE.name)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _copy_assets(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    for source in (*_SCRIPTS, _STYLE):
        # Written before any page, so that Sphinx can put the files' checksums into the addresses.
        (static / source.name).write_bytes(source.read_bytes())


def _load_scripts_where_needed(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    if doctree is not None and any(
        FIGURE_CLASS in node["classes"] for node in doctree.findall(nodes.raw)
    ):
        for script in _SCRIPTS:
            app.add_js_file(script.name, loading_method="defer")


def _script_json(figure: Mapping[str, Any]) -> str:
    # "</script>" or "<!--" in a text of the figure would end or escape the element that holds it.
    return json.dumps(figure, separators=(",", ":")).replace("<", "\\u003c")


def _title(part: Mapping[str, Any]) -> str:
    title = part.get("title") or ""
    return str(title.get("text", "") if isinstance(title, Mapping) else title)
