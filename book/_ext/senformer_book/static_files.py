"""Scripts and styles of the site's own, put where its pages look for them."""

from collections.abc import Iterable
from pathlib import Path

from sphinx.application import Sphinx


def ship(app: Sphinx, sources: Iterable[Path]) -> None:
    """Have files copied into the site's folder of static files, when a build begins.

    Before any page is written, so that Sphinx can put the files' checksums into their addresses.

    Args:
        app: To register with.
        sources: The files.
    """
    app.connect("builder-inited", lambda app: _copy(app, sources))


def _copy(app: Sphinx, sources: Iterable[Path]) -> None:
    if app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static"
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        (folder / source.name).write_bytes(source.read_bytes())
