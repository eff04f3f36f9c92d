"""Small repairs of the HTML that the libraries write, where it misleads a screen reader.

Each is a rule of axe-core that tests/test_site.py checks on every page.
"""

from typing import Any

from sphinx.application import Sphinx

_REPAIRS = (
    # myst-nb names every fold the same and hides its words, "Show code", from who listens.
    (' aria-label="Toggle hidden content"', ""),
    # docutils declares a list whose children are not list items.
    (' role="list" class="citation-list"', ' class="citation-list"'),
    (' role="doc-biblioentry"', ""),
    # A wide table scrolls in its own box, which the keyboard has to reach; a figure does not.
    (
        '<div class="output text_html">\n<table',
        '<div class="output text_html" tabindex="0">\n<table',
    ),
)


def repaired(body: str) -> str:
    """Give a page's HTML without its libraries' known errors."""
    for wrong, right in _REPAIRS:
        body = body.replace(wrong, right)
    return body


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("html-page-context", _repair)


def _repair(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if "body" in context:
        context["body"] = repaired(context["body"])
