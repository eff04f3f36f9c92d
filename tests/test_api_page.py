import pytest

from senformer import api_page


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
    assert api_page.restructured(markdown) == restructured
