"""A list of every address outside the site that its pages link to, for who checks or archives them.

The build writes it beside the pages as `external-links.txt`.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from html import unescape
from pathlib import Path

from sphinx.application import Sphinx

FILE = "external-links.txt"

_LINK = re.compile(r'<a\b[^>]*\bhref="(https?://[^"]+)"')


def listed(pages: Mapping[str, str]) -> str:
    """Write the list.

    Args:
        pages: the HTML of each page, by its name.

    Returns:
        One line per address, sorted, with the pages that link to it.
    """
    linking = defaultdict(set)
    for name, page in pages.items():
        for address in _LINK.findall(page):
            linking[unescape(address)].add(name)
    return "".join(f"{url}\t{', '.join(sorted(linking[url]))}\n" for url in sorted(linking))


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("build-finished", _write)


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.name != "html":
        return
    site = Path(app.outdir)
    pages = {
        path.relative_to(site).as_posix(): path.read_text(encoding="utf-8")
        for path in site.rglob("*.html")
    }
    (site / FILE).write_text(listed(pages), encoding="utf-8")
