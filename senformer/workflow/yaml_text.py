"""YAML as its users mean it: `1e-3` is a number, `010` is ten, and a key that stands twice is not.

Those are the rules of YAML 1.2. PyYAML has the ones of 1.1, by which `1e-3` is a text, `010` is
eight, `1:30` is ninety, `no` is false, and the last of two equal keys is taken without a word.
Underscores between digits are left, as in the notebooks' `32_768`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
    r"|\.(nan|NaN|NAN)"
)
_RULES = {
    "null": (re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    "int": (_INTEGER, list("-+0123456789")),
    "float": (_FLOAT, list("-+0123456789.")),
}


def load(text: str, where: str | Path) -> Any:
    """What a text in YAML says.

    Args:
        text: The YAML, plain values in lists and mappings.
        where: Where it stands, for the message.

    Raises:
        ValueError: If it is not YAML, or a key stands twice.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not YAML ({' '.join(str(error).split())})") from None


def dump(value: Any) -> str:
    """A value in one line of YAML that `load` reads as it is."""
    return yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=sys.maxsize
    ).strip()


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ValueError(f"{key!r} is no name")
            if key in found:
                raise ValueError(f"{key!r} stands twice")
            found[key] = self.construct_object(value_node, deep=True)
        return found


class _Dumper(yaml.SafeDumper):
    pass


def _number(loader: yaml.SafeLoader, node: Any) -> int | float:
    text = loader.construct_scalar(node).replace("_", "")
    if node.tag.endswith("int"):
        return int(text)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


for _kind in (_Loader, _Dumper):
    _kind.yaml_implicit_resolvers = {}  # in place of YAML 1.1's
    for _name, (_pattern, _first) in _RULES.items():
        _whole = re.compile(rf"(?:{_pattern.pattern})\Z")
        _kind.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _whole, _first)
for _name in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _number)
