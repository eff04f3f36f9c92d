"""Tables and links of the site's directives, as docutils has them."""

from collections.abc import Iterable, Sequence

from docutils import nodes


def table(heads: Sequence[str], rows: Iterable[list[nodes.Element]], kind: str = "") -> nodes.table:
    """A table.

    Args:
        heads: of its columns.
        rows: of cells.
        kind: a class, where the site's style sheet knows one.
    """
    group = nodes.tgroup(cols=len(heads))
    group += [nodes.colspec(colwidth=1) for _ in heads]
    head, body = nodes.thead(), nodes.tbody()
    head += _cells(heads, [nodes.paragraph("", name) for name in heads])
    body += [_cells(heads, row) for row in rows]
    group += [head, body]
    return nodes.table("", group, classes=[kind] if kind else [])


def link(text: str, address: str) -> nodes.reference:
    """A link within the site or out of it."""
    return nodes.reference("", text, refuri=address, internal=not address.startswith("http"))


def _cells(heads: Sequence[str], content: Sequence[nodes.Node]) -> nodes.row:
    """A row, each cell of the class of its column: where that has no head, it is named in place."""
    return nodes.row(
        "",
        *(
            nodes.entry("", node, classes=[nodes.make_id(head)])
            for head, node in zip(heads, content, strict=True)
        ),
    )
