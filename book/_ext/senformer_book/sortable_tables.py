"""Tables of results that a reader can sort by a column, and filter where they are long.

Without the script they are what they were.
"""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.add_js_file("sortable_tables.js", loading_method="defer")
