"""Share a run, the sites built from it and from the book, and a reader of pages."""

import os

import nbformat
import pytest
from demo_run import (
    HOSTILE_PAGE,
    OF_A_HOSTILE_USER,
    compiled_memory,
    measured_memory,
    results_notebook,
)
from provenance_example import PROVENANCE
from site_reader import DESKTOP, PHONE, Reader

from senformer.report import results
from senformer.workflow import executed_notebooks, notebooks, site


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A run; its first notebook has one figure, the second two, and so on."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    folder.mkdir()
    results.write(compiled_memory(), folder / "memory_compiled.csv", PROVENANCE)
    for number, name in enumerate(notebooks.ORDER, start=1):
        provenance = OF_A_HOSTILE_USER if name == HOSTILE_PAGE else PROVENANCE
        results.write(measured_memory(), folder / f"{name}.csv", provenance)
        notebook = results_notebook(name, number)
        executed_notebooks.seal(notebook, name, folder.glob(f"{name}*.csv"))
        nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder


def read_files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def built_demo(run_folder):
    """The demo site's index, and all files of book and run before and after the build."""
    before = read_files(site.BOOK), read_files(run_folder)
    index = site.build(run_folder, run_folder.parent / "site")
    return index, before, (read_files(site.BOOK), read_files(run_folder))


@pytest.fixture(scope="session")
def demo_site(built_demo):
    return built_demo[0].parent


@pytest.fixture(scope="session")
def book_site(tmp_path_factory):
    names = [n for n in notebooks.ORDER if not (site.BOOK / f"results/{n}.ipynb").is_file()]
    if names:
        reason = f"book/results has no {names[0]}.ipynb; `make publish` puts it there"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return site.build_book(site.BOOK, tmp_path_factory.mktemp("book"))


@pytest.fixture(params=["demo_site", "book_site"])
def any_site(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def reader(request, chromium):
    reader = Reader(chromium, request.param)
    yield reader
    assert reader.complaints == []
    reader.context.close()


@pytest.fixture
def desktop(chromium):
    reader = Reader(chromium, DESKTOP)
    yield reader
    assert reader.complaints == []
    reader.context.close()
