import pytest

from senformer.workflow import notebooks, pdf, site


@pytest.mark.parametrize(
    ("link", "printed"),
    [
        ('<a class="x" href="data/memory.csv" download>', '<a class="x" download>'),
        ('<a href="../_downloads/memory.py">', "<a>"),
        ('<a href="#memory">', '<a href="#memory">'),
        ('<a href="index.html#memory">', '<a href="index.html#memory">'),
        ('<a href="https://doi.org/x">', '<a href="https://doi.org/x">'),
        ('<link href="_static/site.css">', '<link href="_static/site.css">'),
    ],
)
def test_remove_links_keeps_web_and_page_links(link, printed):
    assert pdf.remove_links_to_files(link) == printed


def test_write_names_browsers_if_none_found(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="chromium"):
        pdf.write(tmp_path / "book.pdf")


@pytest.mark.slow
def test_write_prints_every_chapter(tmp_path):
    try:
        pdf.find_browser()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    printed = pdf.write(tmp_path / "new" / "book.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    chapters = [*site.BOOK.glob("*.md"), *notebooks.ORDER]
    assert printed.count(b"/Type /Page\n") >= len(chapters)
    assert b"file:" not in printed
