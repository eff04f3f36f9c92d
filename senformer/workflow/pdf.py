"""Print the book as one PDF with Chromium."""

import os
import re
import shutil
from pathlib import Path

from senformer.storage import atomic_files
from senformer.workflow import site

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Commands of the accepted browsers, in order of preference."""

_LINK_TO_FILE = re.compile(r'(<a\b[^>]*?) href="(?!#|https?:|index\.html#)[^"]*"')


def write(destination: Path, book: Path = site.BOOK) -> Path:
    """Print a book as a PDF.

    Args:
        destination: The file to write; its folder is created.
        book: The book's folder, with its published results.

    Returns:
        The absolute path of the file.

    Raises:
        FileExistsError: If `destination` is a folder.
        FileNotFoundError: If no browser of `BROWSERS` is installed.
        ValueError: If a table of the book is damaged, or Sphinx warns.
        RuntimeError: If Sphinx fails, or the browser writes nothing.
    """
    browser = find_browser()
    destination = Path(destination).resolve()
    if destination.is_dir():
        raise FileExistsError(f"{destination}: is a folder, expected a file to write")
    atomic_files.repair_folder(book / "results")
    with atomic_files.work_folder(destination) as folder:
        page = site.build_book(book, folder, builder="singlehtml") / "index.html"
        text = page.read_text(encoding="utf-8")
        page.write_text(remove_links_to_files(text), encoding="utf-8")
        printed = folder / "book.pdf"
        _print(browser, page, printed, profile=folder / "browser")
        printed.replace(destination)
    return destination


def find_browser() -> str:
    """Return the path of the first browser of `BROWSERS` that is installed.

    Raises:
        FileNotFoundError: If none is installed.
    """
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise FileNotFoundError(f"no browser found, expected one of {', '.join(BROWSERS)}")


def remove_links_to_files(page: str) -> str:
    """Replace links to other files by their text, because a PDF does not contain the files."""
    return _LINK_TO_FILE.sub(r"\1", page)


def _print(browser: str, page: Path, destination: Path, *, profile: Path) -> None:
    command = [browser, "--headless", f"--user-data-dir={profile}", "--no-pdf-header-footer"]
    command += ["--generate-pdf-document-outline", f"--print-to-pdf={destination}"]
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium refuses to run as root with its sandbox
    done = site.run_program([*command, page.as_uri()], timeout=300)
    if done.returncode or not destination.is_file():
        raise RuntimeError(f"{browser} did not print {page}:\n{done.stderr.strip()}")
