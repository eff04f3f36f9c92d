"""Repair the HTML of docutils and MyST-NB where it breaks accessibility rules of axe-core."""

from typing import Any

from sphinx.application import Sphinx

_REPAIRS = (
    # docutils declares a list whose children are not list items.
    (' role="list" class="citation-list"', ' class="citation-list"'),
    (' role="doc-biblioentry"', ""),
    # A wide table scrolls in its own box, which the keyboard must reach; a figure does not scroll.
    (
        '<div class="output text_html">\n<table',
        '<div class="output text_html" tabindex="0">\n<table',
    ),
)


def setup(app: Sphinx) -> None:
    """Register the hook that repairs each page."""
    app.connect("html-page-context", _repair)


def _repair(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    for wrong, right in _REPAIRS:
        if "body" in context:
            context["body"] = context["body"].replace(wrong, right)
