"""The site's style sheets, reduced to what its pages use.

The theme's style sheet holds all of Bootstrap. A rule that asks for a class that no page and no
script of the site mentions can never apply, so it is left out.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CLASS = re.compile(r"\.(-?[A-Za-z_](?:[\w-]|\\.)*)")
_NEGATED = re.compile(r":not\([^()]*\)")
_CLASSES = re.compile(r"""\bclass=(?:"([^"]*)"|'([^']*)')""")
_SCRIPT = re.compile(r'<script[^>]*\bsrc="([^"]+)"')
_WORD = re.compile(r"[A-Za-z_][\w-]*")
_NESTING = ("@media", "@supports", "@layer", "@container")


def lean_css(css: str, used: set[str]) -> str:
    """Leave out of a style sheet what can never apply.

    Args:
        css: the style sheet.
        used: names of classes that a page could have, as `classes_of` gives them.

    Returns:
        The style sheet without comments, without the selectors that ask for an unused class, and
        without the rules that have no selector left. What is no rule of classes stays as it was.

    Raises:
        ValueError: if a brace is not closed.
    """
    return "".join(_kept(_COMMENT.sub("", css), used))


def _kept(css: str, used: set[str]) -> Iterator[str]:
    for head, body in _rules(css):
        if body is None:
            yield head
        elif head.startswith(_NESTING):
            if inner := "".join(_kept(body, used)):
                yield f"{head}{{{inner}}}"
        elif head.startswith("@"):
            yield f"{head}{{{body}}}"
        elif selectors := [part for part in _selectors(head) if _can_apply(part, used)]:
            yield f"{','.join(selectors)}{{{_without_spaces(body)}}}"


def _rules(css: str) -> Iterator[tuple[str, str | None]]:
    """Split at the outermost braces: head and body of each rule, or a statement without a body."""
    start = place = 0
    while match := re.compile(r"[{};\"']").search(css, place):
        sign, place = match[0], match.end()
        if sign in "\"'":
            place = _after_string(css, match.start())
        elif sign == ";":
            yield css[start:place].strip(), None
            start = place
        elif sign == "{":
            end = _closing_brace(css, place)
            yield css[start : match.start()].strip(), css[place:end]
            start = place = end + 1
    if css[start:].strip():
        raise ValueError(f"style sheet ends within {css[start:].strip()[:60]!r}")


def _closing_brace(css: str, place: int) -> int:
    depth = 1
    signs = re.compile(r"[{}\"']")
    while match := signs.search(css, place):
        place = match.end()
        if match[0] in "\"'":
            place = _after_string(css, match.start())
            continue
        depth += 1 if match[0] == "{" else -1
        if not depth:
            return match.start()
    raise ValueError(f"style sheet: a brace is not closed near {css[-60:]!r}")


def _after_string(css: str, start: int) -> int:
    match = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL).match(css, start)
    if match is None:
        raise ValueError(f"style sheet: a string is not closed: {css[start : start + 60]!r}")
    return match.end()


def _selectors(head: str) -> list[str]:
    """Split a rule's head at the commas that are not within brackets."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(head):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and not depth:
            parts.append(head[start:place].strip())
            start = place + 1
    return [*parts, head[start:].strip()]


def _can_apply(selector: str, used: set[str]) -> bool:
    # What stands in :is() or :where() are alternatives; such a selector stays if it names any.
    if ":is(" in selector or ":where(" in selector:
        return True
    classes = _CLASS.findall(_NEGATED.sub("", selector))
    return all(name.replace("\\", "") in used for name in classes)


def _without_spaces(body: str) -> str:
    return re.sub(r"\s+", " ", body).strip()


def classes_of(pages: Iterable[str], scripts: Iterable[str]) -> set[str]:
    """Collect every name that could be a class on a page.

    Args:
        pages: HTML; what stands in attributes `class` is collected.
        scripts: JavaScript; every word is collected, since any may be set as a class.
    """
    attributes = (match[1] or match[2] or "" for page in pages for match in _CLASSES.finditer(page))
    words = {word for script in scripts for word in _WORD.findall(script)}
    return words.union(*(attribute.split() for attribute in attributes))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", _make_lean, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _make_lean(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.name != "html":
        return
    site = Path(app.outdir)
    pages = {path: _text(path) for path in site.rglob("*.html")}
    scripts = {
        (page.parent / address.partition("?")[0]).resolve()
        for page, text in pages.items()
        for address in _SCRIPT.findall(text)
    }
    # plotly.js brings its own styles, and so many words that none would be left out.
    ours = [path for path in scripts if path.is_file() and path.name != "plotly.min.js"]
    used = classes_of(pages.values(), map(_text, ours))
    for sheet in site.rglob("*.css"):
        sheet.write_text(lean_css(_text(sheet), used), encoding="utf-8")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
