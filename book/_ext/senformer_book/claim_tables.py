"""Numbers of the book's prose, looked up and never typed: what was published, what was measured.

A sentence cites a published value by its key with the role `published`, a measured one with the
role `measured`. The directive `claims` sets every published claim of a topic beside what was
measured.

Published values are those of `senformer.report.published`. Measured ones stand in tables
`results/data/<notebook>_claims.csv`, as `senformer.report.claims` reads them; what the study's own
stored results say is computed from them by `senformer.experiments.studys_results`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

from senformer.experiments import studys_results
from senformer.report import published
from senformer.report.claims import (
    IN_STORED_RESULTS,
    NOT_MEASURED,
    measured_claims,
    quantity,
    texts,
    verdict_and_reason,
)


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
    """What was measured of a claim, by its key, or that nothing was."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Build the node, or report a key that does not exist."""
        try:
            claim = published.claim(self.text)
        except KeyError as error:
            return [], [self.inliner.reporter.warning(str(error), line=self.lineno)]
        row = _measured_of(self.env).get(claim.key, {})
        text = quantity(row.get("measured"), claim.unit) or NOT_MEASURED
        return [nodes.inline("", text, classes=["measured"])], []


class Claims(SphinxDirective):
    """A table of claims: the statement, its value, what was measured, do they agree.

    Its argument is a topic, for all of that topic's claims, or keys of single claims. The option
    `short` leaves the sources to the page of claims, `measured` the claims of which nothing was
    measured. With `stored`, claims are held against the study's own stored results in place of what
    was measured here, those alone that they speak of. Why a verdict is as it is stands in notes
    below the table, each reason once: many rows share theirs.
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {
        "short": directives.flag,
        "measured": directives.flag,
        "stored": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Build the table.

        Raises:
            docutils.parsers.rst.DirectiveError: if an argument is no topic and no key.
        """
        is_stored = "stored" in self.options
        measured = _in_stored_results() if is_stored else _measured_of(self.env)
        claims = [claim for name in self.arguments[0].split() for claim in self._named(name)]
        if is_stored or "measured" in self.options:
            claims = [claim for claim in claims if claim.key in measured]
        number = self.env.new_serialno("claims")
        notes = _Notes(nodes.make_id(f"{self.env.docname}-claims-{number}"))
        rows = [_row(claim, measured.get(claim.key, {}), notes) for claim in claims]
        if "short" not in self.options:
            for row, claim in zip(rows, claims, strict=True):
                row[0] += nodes.inline("", f" {claim.source}", classes=["claim-source"])
        found = IN_STORED_RESULTS.capitalize() if is_stored else "Measured"
        table = _table(("Claim", "Published", found, "Agrees"), rows)
        table["classes"] += ["stored"] if is_stored else []
        return [table, notes.listed()] if notes else [table]

    def _named(self, name: str) -> list[published.Claim]:
        claims = [
            claim
            for claim in published.CLAIMS
            if claim.key == name or claim.key.startswith(f"{name}.")
        ]
        if not claims:
            raise self.error(f"no published claim or topic {name!r}")
        return claims


class _Notes:
    """The notes below a table, a letter for each."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._texts: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._texts)

    def mark(self, text: str) -> nodes.superscript:
        """Give the letter of a note, which leads to it."""
        if text not in self._texts:
            self._texts.append(text)
        place = self._texts.index(text)
        reference = nodes.reference(
            "", ascii_lowercase[place], internal=True, refid=self._id(place)
        )
        return nodes.superscript("", "", reference)

    def listed(self) -> nodes.enumerated_list:
        items = [
            nodes.list_item("", nodes.paragraph("", text), ids=[self._id(place)])
            for place, text in enumerate(self._texts)
        ]
        return nodes.enumerated_list(
            "", *items, enumtype="loweralpha", prefix="", suffix="", classes=["claim-notes"]
        )

    def _id(self, place: int) -> str:
        return f"{self._name}-{ascii_lowercase[place]}"


def _row(claim: published.Claim, measured: Mapping[Any, Any], notes: _Notes) -> list[nodes.Element]:
    *cells, agrees = texts(claim.key, measured).values()
    verdict, reason = verdict_and_reason(agrees)
    judged = nodes.paragraph("", verdict)
    if reason:
        judged += notes.mark(reason)
    return [*(nodes.paragraph("", text) for text in cells), judged]


def _table(heads: tuple[str, ...], rows: list[list[nodes.Element]]) -> nodes.table:
    group = nodes.tgroup(cols=len(heads))
    group += [nodes.colspec(colwidth=1) for _ in heads]
    head, body = nodes.thead(), nodes.tbody()
    head += _cells([nodes.paragraph("", name) for name in heads])
    body += [_cells(row) for row in rows]
    group += [head, body]
    return nodes.table("", group, classes=["claims"])


def _cells(content: Sequence[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", node) for node in content))


def _with_source(text: str, claim: published.Claim) -> nodes.abbreviation:
    return nodes.abbreviation("", text, explanation=f"{claim.statement} {claim.source}")


def _measured_of(env: BuildEnvironment) -> dict[Any, Mapping[Any, Any]]:
    folder = Path(env.srcdir) / "results" / "data"
    for path in folder.glob("*_claims.csv"):
        env.note_dependency(str(path))
    return {row["key"]: row for row in measured_claims(folder).to_dict("records")}


def _in_stored_results() -> dict[Any, Mapping[Any, Any]]:
    return {row["key"]: row for row in studys_results.judge_claims().to_dict("records")}


def setup(app: Sphinx) -> None:
    """Register roles and directive with Sphinx."""
    app.add_role("published", Published())
    app.add_role("measured", Measured())
    app.add_directive("claims", Claims)
