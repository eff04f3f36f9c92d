"""List every address outside the site that a page links to, for link checkers and archives.

The build writes the list as `external-links.txt` in the site's folder.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from html import unescape
from pathlib import Path

from sphinx.application import Sphinx

_LINK = re.compile(r'<a\b[^>]*\bhref="(https?://[^"]+)"')


def list_links(pages: Mapping[str, str]) -> str:
    """List the external addresses of all pages.

    Args:
        pages: HTML of each page by file name.

    Returns:
        One line per address, sorted: the address, a tab, and the pages that link to it.
    """
    linking_pages = defaultdict(set)
    for name, page in pages.items():
        for address in _LINK.findall(page):
            linking_pages[unescape(address)].add(name)
    return "".join(
        f"{url}\t{', '.join(sorted(linking_pages[url]))}\n" for url in sorted(linking_pages)
    )


def setup(app: Sphinx) -> None:
    """Register the hook that writes the list."""
    app.connect("build-finished", _write)


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.name != "html":
        return
    site = Path(app.outdir)
    pages = {
        path.relative_to(site).as_posix(): path.read_text(encoding="utf-8")
        for path in site.rglob("*.html")
    }
    (site / "external-links.txt").write_text(list_links(pages), encoding="utf-8")
