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
def test_docstring_code_becomes_restructured_text(markdown, restructured):
    assert api_docs.to_restructured_text(markdown) == restructured


def test_rejoin_sentence_restores_text_before_colon():
    parted = ["the stem halves the sequence.", "", ":type: Base pairs per token"]
    whole = ["Base pairs per token: the stem halves the sequence.", ""]
    assert api_docs.rejoin_sentence(parted) == api_docs.rejoin_sentence(whole) == whole


def test_pages_list_every_module_once():
    pages = "\n".join(page.read_text() for page in site.BOOK.glob("api*.md"))
    packages = [name for line in re.findall(r"modules:: (.+)", pages) for name in line.split()]
    listed = [name for package in packages for name in api_docs.list_modules(package)]
    root = Path(senformer.__file__).parent
    files = [path.relative_to(root.parent) for path in root.rglob("[!_]*.py")]
    assert sorted(listed) == sorted(".".join(file.with_suffix("").parts) for file in files)
