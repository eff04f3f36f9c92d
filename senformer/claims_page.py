"""Numbers of the book's prose, looked up and never typed: what was published, what was measured.

A sentence cites a published value by its key with the role `published`, a measured one with the
role `measured`. The directive `claims` sets every published claim of a topic beside what was
measured.

Published values are those of `senformer.published`. Measured ones stand in tables
`results/data/<notebook>_claims.csv`, columns key (of a published claim), measured (a number or
words), agrees (yes, no, or why that cannot be said).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

from senformer import published, results

COLUMNS = ("key", "measured", "agrees")
NOT_MEASURED = "–"


def quantity(value: Any, unit: str) -> str:
    """Write a value for reading: thousands apart, its unit after it, words as they are."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, str):
        return value
    number = f"{int(value):,}" if float(value).is_integer() else f"{float(value):.4g}"
    return f"{number} {unit}".strip()


def measured_claims(folder: Path) -> pd.DataFrame:
    """Read what the results say about published claims.

    Args:
        folder: holds the tables `<notebook>_claims.csv`, as `results.write` wrote them.

    Returns:
        `COLUMNS`, with index key; no rows where there are no such tables.

    Raises:
        ValueError: if a table lacks a column, or two rows speak of the same claim.
        KeyError: if a row's key is no published claim.
    """
    tables = [_read_claims(path) for path in sorted(folder.glob("*_claims.csv"))]
    rows = pd.concat(tables) if tables else pd.DataFrame(columns=list(COLUMNS))
    twice = rows["key"][rows["key"].duplicated()]
    if len(twice):
        raise ValueError(f"{folder}: two rows measure {twice.iloc[0]!r}")
    return rows.set_index("key", drop=False)


def _read_claims(path: Path) -> pd.DataFrame:
    rows = results.read(path)
    missing = [column for column in COLUMNS if column not in rows]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r}; expected {', '.join(COLUMNS)}")
    for key in rows["key"]:
        published.claim(key)
    return rows[list(COLUMNS)]


class Published(SphinxRole):
    """A published value by its key; its statement and source show when it is pointed at."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Build the node, or report a key that does not exist."""
        try:
            claim = published.claim(self.text)
        except KeyError as error:
            return [], [self.inliner.reporter.warning(str(error), line=self.lineno)]
        return [_with_source(quantity(claim.value, claim.unit), claim)], []


class Measured(SphinxRole):
    """A measured value by the key of the claim that it speaks of."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Build the node, or report that nothing was measured."""
        rows = _measured_of(self.env)
        if self.text not in rows.index:
            message = f"no results/data/*_claims.csv has a row of key {self.text!r}"
            return [], [self.inliner.reporter.warning(message, line=self.lineno)]
        text = quantity(rows.loc[self.text, "measured"], published.claim(self.text).unit)
        return [nodes.inline("", text, classes=["measured"])], []


class Claims(SphinxDirective):
    """A table of one topic's claims: the statement, its value, what was measured, do they agree."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the table.

        Raises:
            docutils.parsers.rst.DirectiveError: if no claim has that topic.
        """
        topic = self.arguments[0]
        claims = [claim for claim in published.CLAIMS if claim.key.startswith(f"{topic}.")]
        if not claims:
            raise self.error(f"no published claim of topic {topic!r}")
        measured = {row["key"]: row for row in _measured_of(self.env).to_dict("records")}
        heads = ("Claim", "Published", "Measured", "Agrees")
        return [_table(heads, [_row(claim, measured.get(claim.key, {})) for claim in claims])]


def _row(claim: published.Claim, measured: Mapping[Any, Any]) -> list[nodes.Node]:
    statement = nodes.paragraph("", claim.statement)
    statement += nodes.inline("", f" {claim.source}", classes=["claim-source"])
    return [
        statement,
        nodes.paragraph("", quantity(claim.value, claim.unit)),
        nodes.paragraph("", quantity(measured.get("measured"), claim.unit) or NOT_MEASURED),
        nodes.paragraph("", str(measured.get("agrees", NOT_MEASURED))),
    ]


def _table(heads: tuple[str, ...], rows: list[list[nodes.Node]]) -> nodes.table:
    group = nodes.tgroup(cols=len(heads))
    group += [nodes.colspec(colwidth=1) for _ in heads]
    head, body = nodes.thead(), nodes.tbody()
    head += _cells([nodes.paragraph("", name) for name in heads])
    body += [_cells(row) for row in rows]
    group += [head, body]
    return nodes.table("", group, classes=["claims"])


def _cells(content: list[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", node) for node in content))


def _with_source(text: str, claim: published.Claim) -> nodes.abbreviation:
    return nodes.abbreviation("", text, explanation=f"{claim.statement} {claim.source}")


def _measured_of(env: BuildEnvironment) -> pd.DataFrame:
    folder = Path(env.srcdir) / "results" / "data"
    for path in folder.glob("*_claims.csv"):
        env.note_dependency(str(path))
    return measured_claims(folder)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register roles and directive with Sphinx."""
    app.add_role("published", Published())
    app.add_role("measured", Measured())
    app.add_directive("claims", Claims)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
