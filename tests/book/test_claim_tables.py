from senformer_book import claim_tables

from senformer.report import published

CLAIM = published.claim("memory.crossover_bp")


def row(notes, agrees):
    cells = claim_tables._row(CLAIM, {"measured": 2.0, "agrees": agrees}, notes)
    return [cell.astext() for cell in cells]


def test_a_claim_is_a_row():
    notes = claim_tables._Notes("page-claims-0")
    assert row(notes, "no") == [CLAIM.statement, "300,000 bp", "2 bp", "no"]
    assert not notes


def test_a_reason_stands_below_the_table_once_however_many_rows_share_it():
    notes = claim_tables._Notes("page-claims-0")
    reasons = ("too short", "another card", "too short")
    verdicts = [row(notes, f"not comparable: {reason}")[-1] for reason in reasons]
    assert verdicts == ["not comparablea", "not comparableb", "not comparablea"]
    assert [note.astext() for note in notes.listed()] == ["too short", "another card"]


def test_a_mark_leads_to_its_note():
    notes = claim_tables._Notes("page-claims-0")
    marks = [notes.mark(text) for text in ("one", "other")]
    assert [mark[0]["refid"] for mark in marks] == [note["ids"][0] for note in notes.listed()]
