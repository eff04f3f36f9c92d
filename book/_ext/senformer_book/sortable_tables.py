"""Tables of results that a reader can sort by a column, and filter where they are long.

Without the script they are what they were.
"""

from pathlib import Path

from sphinx.application import Sphinx

from senformer_book import static_files

_SCRIPT = Path(__file__).parent / "sortable_tables.js"


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    static_files.ship(app, (_SCRIPT,))
    app.add_js_file(_SCRIPT.name, loading_method="defer")
