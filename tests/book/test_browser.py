"""The built site in a browser that has no network."""

import gzip
import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import nbformat
import pytest
from site_reader import DESKTOP, PHONE, Reader, html_pages

from senformer.workflow import notebooks
from senformer.workflow.executed_notebooks import PLOTLY_MIME

OBSERVE = """() => {
    const plots = [...document.querySelectorAll(".js-plotly-plot")];
    const shown = plots.filter((plot) => plot.offsetParent);
    const box = (element) => element && element.getBoundingClientRect();
    const text = box(document.querySelector("article.bd-article"));
    const fits = (plot) => {
        const { left, right } = box(plot.querySelector("svg.main-svg"));
        return left >= text.left && right <= text.right + 1;
    };
    return {
        scrolls_sideways: document.documentElement.scrollWidth > window.innerWidth,
        height: document.documentElement.scrollHeight,
        figures: plots.length,
        empty: plots.filter((plot) => !plot.querySelector(".trace, .hm")).length,
        all_fit: shown.every(fits),
        legends_scroll: [...document.querySelectorAll(".legend .scrollbar")]
            .some((bar) => bar.height.baseVal.value !== 0),
        answer_bottom: box(document.querySelector("div.cell.tag_answer"))?.bottom,
        figure_top: box(shown[0])?.top,
    };
}"""

OPEN_ALL = """() => {
    document.querySelectorAll("details").forEach((fold) => (fold.open = true));
    const code = document.getElementById("show-code");
    if (code) code.checked = true;
}"""


@pytest.fixture(
    scope="module",
    params=[
        ("book_site", DESKTOP),
        pytest.param(("book_site", PHONE), marks=pytest.mark.slow),
        pytest.param(("demo_site", DESKTOP), marks=pytest.mark.slow),
        pytest.param(("demo_site", PHONE), marks=pytest.mark.slow),
    ],
    ids=["book-desktop", "book-phone", "demo-desktop", "demo-phone"],
)
def visits(request, chromium):
    """The viewport, and what each page of a site shows at first and with everything opened."""
    site, viewport = request.param
    reader = Reader(chromium, viewport)
    observed = {}
    for path in html_pages(request.getfixturevalue(site)):
        page = reader.open(path)
        first = page.evaluate(OBSERVE)
        page.evaluate(OPEN_ALL)
        page.wait_for_timeout(100)
        opened = page.evaluate(OBSERVE)
        observed[path] = first, opened, list(reader.complaints)
        reader.complaints.clear()
    reader.context.close()
    return viewport, observed


def stored_figures(page):
    """Return the number of Plotly outputs in the notebook behind a page."""
    notebook = page.parents[1] / "_sources/results" / f"{page.stem}.ipynb"
    if page.parent.name != "results" or not notebook.is_file():
        return 0
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return sum(PLOTLY_MIME in output.get("data", {}) for output in outputs)


def test_pages_load_offline_without_errors(visits):
    for path, (*_, complaints) in visits[1].items():
        assert complaints == [], path


def test_pages_do_not_scroll_sideways(visits):
    for path, (first, opened, _) in visits[1].items():
        assert not first["scrolls_sideways"] and not opened["scrolls_sideways"], path


def test_pages_draw_all_figures_within_the_text(visits):
    for path, (first, *_) in visits[1].items():
        assert first["figures"] >= stored_figures(path), path
        assert first["empty"] == 0 and first["all_fit"], path
    assert sum(first["figures"] for first, *_ in visits[1].values()) > 0


def test_legends_do_not_scroll(visits):
    viewport, observed = visits
    if viewport == DESKTOP:  # a phone has no room for a figure and a long legend
        for path, (first, *_) in observed.items():
            assert not first["legends_scroll"], path


def test_results_pages_are_short_and_answer_first(visits):
    viewport, observed = visits
    for path, (first, *_) in observed.items():
        if path.stem in notebooks.ORDER and viewport == DESKTOP:
            assert first["height"] <= 4_000, path
            assert first["answer_bottom"] <= min(first["figure_top"], 900), path


def test_landing_page_answers_on_one_screen(book_site, desktop):
    page = desktop.open(book_site / "index.html")
    titles = page.locator(".sd-card:has(p.answer) .sd-card-title").all_inner_texts()
    assert titles == ["Memory", "Time", "Accuracy, and over which distances", "A trained Enformer"]
    for answer in page.locator("p.answer").all():
        box = answer.bounding_box()
        assert box["y"] + box["height"] <= 900
        assert re.search(r"\d", answer.inner_text())


def test_landing_page_is_light(any_site, desktop):
    """300 kB of compressed files without plotly.js."""
    requests = []
    desktop.page.on("request", lambda request: requests.append(urlsplit(request.url).path))
    desktop.open(any_site / "index.html")
    files = {Path(unquote(path)) for path in requests if "plotly.min.js" not in path}
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= 300_000


def test_theme_button_recolours_figures(demo_site, desktop):
    page = desktop.open(demo_site / "results/memory.html")
    ink = "getComputedStyle(document.querySelector('.js-plotly-plot .xtick text')).fill"
    red = {}
    for _ in range(3):
        before = page.evaluate(f"[document.documentElement.dataset.theme, {ink}]")
        page.locator("button.theme-switch-button:visible").click()
        theme = page.evaluate("document.documentElement.dataset.theme")
        if theme != before[0]:
            page.wait_for_function(f"{ink} !== '{before[1]}'")
        red[theme] = int(re.search(r"\d+", page.evaluate(ink))[0])
    assert red["light"] < 100 < 150 < red["dark"]


CONTRAST = """() => {
    const channels = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255);
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const light = (color) => {
        const [r, g, b] = channels(color).map(linear);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    const isClear = (color) => /, 0\\)$/.test(color) || color === "none";
    const ground = (element) => {
        const button = element.parentElement.querySelector(".updatemenu-item-rect");
        const fill = button ? getComputedStyle(button).fill : "none";
        if (!isClear(fill)) return light(fill);
        let box = element.closest(".js-plotly-plot");
        while (isClear(getComputedStyle(box).backgroundColor)) box = box.parentElement;
        return light(getComputedStyle(box).backgroundColor);
    };
    for (const menu of document.querySelectorAll(".updatemenu-header"))
        menu.dispatchEvent(new MouseEvent("click"));
    const texts = [...document.querySelectorAll(".js-plotly-plot svg text")];
    return texts.filter((t) => t.textContent).map((t) => {
        const [ink, behind] = [light(getComputedStyle(t).fill), ground(t)];
        return Math.max(ink, behind) / Math.min(ink, behind);
    });
}"""


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_figure_text_has_contrast(book_site, desktop, theme):
    desktop.choose_theme(theme)
    for name in notebooks.ORDER:
        contrasts = desktop.open(book_site / f"results/{name}.html").evaluate(CONTRAST)
        assert contrasts and min(contrasts) >= 4.5, name


def test_figures_print_dark_on_white(book_site, desktop):
    desktop.choose_theme("dark")
    page = desktop.open(book_site / "results/memory.html")
    plot = "document.querySelector('.js-plotly-plot svg.main-svg')"
    state = f"[getComputedStyle({plot}.querySelector('text')).fill, {plot}.clientWidth]"
    on_screen = page.evaluate(state)
    printed = page.evaluate(f"(dispatchEvent(new Event('beforeprint')), {state})")
    assert int(re.search(r"\d+", printed[0])[0]) < 100 < int(re.search(r"\d+", on_screen[0])[0])
    assert printed[1] == 600
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    stored = json.dumps(on_screen, separators=(",", ":"))
    page.wait_for_function(f"JSON.stringify({state}) === '{stored}'")


def test_hidden_figures_are_printed(demo_site, desktop):
    page = desktop.open(demo_site / "results/finetuning.html")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    plots = page.locator(".js-plotly-plot")
    assert [plot.is_visible() for plot in plots.all()] == [True] * 5
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert [plot.is_visible() for plot in plots.all()] == [True, False, False, False, False]


@pytest.mark.slow
def test_figures_fit_the_paper(book_site, desktop):
    for name in notebooks.ORDER:
        page = desktop.open(book_site / f"results/{name}.html")
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 688, "height": 1000})  # A4 between its margins
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        widths = page.evaluate(
            "[...document.querySelectorAll('figure.plotly-figure')]"
            ".map((figure) => [figure.scrollWidth, figure.clientWidth])"
        )
        assert widths and all(drawn <= place for drawn, place in widths), name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_saved_image_has_axes_and_origin(book_site, desktop, theme):
    desktop.choose_theme(theme)
    page = desktop.open(book_site / "results/memory.html")
    figure = page.locator("figure.plotly-figure").first
    titles = figure.locator(".g-xtitle, .g-ytitle").all_text_contents()
    origin = re.split(r" · (?:\d+ )?commit", figure.locator("figcaption").inner_text())[0]
    with page.expect_download() as download:
        figure.get_by_role("button", name="image (SVG)").click()
    assert download.value.suggested_filename == "memory-1.svg"
    image = ElementTree.fromstring(Path(download.value.path()).read_text())
    texts = [text for text in image.iter() if text.tag.endswith("}text")]
    shown = " ".join(" ".join(text.itertext()) for text in texts)
    assert all(word in shown for words in [*titles, origin] for word in words.split())
    inks = [re.search(r"fill: rgb\((\d+)", text.get("style") or "") for text in texts]
    assert max(int(ink[1]) for ink in inks if ink) < 100  # dark on white in both themes
    assert page.evaluate("document.documentElement.dataset.theme") == theme


@pytest.mark.parametrize(
    ("name", "switch", "number"),
    [("finetuning", "label.sd-tab-label >> nth=2", 2), ("memory", "summary >> text=Folded", 1)],
    ids=["tab", "fold"],
)
def test_revealed_figure_is_as_wide_as_others(demo_site, reader, name, switch, number):
    page = reader.open(demo_site / f"results/{name}.html")
    plots = page.locator(".js-plotly-plot")
    width = plots.first.locator("svg.main-svg").first.bounding_box()["width"]
    assert not plots.nth(number).is_visible()
    page.locator(switch).click()
    page.wait_for_function(
        """([number, width]) => {
            const plot = document.querySelectorAll('.js-plotly-plot')[number];
            return plot.clientWidth === width && plot.querySelector('svg').clientWidth === width;
        }""",
        arg=[number, width],
    )


def test_keyboard_operates_switch_folds_and_tabs(demo_site, desktop):
    page = desktop.open(demo_site / "results/finetuning.html")
    silent = page.locator("div.cell").filter(has_text="nothing_is_shown")
    code = page.locator("div.cell_input").filter(has_text="answers")
    assert code.is_hidden() and silent.is_hidden()
    page.get_by_role("checkbox", name="Show the code").focus()
    page.keyboard.press("Space")
    assert code.is_visible() and silent.is_visible()
    assert page.locator("details.hide").count() == 0
    page.locator("section.folded-section summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("section.folded-section > details").first.get_attribute("open") is not None
    page.locator(".sd-tab-set > input").first.focus()
    page.keyboard.press("ArrowRight")
    plots = page.locator(".sd-tab-set .js-plotly-plot")
    assert [plot.is_visible() for plot in plots.all()] == [False, True, False, False]


def test_links_open_folds(demo_site, desktop):
    page = desktop.open(demo_site / "results/receptive_field.html")
    opened = page.locator("section.folded-section > details[open]")
    assert opened.count() == 0
    page.get_by_role("link", name="how", exact=True).click()
    page.wait_for_function("document.querySelectorAll('details[open]').length === 1")
    assert "Verdicts" in opened.inner_text()
    page.goto(f"{page.url.partition('#')[0]}#origin-receptive-field")
    page.wait_for_function("document.querySelectorAll('details[open]').length === 2")


def test_long_table_sorts_and_filters(demo_site, desktop):
    page = desktop.open(demo_site / "results/runtime.html")
    page.locator("summary").filter(has_text="Folded").click()
    table = page.locator("table.dataframe")
    shown = "[...document.querySelectorAll('table.dataframe td:last-child')].map(c => c.innerText)"
    by_number = table.get_by_role("button", name="Number")
    by_number.click()
    rising = page.evaluate(shown)
    assert rising[:3] == ["1", "2", "3"] and rising[-2:] == ["1,000", "–"]
    by_number.click()
    falling = page.evaluate(shown)
    assert falling[:2] == ["1,000", "12"] and falling[-1] == "–"
    page.get_by_role("searchbox", name="Rows with").fill("row 3")
    assert [row.is_visible() for row in table.locator("tbody tr").all()].count(True) == 1


@pytest.mark.parametrize(
    ("reader", "theme", "chosen"),
    [
        (DESKTOP, "light", {"index", "methods", "planner", "claims", "memory"}),
        pytest.param(DESKTOP, "light", None, marks=pytest.mark.slow),
        pytest.param(PHONE, "dark", None, marks=pytest.mark.slow),
    ],
    indirect=["reader"],
)
def test_pages_have_no_serious_axe_violation(book_site, reader, theme, chosen):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    reader.choose_theme(theme)
    for path in [p for p in html_pages(book_site) if chosen is None or p.stem in chosen]:
        violations = axe.run(reader.open(path)).response["violations"]
        grave = [v for v in violations if v["impact"] in ("serious", "critical")]
        assert [(v["id"], v["nodes"][0]["html"]) for v in grave] == [], path
    reader.complaints.clear()  # axe itself requests style sheets, which the browser refuses
