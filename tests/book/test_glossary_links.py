from docutils import nodes
from docutils.utils import new_document
from senformer_book import glossary_links
from sphinx import addnodes

from senformer.workflow import site

GLOSSARY = """# Glossary

:::{glossary}
bin
  128 base pairs.

base pair (bp)
  One position.

DNase-seq, ATAC-seq
  Two experiments.
:::
"""

ENTRIES = glossary_links.terms(GLOSSARY)


def linked(*content):
    document = new_document("page")
    document += nodes.section("", *content)
    glossary_links.link_first_occurrences(document, ENTRIES, "page")
    found = [(x.astext(), x["reftarget"]) for x in document.findall(addnodes.pending_xref)]
    return found, document.astext()


def test_each_word_leads_to_its_entry():
    assert ENTRIES == {
        "bin": "bin",
        "base pair": "base pair (bp)",
        "dnase-seq": "DNase-seq, ATAC-seq",
        "atac-seq": "DNase-seq, ATAC-seq",
    }


def test_a_term_is_linked_once_where_it_first_stands_and_nothing_is_lost():
    text = "Bins of base pairs; a bin, and ATAC-seq or DNase-seq, but no bind or re-bin."
    found, after = linked(nodes.paragraph("", text))
    assert found == [
        ("Bins", "bin"),
        ("base pairs", "base pair (bp)"),
        ("ATAC-seq", "DNase-seq, ATAC-seq"),
    ]
    assert after == text


def test_titles_links_and_code_are_left_alone():
    paragraph = nodes.paragraph("", "", nodes.literal("", "bin"), nodes.reference("", "bin"))
    found, _ = linked(nodes.title("", "bin"), paragraph, nodes.paragraph("", "then a bin"))
    assert found == [("bin", "bin")]


def test_a_card_that_is_a_link_holds_no_other():
    words = nodes.paragraph("", "a bin")
    link = nodes.reference("", "", classes=["sd-stretched-link"])
    card = nodes.container("", words, link, classes=["sd-card"])
    found, _ = linked(card, nodes.paragraph("", "then a bin"))
    assert found == [("bin", "bin")]
    found, _ = linked(nodes.container("", nodes.paragraph("", "ATAC-seq"), classes=["sd-card"]))
    assert found == [("ATAC-seq", "DNase-seq, ATAC-seq")]


def test_the_books_glossary_is_read():
    entries = glossary_links.terms((site.BOOK / "glossary.md").read_text())
    assert {"attention", "bin", "track", "receptive field"} <= set(entries)
