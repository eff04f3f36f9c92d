"""Links to the glossary: each of its terms leads there where it first stands on a page.

Terms are those of the page `glossary`; nobody has to mark them in prose.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from senformer.attention_kinds import KINDS

GLOSSARY = "glossary"

_NOT_IN = (nodes.title, nodes.reference, nodes.literal, nodes.literal_block, nodes.raw, nodes.term)
_NOT_IN_EITHER = (addnodes.pending_xref, addnodes.desc, nodes.abbreviation, nodes.caption)
_CARD = "sd-card"
_LINK_OVER_CARD = "sd-stretched-link"
_SHORTEST = 3


def terms(glossary: str) -> dict[str, str]:
    """The words that are linked, in small letters, and the entries that they lead to.

    Args:
        glossary: The page's text: a line for each entry, several words parted by commas, with an
            abbreviation in brackets, and its explanation, indented, below it. Kinds of attention
            are left out: their names are words, `linear`, that mean other things in a sentence.
    """
    entries = re.search(r"^:::\{glossary\}\n(.*?)^:::", glossary, re.MULTILINE | re.DOTALL)
    lines = entries[1].splitlines() if entries else []
    found = {}
    for entry in [line.strip() for line in lines if line and not line.startswith(" ")]:
        for word in re.sub(r"\(.*?\)", "", entry).split(","):
            if len(word.strip()) >= _SHORTEST and word.strip() not in KINDS:
                found[word.strip().lower()] = entry
    return found


def link_first_occurrences(doctree: nodes.document, entries: dict[str, str], docname: str) -> None:
    """Link each term where it first stands in the prose of a page.

    Args:
        doctree: Of the page.
        entries: From `terms`.
        docname: Of the page.
    """
    waiting = dict(entries)
    for text in [*_prose(doctree)]:
        parts: list[nodes.Node] = []
        rest = text.astext()
        while waiting and (found := _first(rest, waiting)):
            entry = waiting[_singular(found[0].lower(), waiting)]
            waiting = {word: other for word, other in waiting.items() if other != entry}
            parts += [nodes.Text(rest[: found.start()]), _reference(found[0], entry, docname)]
            rest = rest[found.end() :]
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(rest)])


def _prose(doctree: nodes.document) -> Iterator[nodes.Text]:
    """The words of paragraphs and list items that are no title or code, and in no link."""
    for text in doctree.findall(nodes.Text):
        node = text.parent
        around = []
        while node is not None:
            around.append(node)
            node = node.parent
        if any(isinstance(node, nodes.paragraph) for node in around) and not any(
            isinstance(node, (*_NOT_IN, *_NOT_IN_EITHER)) or _is_card_with_link(node)
            for node in around
        ):
            yield text


def _is_card_with_link(node: nodes.Element) -> bool:
    # Its link lies over the whole of it: one below could be reached with the keyboard alone.
    return _CARD in node.get("classes", []) and any(
        _LINK_OVER_CARD in link.get("classes", []) for link in node.findall(nodes.Element)
    )


def _first(text: str, waiting: dict[str, str]) -> re.Match[str] | None:
    longest_first = sorted(map(re.escape, waiting), key=len, reverse=True)
    return re.search(rf"(?<![\w-])(?:{'|'.join(longest_first)})s?(?![\w-])", text, re.IGNORECASE)


def _singular(word: str, waiting: dict[str, str]) -> str:
    return word if word in waiting else word.removesuffix("s")


def _reference(words: str, entry: str, docname: str) -> addnodes.pending_xref:
    shown = nodes.inline("", words, classes=["glossary-term"])
    return addnodes.pending_xref(
        "",
        shown,
        refdomain="std",
        reftype="term",
        reftarget=entry,
        refdoc=docname,
        refexplicit=True,
        refwarn=True,
    )


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("doctree-read", _link)


def _link(app: Sphinx, doctree: nodes.document) -> None:
    docname = app.env.docname
    if docname == GLOSSARY or docname.startswith("api"):
        return
    path = Path(app.env.doc2path(GLOSSARY))
    app.env.note_dependency(str(path))
    link_first_occurrences(doctree, terms(path.read_text(encoding="utf-8")), docname)
