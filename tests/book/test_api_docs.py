import re
from pathlib import Path

import pytest
from senformer_book import api_docs

import senformer
from senformer.workflow import site


@pytest.mark.parametrize(
    ("markdown", "restructured"),
    [
        ("takes `x`.", "takes ``x``."),
        ("several `index`es", "several ``index``\\ es"),
        ("`{'a': 1,\n    'b': 2}` as a dict", "``{'a': 1, 'b': 2}`` as a dict"),
        ("``done`` already", "``done`` already"),
        ("no code", "no code"),
    ],
)
def test_code_of_docstrings_is_written_as_sphinx_reads_it(markdown, restructured):
    assert api_docs.restructured(markdown) == restructured


def test_a_sentence_with_a_colon_is_no_type():
    parted = ["the stem halves the sequence.", "", ":type: Base pairs per token"]
    whole = ["Base pairs per token: the stem halves the sequence.", ""]
    assert api_docs.with_whole_sentences(parted) == whole
    assert api_docs.with_whole_sentences(whole) == whole


def test_every_module_is_on_one_of_the_pages_once():
    package = Path(senformer.__file__).parent
    files = [path.relative_to(package.parent) for path in package.rglob("*.py")]
    modules = {".".join(file.with_suffix("").parts) for file in files if file.stem[:2] != "__"}
    pages = [api_docs.expand_packages(page.read_text()) for page in site.BOOK.glob("api*.md")]
    listed = [name for page in pages for name in re.findall(r"automodule:: (\S+)", page)]
    assert sorted(listed) == sorted(modules)
