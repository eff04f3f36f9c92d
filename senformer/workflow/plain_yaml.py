"""Parse parameters in YAML: numbers, strings, booleans, null, lists and mappings, nothing else.

YAML has further features that surprise or harm: tags that construct objects, aliases that make a
short text fill the memory, numbers of base 60, `no` for False. The loader refuses the first two and
reads the others as strings, which a parameter then refuses by name.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

LARGEST = 100_000
"""Largest number of characters, hundreds of times a profile's."""

_DEEPEST = 20

_PLAIN_VALUES = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    "float": (
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
"""What a value without quotes looks like, and its first characters, by type."""


class _Loader(yaml.SafeLoader):
    """Load plain values and refuse everything else."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - those of PyYAML are left out
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if event.anchor or getattr(event, "tag", None):
            raise ValueError(
                f"line {event.start_mark.line + 1} has a tag, an anchor or an alias, "
                "expected plain values"
            )
        if self._depth > _DEEPEST:
            raise ValueError(f"nested deeper than {_DEEPEST} levels")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> str:
        text = super().construct_scalar(node)
        text.encode()  # "\\ud800" is no character
        return text

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            keys = [str(key.value) for key, _ in node.value]
            repeated = next((key for key in keys if keys.count(key) > 1), keys[0])
            raise ValueError(f"{repeated!r} is set twice")
        return found


for _name, (_pattern, _first) in _PLAIN_VALUES.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), list(_first)
    )


def parse_yaml(text: str, source: str) -> Any:
    """Parse plain values in YAML.

    Args:
        text: The YAML.
        source: The file or option that holds it, for the message.

    Raises:
        ValueError: If the text is not YAML, is very long or deeply nested, sets a key twice, or
            has a tag, an anchor or an alias.
    """
    if len(text) > LARGEST:
        raise ValueError(f"{source}: {len(text):,} characters, expected at most {LARGEST:,}")
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{source}: not YAML ({' '.join(str(error).split())})") from None
