"""The book as one PDF: all of its pages in one, printed by Chromium."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from senformer.workflow import site

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Commands that are looked for, in this order."""

_LINK_TO_FILE = re.compile(r'(<a\b[^>]*?) href="(?!#|https?:|index\.html#)[^"]*"')


def write(destination: Path, book: Path = site.BOOK) -> Path:
    """Print a book.

    Args:
        destination: the file to write; its folder is made.
        book: the book's folder, with its published results.

    Returns:
        `destination`.

    Raises:
        FileNotFoundError: if no browser of `BROWSERS` is installed.
        RuntimeError: if Sphinx warns or fails, or the browser writes nothing.
    """
    browser = find_browser()
    destination = Path(destination).resolve()
    with tempfile.TemporaryDirectory() as folder:
        page = site.build_book(book, Path(folder), builder="singlehtml") / "index.html"
        text = page.read_text(encoding="utf-8")
        page.write_text(without_links_to_files(text), encoding="utf-8")
        printed = Path(folder) / "book.pdf"
        _print(browser, page, printed, profile=Path(folder) / "browser")
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(printed, destination)
    return destination


def find_browser() -> str:
    """Give the path of the first browser of `BROWSERS` that is installed.

    Raises:
        FileNotFoundError: if none is.
    """
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise FileNotFoundError(f"no browser to print with; expected one of {', '.join(BROWSERS)}")


def without_links_to_files(page: str) -> str:
    """Make text of the links that lead to files beside the page, which a PDF does not have."""
    return _LINK_TO_FILE.sub(r"\1", page)


def _print(browser: str, page: Path, destination: Path, *, profile: Path) -> None:
    command = [browser, "--headless", f"--user-data-dir={profile}", "--no-pdf-header-footer"]
    command += ["--generate-pdf-document-outline", f"--print-to-pdf={destination}"]
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium has no sandbox for root, and says so
    done = subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode or not destination.is_file():
        raise RuntimeError(f"{browser} did not print {page}:\n{done.stderr.strip()}")
