"""Tables of results that a reader can sort by a column, and filter where they are long.

Without the script they are what they were.
"""

from pathlib import Path

from sphinx.application import Sphinx

_SCRIPT = Path(__file__).parent / "sortable_tables.js"


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("builder-inited", _copy)
    app.add_js_file(_SCRIPT.name, loading_method="defer")


def _copy(app: Sphinx) -> None:
    if app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        (static / _SCRIPT.name).write_bytes(_SCRIPT.read_bytes())
