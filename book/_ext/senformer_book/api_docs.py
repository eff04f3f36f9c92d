"""Write the package's reference from its docstrings, with sphinx.ext.autodoc.

The directive `modules` lists the modules of packages. Autodoc replaces TensorFlow and Sonnet, which
load slowly, by mocks. Docstrings use Markdown's single backticks, which become double.
"""

import pkgutil
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.errors import PycodeError
from sphinx.ext.autodoc.mock import mock
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from senformer.workflow.notebooks import ROOT

MOCKED = ("tensorflow", "sonnet")

_TYPE = ":type: "
_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))")


class Modules(SphinxDirective):
    """The directive `modules`: the reference of all public modules of the packages it names."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Parse one `automodule` directive per module."""
        names = [name for package in self.arguments[0].split() for name in list_modules(package)]
        lines = StringList([f".. automodule:: {name}" for name in names], self.get_source_info()[0])
        parsed = nodes.Element()
        self.state.nested_parse(lines, 0, parsed)
        return parsed.children


def list_modules(package: str) -> Iterator[str]:
    """List the public modules of a package by full name, without those of its subpackages."""
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ValueError(f"modules: {package!r} is not a package")
    for module in pkgutil.iter_modules(spec.submodule_search_locations):
        if not module.ispkg and not module.name.startswith("_"):
            yield f"{package}.{module.name}"


def to_restructured_text(text: str) -> str:
    """Write a docstring's code in double backticks, each on one line and separate from letters."""
    return _CODE.sub(_double_backticks, text)


def rejoin_sentence(lines: Sequence[str]) -> list[str]:
    """Rejoin a constant's first sentence, which napoleon splits at its colon into type and text.

    Args:
        lines: Docstring after napoleon: the description and possibly a field `:type:`.
    """
    types = [line for line in lines if line.startswith(_TYPE)]
    others = [line for line in lines if not line.startswith(_TYPE)]
    return [f"{types[0].removeprefix(_TYPE)}: {others[0]}", *others[1:]] if types else others


def setup(app: Sphinx) -> None:
    """Register the directive, and autodoc with its hooks and mocks."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.add_directive("modules", Modules)
    app.connect("config-inited", _mock_imports)
    app.connect("builder-inited", _import_package)
    # Napoleon, at the default priority of 500, writes double backticks of its own.
    app.connect("autodoc-process-docstring", _convert_backticks, priority=400)
    app.connect("autodoc-process-docstring", _repair_constants, priority=600)


def _mock_imports(app: Sphinx, config: Any) -> None:
    config.autodoc_mock_imports = list(MOCKED)
    for name in MOCKED:
        # autodoc would import the real module of a mocked base class to look for its comments.
        ModuleAnalyzer.cache["module", name] = PycodeError(f"{name} is mocked")


def _import_package(app: Sphinx) -> None:
    # autodoc writes annotations into documented classes, of which pydantic could not derive others.
    with mock(list(MOCKED)):
        for path in sorted((ROOT / "senformer").rglob("[!_]*.py")):
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def _convert_backticks(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    lines[:] = to_restructured_text("\n".join(lines)).split("\n")


def _repair_constants(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    if what in ("data", "attribute", "property"):
        lines[:] = rejoin_sentence(lines)


def _double_backticks(found: re.Match[str]) -> str:
    code, next_letter = found.groups()
    return f"``{' '.join(code.split())}``" + ("\\ " if next_letter else "")
