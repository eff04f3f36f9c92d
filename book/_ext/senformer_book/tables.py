"""Build tables and links of the site's directives as docutils nodes."""

from collections.abc import Iterable, Sequence

from docutils import nodes


def table(heads: Sequence[str], rows: Iterable[list[nodes.Element]], kind: str = "") -> nodes.table:
    """Build a table.

    Args:
        heads: Headings of the columns.
        rows: Rows of cells.
        kind: Class of the table in the site's style sheet, or an empty string.
    """
    group = nodes.tgroup(cols=len(heads))
    group += [nodes.colspec(colwidth=1) for _ in heads]
    head, body = nodes.thead(), nodes.tbody()
    head += _row(heads, [nodes.paragraph("", name) for name in heads])
    body += [_row(heads, row) for row in rows]
    group += [head, body]
    return nodes.table("", group, classes=[kind] if kind else [])


def link(text: str, address: str) -> nodes.reference:
    """Build a link to an address inside or outside the site."""
    return nodes.reference("", text, refuri=address, internal=not address.startswith("http"))


def _row(heads: Sequence[str], content: Sequence[nodes.Node]) -> nodes.row:
    """Build a row; each cell has its column's class, which names it on narrow screens."""
    cells = (
        nodes.entry("", node, classes=[nodes.make_id(head)])
        for head, node in zip(heads, content, strict=True)
    )
    return nodes.row("", *cells)
