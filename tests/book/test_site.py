"""The files of the built site."""

import html
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from demo_run import HOSTILE_PAGE
from nbformat.v4 import new_markdown_cell
from site_reader import html_pages

from senformer.attention_kinds import KINDS
from senformer.study import claims
from senformer.workflow import notebooks, site

EXTERNAL_HOSTS = {"arxiv.org", "currie32.github.io", "doi.org", "github.com"}


class Links(HTMLParser):
    """All addresses, links and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.links, self.anchors = [], [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values.get("id"), values.get("name")}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        self.targets += [values[key] for key in ("href", "src") if values.get(key)]


def test_site_internal_links_resolve(any_site):
    pages = {path: Links(path) for path in html_pages(any_site)}
    for path, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert file.is_file(), f"{path.name} links to {target}"
            if parts.fragment and file in pages:
                assert unquote(parts.fragment) in pages[file].anchors, f"{path.name}: {target}"


def test_site_external_links_are_known_and_listed(any_site):
    listed = (any_site / "external-links.txt").read_text()
    for path in html_pages(any_site):
        links = Links(path)
        for parts in map(urlsplit, links.targets):
            if parts.netloc:
                assert parts.scheme == "https" and parts.netloc in EXTERNAL_HOSTS, path
        assert all(link in listed for link in links.links if urlsplit(link).netloc), path


def test_results_pages_name_their_origin(any_site):
    for name in notebooks.ORDER:
        text = (any_site / f"results/{name}.html").read_text()
        assert "Where this comes from" in text
        assert re.search(r"<figcaption>[^<]+ · [^<]+ · commits? [^<]+ · <a href=", text), name
        downloads = re.findall(r'href="(\.\./_downloads/[^"]+)"', text)
        assert {Path(link).suffix for link in downloads} == {".ipynb", ".py", ".csv"}, name


def test_only_pages_with_figures_load_plotly(any_site):
    assert len(list(any_site.rglob("plotly*.min.js"))) == 1
    for path in html_pages(any_site):
        text = path.read_text()
        scripts = re.findall(r"<script[^>]*plotly\.min\.js[^>]*>", text)
        assert len(scripts) == ('class="plotly-figure"' in text), path
        assert all("defer" in script for script in scripts), path


def test_table_headings_are_words(any_site):
    for path in html_pages(any_site):
        heads = re.findall(r"<th[^>]*>(.*?)</th>", path.read_text(), re.S)
        names = [html.unescape(re.sub(r"<[^>]+>", "", head)).strip() for head in heads]
        assert [name for name in names if "_" in name and name not in KINDS] == [], path


def test_claims_page_states_every_claim(any_site):
    text = html.unescape(re.sub(r"<[^>]+>", "", (any_site / "claims.html").read_text()))
    text = " ".join(text.split()).replace("’", "'")
    for claim in claims.CLAIMS:
        assert " ".join(claim.statement.split()) in text, claim.key
    assert text.count("Stored results") >= 2  # Figures 6 and 8, by the study's own numbers


def test_theme_icons_are_drawn(demo_site):
    pages = "".join(path.read_text() for path in html_pages(demo_site))
    styles = (site.BOOK / "_static/icons.css").read_text()
    drawn = re.findall(r"^\.(fa-[a-z-]+) \{ --icon", styles, re.M)
    assert set(re.findall(r"\bfa-(?!solid|lg|regular)[a-z-]+", pages)) <= set(drawn)


def test_build_leaves_book_and_run_unchanged(built_demo, run_folder):
    index, before, after = built_demo
    assert index == run_folder.parent / "site/index.html"
    assert before == after


@pytest.mark.parametrize("missing", ["memory.ipynb", "correlation.csv"])
def test_incomplete_run_is_refused(run_folder, tmp_path, missing):
    incomplete = tmp_path / "run"
    shutil.copytree(run_folder, incomplete, ignore=shutil.ignore_patterns(missing))
    with pytest.raises(FileNotFoundError, match=missing.split(".")[0]):
        site.build(incomplete, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_text_of_users_is_shown_verbatim(demo_site):
    text = (demo_site / f"results/{HOSTILE_PAGE}.html").read_text()
    assert "<script>window.ran" not in text and "hatchling" not in text
    shown = " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())
    for device in (
        "</p><script>window.ran=1</script> ```{literalinclude}",
        "[x](javascript:y) &amp; *b*",
    ):
        assert shown.count(device) >= 5  # device, data, version, commit, command


@pytest.mark.slow
def test_failed_build_keeps_the_old_site(run_folder, tmp_path):
    broken = tmp_path / "run"
    shutil.copytree(run_folder, broken)
    notebook = nbformat.read(broken / "memory.ipynb", as_version=4)
    notebook.cells.append(new_markdown_cell("{doc}`no_such_page`"))
    nbformat.write(notebook, broken / "memory.ipynb")
    destination = tmp_path / "site"
    destination.mkdir()
    (destination / "index.html").write_text("old")
    with pytest.raises(ValueError, match=r"1 warnings of Sphinx, .*no_such_page"):
        site.build(broken, destination)
    assert [path.name for path in destination.iterdir()] == ["index.html"]
