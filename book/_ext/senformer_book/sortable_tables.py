"""Tables of results that a reader can sort by a column and, if they are long, filter.

Without JavaScript they are plain tables.
"""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> None:
    """Add the script to every page."""
    app.add_js_file("sortable_tables.js", loading_method="defer")
