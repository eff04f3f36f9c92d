"""The package's docstrings as a page of the book, through sphinx.ext.autodoc.

They are read without TensorFlow and Sonnet, which take longer to load than the book to build; and
their backticks are Markdown's, which reStructuredText writes double.
"""

import pkgutil
import re
from collections.abc import Sequence
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer

MOCKED = ("tensorflow", "sonnet")

_PACKAGE = re.compile(r"^\.\. autopackage:: (\S+)$", re.MULTILINE)
_TYPE = ":type: "
_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))")


def restructured(text: str) -> str:
    """Write a docstring's `code` for reStructuredText: on one line, apart from letters."""
    return _CODE.sub(_double_backticks, text)


def expand_packages(page: str) -> str:
    """Replace each `.. autopackage:: <package>` line by an `automodule` line for each module."""

    def list_modules(found: re.Match[str]) -> str:
        package = pkgutil.resolve_name(found[1])
        modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
        return "\n".join(f".. automodule:: {found[1]}.{name}" for name in modules)

    return _PACKAGE.sub(list_modules, page)


def with_whole_sentences(lines: Sequence[str]) -> list[str]:
    """Join what napoleon parted: it takes what stands before a constant's first colon for a type.

    Args:
        lines: a docstring as napoleon leaves it, the description and then a field `:type:`.
    """
    types = [line for line in lines if line.startswith(_TYPE)]
    others = [line for line in lines if not line.startswith(_TYPE)]
    return [f"{types[0].removeprefix(_TYPE)}: {others[0]}", *others[1:]] if types else others


def setup(app: Sphinx) -> None:
    """Register with Sphinx, and set autodoc up to load none of `MOCKED`."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("config-inited", _mock)
    app.connect("source-read", _expand_packages)
    # Before napoleon, which writes double backticks of its own.
    app.connect("autodoc-process-docstring", _restructure, priority=400)
    app.connect("autodoc-process-docstring", _take_types_back, priority=600)


def _mock(app: Sphinx, config: Any) -> None:
    config.autodoc_mock_imports = list(MOCKED)
    for name in MOCKED:
        # autodoc would import the real module of a mocked base class to look for its comments.
        ModuleAnalyzer.cache["module", name] = PycodeError(f"{name} is mocked")


def _expand_packages(app: Sphinx, docname: str, source: list[str]) -> None:
    source[0] = expand_packages(source[0])


def _restructure(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    lines[:] = restructured("\n".join(lines)).split("\n")


def _take_types_back(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    if what in ("data", "attribute", "property"):
        lines[:] = with_whole_sentences(lines)


def _double_backticks(found: re.Match[str]) -> str:
    code, next_letter = found.groups()
    return f"``{' '.join(code.split())}``" + ("\\ " if next_letter else "")
