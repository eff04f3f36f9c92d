"""The package's docstrings as a page of the book, through sphinx.ext.autodoc.

They are read without TensorFlow and Sonnet, which take longer to load than the book to build; and
their backticks are Markdown's, which reStructuredText writes double.
"""

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer

MOCKED = ("tensorflow", "sonnet")

_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))")


def restructured(text: str) -> str:
    """Write a docstring's `code` for reStructuredText: on one line, apart from letters."""
    return _CODE.sub(_double_backticks, text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, and set autodoc up to load none of `MOCKED`."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("config-inited", _mock)
    # Before napoleon, which writes double backticks of its own.
    app.connect("autodoc-process-docstring", _restructure, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _mock(app: Sphinx, config: Any) -> None:
    config.autodoc_mock_imports = list(MOCKED)
    for name in MOCKED:
        # autodoc would import the real module of a mocked base class to look for its comments.
        ModuleAnalyzer.cache["module", name] = PycodeError(f"{name} is mocked")


def _restructure(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    lines[:] = restructured("\n".join(lines)).split("\n")


def _double_backticks(found: re.Match[str]) -> str:
    code, next_letter = found.groups()
    return f"``{' '.join(code.split())}``" + ("\\ " if next_letter else "")
