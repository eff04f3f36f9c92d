"""Numbers of the book's prose, looked up and never typed: what was published, what was measured.

A sentence cites a published value by its key with the role `published`, a measured one with the
role `measured`. The directive `claims` sets the study's findings beside what they were held
against, `statements` lists what it did and what others report, `verdicts` counts.

Published values are those of `senformer.study.claims`. Measured ones stand in tables
`results/data/<notebook>_claims.csv`, as `senformer.study.verdicts` reads them; what the study's own
stored results say is computed from them by `senformer.study.reanalysis`.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any, ClassVar

import pandas as pd
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

from senformer.study import claims, judges, verdicts
from senformer_book.tables import link, table

EVIDENCE_HEADS = {
    verdicts.STORED: "Stored results",
    verdicts.STUDYS_CODE: "Its code, run or compiled here",
    verdicts.THIS_CODE: "This project's code",
}
"""Heads of the columns, from the study's own outwards."""

PAGE_OF_CLAIMS = "claims"

TITLES = {
    "memory": "Memory",
    "runtime": "Runtime",
    "reproduction": "Reproduction",
    "finetuning": "Fine-tuning",
    "correlation": "Correlation",
    "receptive_field": "Receptive field",
}
"""What the pages of results are called, in the report's order."""

_NOTES = "senformer_book_claim_notes"


class Published(SphinxRole):
    """A published value by its key; its statement and source show when it is pointed at."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Build the node, or report a key that does not exist."""
        try:
            claim = claims.get_claim(self.text)
        except KeyError as error:
            return [], [self.inliner.reporter.warning(str(error), line=self.lineno)]
        text = claims.format_quantity(claim.value, claim.unit)
        explanation = f"{claim.statement} {claim.source}"
        return [nodes.abbreviation("", text, explanation=explanation)], []


class Measured(SphinxRole):
    """What was found of a claim by what bears on it most, by its key, or that nothing was."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Build the node, or report a key that does not exist."""
        try:
            claim = claims.get_claim(self.text)
        except KeyError as error:
            return [], [self.inliner.reporter.warning(str(error), line=self.lineno)]
        found = verdicts.select_decisive(_judged(self.env)).set_index("key", drop=False)
        is_measured = claim.key in found.index
        text = (
            verdicts.format_measured(found.loc[claim.key]) if is_measured else verdicts.NOT_MEASURED
        )
        return [nodes.inline("", text, classes=["measured"])], []


class Claims(SphinxDirective):
    """A table of findings: the statement, what the study says, and what each evidence says of it.

    Its argument is a topic, for all of that topic's findings, or keys of single claims. The option
    `short` leaves the sources to the page of claims, to which each statement then leads, and puts
    the notes below the table; without it they wait for `claim-notes`, so that the tables of a page
    share them: each reason stands once.
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"short": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Build the table.

        Raises:
            docutils.parsers.rst.DirectiveError: if an argument is no topic and no key.
        """
        judged = _judged(self.env)
        shown = [claim for name in self.arguments[0].split() for claim in _named(self, name)]
        shown = [c for c in shown if c.kind == "finding" or c.key in set(judged["key"])]
        of_shown = judged[judged["key"].isin({claim.key for claim in shown})]
        evidence = [name for name in EVIDENCE_HEADS if name in set(of_shown["evidence"])]
        evidence = evidence or [verdicts.THIS_CODE]  # where nothing was measured, it says so
        notes = _notes_of(self.env)
        rows = {
            claim.key: self._row(claim, of_shown[of_shown["key"] == claim.key], evidence, notes)
            for claim in shown
        }
        heads = ["Finding", "The study says", *(EVIDENCE_HEADS[name] for name in evidence)]
        found = table(heads, list(rows.values()), "claims")
        if "short" in self.options:
            return [found, *notes.listed()]
        for entry, key in zip(found.findall(nodes.row), ["", *rows], strict=True):
            if key:
                entry["ids"].append(_row_id(key))
        return [found]

    def _row(
        self,
        claim: claims.Claim,
        judged: pd.DataFrame,
        evidence: Sequence[str],
        notes: "_Notes",
    ) -> list[nodes.Element]:
        of_evidence = {row["evidence"]: row for row in judged.to_dict("records")}
        return [
            self._statement(claim),
            nodes.paragraph("", claims.format_value(claim)),
            *(
                _finding(of_evidence[name], notes)
                if name in of_evidence
                else nodes.paragraph("", "" if len(judged) else verdicts.NOT_MEASURED)
                for name in evidence
            ),
        ]

    def _statement(self, claim: claims.Claim) -> nodes.paragraph:
        """What is claimed: with a way to its page and its source, or to the page of claims."""
        topic = claim.key.split(".")[0]
        if "short" in self.options:
            address = f"{self._address(PAGE_OF_CLAIMS)}#{_row_id(claim.key)}"
            return nodes.paragraph("", "", link(claim.statement, address))
        statement = nodes.paragraph("", claim.statement)
        links = nodes.inline("", "", _source(claim), classes=["claim-source"])
        if topic in TITLES:
            figure = link("figure", self._address(f"results/{topic}"))
            links += [nodes.Text(" · "), figure]
        return nodes.paragraph("", "", *statement.children, links)

    def _address(self, docname: str) -> str:
        return self.env.app.builder.get_relative_uri(self.env.docname, docname)


class ClaimNotes(SphinxDirective):
    """The reasons behind the verdicts of a page's tables, to which their letters lead."""

    def run(self) -> list[nodes.Node]:
        """Build the list."""
        return _notes_of(self.env).listed()


class Statements(SphinxDirective):
    """A table of what is stated and cannot agree or not: settings, code, what others report.

    Its argument is a topic, or several.
    """

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Build the table.

        Raises:
            docutils.parsers.rst.DirectiveError: if an argument is no topic.
        """
        judged = set(_judged(self.env)["key"])
        named = [claim for name in self.arguments[0].split() for claim in _named(self, name)]
        rows = [
            [
                nodes.paragraph("", claim.statement),
                nodes.paragraph("", claims.format_quantity(claim.value, claim.unit)),
                nodes.paragraph("", "", _source(claim)),
            ]
            for claim in named
            if claim.kind != "finding" and claim.key not in judged
        ]
        return [table(["What is stated", "Value", "Source"], rows)] if rows else []


class Verdicts(SphinxDirective):
    """How many of the study's findings got which verdict, by topic."""

    def run(self) -> list[nodes.Node]:
        """Build the sentence and the table."""
        judged = _judged(self.env)
        total = verdicts.count_verdicts(judged)
        shown = list(total)
        rows = []
        page = self.env.app.builder.get_relative_uri(self.env.docname, PAGE_OF_CLAIMS)
        for topic, title in TITLES.items():
            counted = verdicts.count_verdicts(judged, topic)
            address = f"{page}#{nodes.make_id(f'claims-{topic}')}"
            rows.append(
                [
                    nodes.paragraph("", "", link(title, address)),
                    *(nodes.paragraph("", str(counted.get(verdict, ""))) for verdict in shown),
                ]
            )
        said = (
            f"Of the study's {sum(total.values())} findings {verdicts.describe_counts(total)}, "
            "each by the evidence that bears on it most."
        )
        heads = ["", *(verdict.capitalize() for verdict in shown)]
        return [nodes.paragraph("", said), table(heads, rows)]


class _Notes:
    """The notes of a page, a letter for each."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._texts: list[str] = []

    def mark(self, text: str) -> nodes.superscript:
        """Give the letter of a note, which leads to it."""
        if text not in self._texts:
            self._texts.append(text)
        place = self._texts.index(text)
        reference = nodes.reference(
            "", ascii_lowercase[place], internal=True, refid=self._id(place)
        )
        return nodes.superscript("", "", reference)

    def listed(self) -> list[nodes.Node]:
        """The list of all notes; nothing where there is none."""
        items = [
            nodes.list_item("", nodes.paragraph("", text), ids=[self._id(place)])
            for place, text in enumerate(self._texts)
        ]
        if not items:
            return []
        kind = {"enumtype": "loweralpha", "prefix": "", "suffix": "", "classes": ["claim-notes"]}
        return [nodes.enumerated_list("", *items, **kind)]

    def _id(self, place: int) -> str:
        return f"{self._name}-{ascii_lowercase[place]}"


def _finding(row: Mapping[Any, Any], notes: _Notes) -> nodes.Element:
    """What one evidence says: what was measured, the verdict, and the letter of its reason."""
    verdict = row["verdict"]
    judged = nodes.inline("", verdict, classes=["verdict", nodes.make_id(verdict)])
    if row["reason"]:
        judged += notes.mark(row["reason"])
    return nodes.paragraph("", "", nodes.Text(f"{verdicts.format_measured(row)} "), judged)


def _notes_of(env: BuildEnvironment) -> _Notes:
    """Those of the page that is read."""
    notes: _Notes = env.temp_data.setdefault(_NOTES, _Notes(nodes.make_id(f"{env.docname}-claims")))
    return notes


def _named(directive: SphinxDirective, name: str) -> list[claims.Claim]:
    found = [
        claim for claim in claims.CLAIMS if claim.key == name or claim.key.startswith(f"{name}.")
    ]
    if not found:
        raise directive.error(f"no published claim or topic {name!r}")
    return found


def _row_id(key: str) -> str:
    return nodes.make_id(f"claim-{key}")


def _source(claim: claims.Claim) -> nodes.Node:
    return link(claim.source, claim.url) if claim.url else nodes.Text(claim.source)


def _judged(env: BuildEnvironment) -> pd.DataFrame:
    """Rows of `claims.COLUMNS`: of the book's results, and of what the study stored."""
    folder = Path(env.srcdir) / "results" / "data"
    for path in folder.glob("*_claims.csv"):
        env.note_dependency(str(path))
    return pd.concat(
        [verdicts.read_verdicts(folder), _judged_by_stored_results()], ignore_index=True
    )


@functools.cache
def _judged_by_stored_results() -> pd.DataFrame:
    """The same for every page of every book; sequences are drawn a thousand times for it."""
    return judges.judge_stored_results()


def setup(app: Sphinx) -> None:
    """Register roles and directives with Sphinx."""
    app.add_role("published", Published())
    app.add_role("measured", Measured())
    app.add_directive("claims", Claims)
    app.add_directive("claim-notes", ClaimNotes)
    app.add_directive("statements", Statements)
    app.add_directive("verdicts", Verdicts)
