from docutils import nodes
from senformer_book import claim_tables
from senformer_book.tables import table

from senformer.study.verdicts import AGREES, DIFFERS
from senformer.workflow import notebooks


def finding(notes, reason, verdict=DIFFERS):
    row = {"key": "memory.crossover_bp", "measured": 2.0, "verdict": verdict, "reason": reason}
    return claim_tables._finding(row, notes).astext()


def test_what_was_found_stands_with_its_unit_and_its_verdict():
    notes = claim_tables._Notes("page-claims")
    assert finding(notes, "", AGREES) == "2 bp agrees"
    assert notes.listed() == []


def test_a_reason_stands_once_however_many_rows_share_it():
    notes = claim_tables._Notes("page-claims")
    reasons = ("too short", "another card", "too short")
    assert [finding(notes, reason)[-1] for reason in reasons] == ["a", "b", "a"]
    [listed] = notes.listed()
    assert [note.astext() for note in listed] == ["too short", "another card"]


def test_a_mark_leads_to_its_note():
    notes = claim_tables._Notes("page-claims")
    marks = [notes.mark(text) for text in ("one", "other")]
    [listed] = notes.listed()
    assert [mark[0]["refid"] for mark in marks] == [note["ids"][0] for note in listed]


def test_every_results_page_has_a_title():
    assert tuple(claim_tables.TITLES) == notebooks.ORDER


def test_a_cell_is_of_the_class_of_its_column():
    made = table(["The study says", "Found"], [[nodes.paragraph(), nodes.paragraph()]])
    classes = [entry["classes"] for entry in made.findall(nodes.entry)]
    assert classes == [["the-study-says"], ["found"]] * 2
