"""Kill `publish`, `site` and `pdf` at each of their steps in a folder.

Run it with the name of the command, the folder of a run, and the folder that the command writes to.
Building the book is replaced by a copy.
"""

import shutil
import sys
from pathlib import Path

from kill_at_every_step import kill_at_every_step

from senformer.storage import atomic_files
from senformer.workflow import pdf, publication, site


def copy_book(source, output, *, builder="html"):
    shutil.copytree(source / "results", output / builder)
    (output / builder / "index.html").write_text("built")
    return output / builder


def print_page(browser, page, destination, *, profile):
    shutil.copyfile(page, destination)


def main(name, run_folder, folder):
    site.BOOK, site.build_book = folder.parent / "prose", copy_book
    pdf._print, pdf.find_browser = print_page, lambda: ""
    written, work = {
        "publish": ("results", lambda: publication.publish(run_folder, folder)),
        "site": ("site", lambda: site.build(run_folder, folder / "site")),
        "pdf": ("book.pdf", lambda: pdf.write(folder / "book.pdf", folder)),
    }[name]
    work()
    before = contents(folder)

    def check():
        atomic_files.repair_folder(folder / written)
        found = contents(folder)
        assert found == before, set(found) ^ set(before)

    print(kill_at_every_step(work, check, folder))
    check()


def contents(folder):
    return {path: path.is_dir() or path.read_bytes() for path in folder.rglob("*")}


main(sys.argv[1], *map(Path, sys.argv[2:]))
