"""The built site, read in a browser that has no network."""

import gzip
import html
import json
import math
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import nbformat
import pandas as pd
import plotly.graph_objects as go
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from senformer.attention_kinds import KINDS, attention_kind
from senformer.experiments.memory_and_time import planner
from senformer.report import results, tables
from senformer.study import claims
from senformer.workflow import notebooks, publication, site
from senformer.workflow.site import PLOTLY_MIME

PHONE = {"width": 400, "height": 800}
DESKTOP = {"width": 1280, "height": 900}


def plotly_output(title):
    figure = go.Figure(
        [go.Scatter(x=[131_072, 262_144], y=[1.0, 2.0]), go.Heatmap(z=[[1, 2], [3, 4]])],
        layout={"title": {"text": title}, "width": 900, "height": 300},
    )
    data = {PLOTLY_MIME: json.loads(figure.to_json()), "text/html": "<b>a second form</b>"}
    return new_output("display_data", data=data)


def answer_output(name):
    text = f"The answer, and [how](#verdicts-{name.replace('_', '-')})."
    return new_output("display_data", data={"text/markdown": text})


def wide_table_output():
    cells = "".join(f"<td>column_{i}</td>" for i in range(40))
    return new_output("display_data", data={"text/html": f"<table><tr>{cells}</tr></table>"})


def long_table_output():
    numbers = [1000, math.nan, *range(12, 0, -1)]
    frame = pd.DataFrame({"name": [f"row {n}" for n in range(14)], "number": numbers})
    return new_output("display_data", data={"text/html": tables.show(frame).data})


def measured_memory():
    """Peaks as profiling measures them: linear in the length, with dense attention quadratic."""
    rows = [
        {
            "attention": attention,
            "trainable": "attention",
            "num_transformer_layers": layers,
            "channels": 256,
            "batch_size": 1,
            "compute_dtype": "float32",
            "sequence_length_bp": length,
            "peak_memory_gb": 0.1
            + length / 1e6 * layers
            + (attention == "dense") * length**2 / 1e11,
            "status": "ok",
            "device": "a test's device",
        }
        for attention in ("dense", "bigbird")
        for layers in (1, 4)
        for length in (16_384, 65_536, 131_072, 262_144)
    ]
    return pd.DataFrame(rows)


def compiled_memory():
    """Peaks as a compiler gives them; the longest does not fit."""
    card = {"device": "card", "device_label": "A card (1 GB)", "device_memory_gb": 1.0}
    compiled = measured_memory().assign(**card)
    fits = compiled["peak_memory_gb"] <= 1
    return compiled.assign(status=fits.map({True: "compiled", False: "out_of_memory"}))


PROVENANCE = {
    "parameters": {"seed": 0},
    "seed": 0,
    "data": "simulated",
    "version": "0.1.0",
    "commit": "0123456789",
    "device": "a test's device",
    "libraries": {"python": "3.11"},
    "time_utc": "2026-01-02T03:04:05+00:00",
}


def write_run(folder):
    """A run as the notebooks leave it; the first has one figure, the next two, and so on.

    Each has one figure more in a fold.
    """
    folder.mkdir()
    for number, name in enumerate(notebooks.ORDER, start=1):
        cells = [
            new_markdown_cell(f"# Title of {name}"),
            new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
            new_code_cell("seed = 1", metadata={"tags": ["injected-parameters"]}),
            new_code_cell("answers", outputs=[answer_output(name)], metadata={"tags": ["answer"]}),
            *(
                new_code_cell(
                    "figure",
                    outputs=[plotly_output(f"{name} {index}")],
                    metadata={"tags": [f"tab: {index}"] if name == "finetuning" else []},
                )
                for index in range(number)
            ),
            new_code_cell("nothing_is_shown()"),
            new_markdown_cell("## Folded", metadata={"tags": ["folded"]}),
            new_code_cell("a_wide_table", outputs=[wide_table_output()]),
            new_code_cell("a_long_table", outputs=[long_table_output()]),
            new_code_cell("folded_figure", outputs=[plotly_output(f"{name} folded")]),
            new_markdown_cell(f"(verdicts-{name})=\n## Verdicts", metadata={"tags": ["folded"]}),
        ]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        metadata["language_info"] = {"name": "python"}
        nbformat.write(new_notebook(cells=cells, metadata=metadata), folder / f"{name}.ipynb")
        results.write(measured_memory(), folder / f"{name}.csv", PROVENANCE)
    results.write(compiled_memory(), folder / "memory_compiled.csv", PROVENANCE)
    return folder


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture(scope="session")
def build_of_demo_site(run_folder):
    """What `build` returned, and all files of book and run before and after it."""
    before = snapshot(site.BOOK), snapshot(run_folder)
    index = site.build(run_folder, run_folder.parent / "site")
    return index, before, (snapshot(site.BOOK), snapshot(run_folder))


@pytest.fixture(scope="session")
def demo_site(build_of_demo_site):
    return build_of_demo_site[0].parent


def missing_results():
    return [n for n in notebooks.ORDER if not (site.BOOK / f"results/{n}.ipynb").is_file()]


@pytest.fixture(scope="session")
def book_site(tmp_path_factory):
    if missing := missing_results():
        reason = f"book/results has no {missing[0]}.ipynb; `make publish` puts one there"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return site.build_book(site.BOOK, tmp_path_factory.mktemp("book"))


@pytest.fixture(params=["demo_site", "book_site"])
def any_site(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def best_site(request):
    """The book with its published results, or a demo's where none are published yet."""
    return request.getfixturevalue("demo_site" if missing_results() else "book_site")


class Reader:
    """A page in a browser without a network, and everything that went wrong on it."""

    def __init__(self, browser, viewport):
        self.context = browser.new_context(viewport=viewport, offline=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", self._note_console)
        self.page.on("request", self._note_request)
        self.page.on("requestfailed", self._note_failure)

    def _note_console(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _note_failure(self, request):
        # The browser gives up what it is still loading, an icon, when the test opens another page.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url}: {request.failure}")

    def _note_request(self, request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(f"outside the site: {request.url}")

    def open(self, path):
        self.page.goto(path.as_uri(), wait_until="load")
        self.page.wait_for_function(
            "[...document.querySelectorAll('figure.plotly-figure')]"
            ".every(f => f.querySelector('.js-plotly-plot svg.main-svg .trace, .hm'))"
        )
        return self.page


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def reader(request, chromium):
    reader = Reader(chromium, request.param)
    yield reader
    reader.context.close()


@pytest.fixture
def desktop(chromium):
    reader = Reader(chromium, DESKTOP)
    yield reader
    reader.context.close()


def html_pages(folder):
    return sorted(p for p in folder.rglob("*.html") if "_static" not in p.relative_to(folder).parts)


def stored_figures(page):
    """How many Plotly outputs the notebook behind a page holds."""
    notebook = page.parents[1] / "_sources/results" / f"{page.stem}.ipynb"
    if page.parent.name != "results" or not notebook.is_file():
        return 0
    outputs = [
        output
        for cell in nbformat.read(notebook, as_version=4).cells
        for output in cell.get("outputs", ())
    ]
    return sum(PLOTLY_MIME in output.get("data", {}) for output in outputs)


OPEN_ALL = """() => {
    document.querySelectorAll("details").forEach((fold) => (fold.open = true));
    const code = document.getElementById("show-code");
    if (code) code.checked = true;
}"""

NO_LEGEND_IS_SCROLLED = """[...document.querySelectorAll(".legend .scrollbar")]
    .every((bar) => bar.height.baseVal.value === 0)"""


@pytest.mark.parametrize(
    ("any_site", "reader"),
    [
        ("book_site", DESKTOP),
        pytest.param("book_site", PHONE, marks=pytest.mark.slow),
        pytest.param("demo_site", DESKTOP, marks=pytest.mark.slow),
        pytest.param("demo_site", PHONE, marks=pytest.mark.slow),
    ],
    indirect=True,
    ids=["book-desktop", "book-phone", "demo-desktop", "demo-phone"],
)
def test_every_page_is_whole_without_a_network_also_with_everything_opened(any_site, reader):
    drawn = 0
    for path in html_pages(any_site):
        page = reader.open(path)
        assert_nothing_is_wrong(reader, path)
        if page.viewport_size == DESKTOP:  # a phone has no room for a figure and a long legend
            assert page.evaluate(NO_LEGEND_IS_SCROLLED), path
        plots = page.locator(".js-plotly-plot")
        for plot in plots.all():
            assert plot.locator("svg.main-svg .trace, svg.main-svg .hm").count() > 0, path
        drawn += plots.count()
        assert plots.count() >= stored_figures(path), path
        page.evaluate(OPEN_ALL)
        page.wait_for_timeout(100)
        assert_nothing_is_wrong(reader, path)
    assert drawn >= sum(map(stored_figures, html_pages(any_site))) > 0


def assert_nothing_is_wrong(reader, path):
    assert reader.complaints == [], path
    widths = reader.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], f"{path} scrolls sideways"


def test_figures_fit_the_text_whatever_width_they_were_made_for(demo_site, reader):
    page = reader.open(demo_site / "results/memory.html")
    plot = page.locator(".js-plotly-plot svg.main-svg").first.bounding_box()
    text = page.locator("article.bd-article").bounding_box()
    assert text["x"] <= plot["x"] and plot["x"] + plot["width"] <= text["x"] + text["width"] + 1


def test_figures_follow_the_theme(demo_site, desktop):
    page = desktop.open(demo_site / "results/memory.html")
    ink = "getComputedStyle(document.querySelector('.js-plotly-plot .xtick text')).fill"
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.wait_for_timeout(300)
    light = page.evaluate(ink)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"{ink} !== '{light}'")
    red = [int(re.search(r"\d+", color)[0]) for color in (light, page.evaluate(ink))]
    assert red[0] < 100 < 150 < red[1]
    assert desktop.complaints == []


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
def test_text_of_figures_is_readable_in_both_themes(best_site, desktop, theme):
    desktop.context.add_init_script(
        f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
    )
    for name in notebooks.ORDER:
        contrasts = desktop.open(best_site / f"results/{name}.html").evaluate(CONTRAST)
        assert contrasts and min(contrasts) >= 4.5, name


def test_figures_are_printed_dark_on_white_and_as_wide_as_paper(best_site, desktop):
    desktop.context.add_init_script(
        "localStorage.setItem('mode', 'dark'); localStorage.setItem('theme', 'dark')"
    )
    page = desktop.open(best_site / "results/memory.html")
    plot = "document.querySelector('.js-plotly-plot svg.main-svg')"
    state = f"[getComputedStyle({plot}.querySelector('text')).fill, {plot}.clientWidth]"
    on_screen = page.evaluate(state)
    printed = page.evaluate(f"(dispatchEvent(new Event('beforeprint')), {state})")
    assert int(re.search(r"\d+", printed[0])[0]) < 100 < int(re.search(r"\d+", on_screen[0])[0])
    assert printed[1] == 600
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(
        f"JSON.stringify({state}) === '{json.dumps(on_screen, separators=(',', ':'))}'"
    )
    assert desktop.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_figure_is_saved_as_an_image_for_paper_with_its_axes_and_its_origin(
    best_site, desktop, theme
):
    desktop.context.add_init_script(
        f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
    )
    page = desktop.open(best_site / "results/memory.html")
    figure = page.locator("figure.plotly-figure").first
    titles = figure.locator(".g-xtitle, .g-ytitle").all_text_contents()
    origin = re.split(r" · (?:\d+ )?commit", figure.locator("figcaption").inner_text())[0]
    with page.expect_download() as download:
        figure.get_by_role("button", name="image (SVG)").click()
    assert download.value.suggested_filename == "memory-1.svg"
    image = ElementTree.fromstring(Path(download.value.path()).read_text())
    assert image.tag.endswith("}svg")
    texts = [text for text in image.iter() if text.tag.endswith("}text")]
    shown = [" ".join("".join(text.itertext()).split()) for text in texts]
    assert {" ".join(title.split()) for title in titles} - {""} <= set(shown)
    assert any(origin in text for text in shown)
    inks = [re.search(r"fill: rgb\((\d+)", text.get("style") or "") for text in texts]
    assert max(int(ink[1]) for ink in inks if ink) < 100
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert desktop.complaints == []


@pytest.mark.slow
def test_no_figure_is_cut_on_paper(best_site, desktop):
    between_the_margins_of_a4 = {"width": 688, "height": 1000}
    for name in notebooks.ORDER:
        page = desktop.open(best_site / f"results/{name}.html")
        page.emulate_media(media="print")
        page.set_viewport_size(between_the_margins_of_a4)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        widths = page.evaluate(
            "[...document.querySelectorAll('figure.plotly-figure')]"
            ".map((figure) => [figure.scrollWidth, figure.clientWidth])"
        )
        assert widths and all(drawn <= place for drawn, place in widths), name


def test_figures_behind_tabs_and_in_folds_are_printed_too(demo_site, desktop):
    page = desktop.open(demo_site / "results/finetuning.html")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    plots = page.locator(".js-plotly-plot")
    assert [plot.is_visible() for plot in plots.all()] == [True] * 5
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert [plot.is_visible() for plot in plots.all()] == [True, False, False, False, False]
    assert desktop.complaints == []


def test_links_out_of_the_site_are_listed(any_site):
    listed = (any_site / "external-links.txt").read_text()
    for path in html_pages(any_site):
        for target in Links(path.read_text()).links:
            if urlsplit(target).netloc:
                assert target in listed, path


def test_theme_button_changes_the_theme(demo_site, desktop):
    page = desktop.open(demo_site / "index.html")
    themes = set()
    for _ in range(3):
        page.locator("button.theme-switch-button:visible").click()
        themes.add(page.evaluate("document.documentElement.dataset.theme"))
    assert themes == {"light", "dark"}


def ask(page, *, device="cpu", budget_gb, length, layers, trainable="attention"):
    """Fill the planner's form; the cells of its table by kind of attention."""
    page.locator("select[name=device]").select_option(device)
    page.locator("select[name=trainable]").select_option(trainable)
    page.get_by_role("spinbutton", name="Memory of the device").fill(str(budget_gb))
    page.get_by_role("spinbutton", name="Input length").fill(str(length))
    page.get_by_role("spinbutton", name="Transformer layers").fill(str(layers))
    rows = page.locator("form.memory-planner tbody tr").all()
    cells = [
        [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in r.locator("td").all_inner_texts()]
        for r in rows
    ]
    return {label: tuple(rest) for label, *rest in cells}


def test_planner_on_the_page_answers_as_the_package_does(demo_site, desktop):
    page = desktop.open(demo_site / "planner.html")
    model = planner.fit_memory(measured_memory())
    longest_measured = measured_memory()["sequence_length_bp"].max()
    for layers, budget_gb, length in ((3, 8, 131_072), (16, 2, 8192)):
        answers = ask(page, budget_gb=budget_gb, length=length, layers=layers)
        for attention in ("dense", "bigbird"):
            asked = {"attention": attention, "trainable": "attention", "channels": 256}
            asked |= {"num_transformer_layers": layers}
            verdict, said, reach = answers[attention_kind(attention).label]
            peak = planner.predict_peak_gb(model, sequence_length_bp=length, **asked)
            error = model[attention, "attention"].largest_error
            assert float(re.match(r"[\d.]+", said)[0]) == pytest.approx(peak, rel=5e-3)
            assert (verdict == "fits") == (peak * (1 + error) <= budget_gb)
            assert (verdict == "does not fit") == (peak * (1 - error) > budget_gb)
            longest = planner.longest_sequence_bp(model, budget_gb=budget_gb, **asked)
            expected = f"{longest:,} bp" if longest < 2 * longest_measured else "or more"
            assert expected in reach
    assert desktop.complaints == []


def test_planner_says_what_it_cannot_answer_and_what_to_ask(demo_site, desktop):
    page = desktop.open(demo_site / "planner.html")
    said = page.locator("form.memory-planner output")
    longest = int(measured_memory()["sequence_length_bp"].max())
    answers = ask(page, budget_gb=1000, length=2 * longest + 8192, layers=4)
    assert {verdict for verdict, *_ in answers.values()} == {"cannot be said"}
    assert ask(page, budget_gb=8, length=100_000, layers=4) == {}
    assert "ask for 98,304 bp or 106,496 bp" in said.inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert ask(page, budget_gb=8, length=131_072, layers=99) == {}
    assert "The layers are at least 1 and at most 16" in said.inner_text()
    assert desktop.complaints == []


def test_planner_answers_for_a_card_what_was_compiled_for_it(demo_site, desktop):
    page = desktop.open(demo_site / "planner.html")
    assert page.get_by_role("spinbutton", name="Memory of the device").input_value() == "1"
    for row in compiled_memory().itertuples():
        asked = {"device": row.device, "budget_gb": row.device_memory_gb}
        asked |= {"length": row.sequence_length_bp, "layers": row.num_transformer_layers}
        verdict, said, _ = ask(page, **asked)[attention_kind(row.attention).label]
        assert float(said.removesuffix(" GB (compiled)")) == pytest.approx(
            row.peak_memory_gb, rel=5e-3
        )
        assert verdict == ("fits" if row.status == "compiled" else "does not fit")
    page.locator("select[name=device]").select_option("cpu")
    page.locator("select[name=device]").select_option("card")
    assert page.get_by_role("spinbutton", name="Memory of the device").input_value() == "1"
    assert desktop.complaints == []


def test_planner_draws_what_it_answers(demo_site, desktop):
    page = desktop.open(demo_site / "planner.html")
    measured = measured_memory().query("num_transformer_layers == 4 and status == 'ok'")
    model = planner.fit_memory(measured_memory())
    ask(page, budget_gb=3, length=65_536, layers=4)
    page.wait_for_function("document.querySelector('.js-plotly-plot').data.at(-1).y[0] !== null")
    drawn = page.evaluate(
        "document.querySelector('.js-plotly-plot').data.map(({x, y, meta}) => ({x, y, ...meta}))"
    )
    curves = {(curve["part"], curve["attention"]): curve for curve in drawn}
    asked = {"trainable": "attention", "channels": 256, "num_transformer_layers": 4}
    for kind in ("dense", "bigbird"):
        for part in ("fit", "beyond"):
            curve = curves[part, kind]
            assert curve["y"] == pytest.approx(
                [
                    planner.predict_peak_gb(model, attention=kind, sequence_length_bp=x, **asked)
                    for x in curve["x"]
                ]
            )
        assert curves["fit", kind]["x"][-1] == curves["beyond", kind]["x"][0]
        assert max(curves["beyond", kind]["x"]) <= 2 * measured["sequence_length_bp"].max()
        points = measured[measured["attention"] == kind].sort_values("sequence_length_bp")
        assert curves["known", kind]["x"] == list(points["sequence_length_bp"])
        assert curves["known", kind]["y"] == pytest.approx(list(points["peak_memory_gb"]))
    assert set(curves["budget", ""]["y"]) == {3}
    assert set(curves["asked", ""]["x"]) == {65_536}
    assert len(curves["asked", ""]["y"]) == len(model)
    ask(page, budget_gb=3, length=100_000, layers=4)
    page.wait_for_function("document.querySelector('.js-plotly-plot').data.at(-1).y[0] === null")
    assert desktop.complaints == []


def test_a_figure_behind_a_tab_is_as_wide_as_the_others_once_it_is_opened(demo_site, reader):
    page = reader.open(demo_site / "results/finetuning.html")
    plots = page.locator(".js-plotly-plot")
    assert [plot.is_visible() for plot in plots.all()] == [True, False, False, False, False]
    width = plots.first.locator("svg.main-svg").first.bounding_box()["width"]
    page.locator("label.sd-tab-label").nth(2).click()
    assert [plot.is_visible() for plot in plots.all()] == [False, False, True, False, False]
    page.wait_for_function(
        """width => {
            const plot = document.querySelectorAll('.js-plotly-plot')[2];
            return plot.clientWidth === width && plot.querySelector('svg').clientWidth === width;
        }""",
        arg=width,
    )
    assert reader.complaints == []


def test_all_code_of_a_page_is_behind_one_switch(demo_site, desktop):
    page = desktop.open(demo_site / "results/memory.html")
    cells = page.locator("div.cell")
    silent = cells.filter(has_text="nothing_is_shown")
    code = page.locator("div.cell_input").filter(has_text="answers")
    assert code.is_hidden() and silent.is_hidden()
    page.get_by_role("checkbox", name="Show the code").check()
    assert code.is_visible() and silent.is_visible()
    assert page.locator("details.hide").count() == 0


def test_switch_folds_and_tabs_work_from_the_keyboard(demo_site, desktop):
    page = desktop.open(demo_site / "results/finetuning.html")
    page.get_by_role("checkbox", name="Show the code").focus()
    page.keyboard.press("Space")
    assert page.locator("div.cell_input").first.is_visible()
    page.locator("section.folded-section summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("section.folded-section > details").first.get_attribute("open") is not None
    page.locator(".sd-tab-set > input").first.focus()
    page.keyboard.press("ArrowRight")
    plots = page.locator(".sd-tab-set .js-plotly-plot")
    assert [plot.is_visible() for plot in plots.all()] == [False, True, False, False]


def test_a_link_into_a_fold_opens_it(demo_site, desktop):
    page = desktop.open(demo_site / "results/receptive_field.html")
    folds = page.locator("section.folded-section > details")
    assert not any(fold.get_attribute("open") is not None for fold in folds.all())
    page.get_by_role("link", name="how", exact=True).click()
    page.wait_for_function("document.querySelectorAll('details[open]').length === 1")
    [opened] = [fold for fold in folds.all() if fold.get_attribute("open") is not None]
    assert "Verdicts" in opened.inner_text()
    page.goto(f"{page.url.partition('#')[0]}#origin-receptive-field")
    page.wait_for_function("document.querySelectorAll('details[open]').length === 2")


def test_a_figure_in_a_fold_is_as_wide_as_the_others_once_it_is_opened(demo_site, reader):
    page = reader.open(demo_site / "results/memory.html")
    plots = page.locator(".js-plotly-plot")
    width = plots.first.locator("svg.main-svg").first.bounding_box()["width"]
    page.locator("summary").filter(has_text="Folded").click()
    page.wait_for_function(
        "width => document.querySelectorAll('.js-plotly-plot')[1].clientWidth === width", arg=width
    )
    assert reader.complaints == []


def test_a_results_page_is_short_before_anything_is_opened(any_site, desktop):
    for name in notebooks.ORDER:
        path = any_site / f"results/{name}.html"
        page = desktop.open(path)
        page.set_viewport_size({"width": 1300, "height": 900})
        assert page.evaluate("document.documentElement.scrollHeight") <= 4_000, path
        answer = page.locator("div.cell.tag_answer").bounding_box()
        figure = page.locator("figure.plotly-figure:visible").first.bounding_box()
        assert answer["y"] + answer["height"] <= min(figure["y"], 900), path


def test_the_landing_page_answers_within_one_screen(best_site, desktop):
    page = desktop.open(best_site / "index.html")
    page.set_viewport_size({"width": 1300, "height": 900})
    cards = page.locator(".sd-card:has(p.answer)")
    titles = cards.locator(".sd-card-title").all_inner_texts()
    assert titles == ["Memory", "Time", "Accuracy, and over which distances", "A trained Enformer"]
    for answer in page.locator("p.answer").all():
        box = answer.bounding_box()
        assert box["y"] + box["height"] <= 900
        assert re.search(r"\d", answer.inner_text())


def test_a_long_table_can_be_sorted_and_filtered(demo_site, desktop):
    page = desktop.open(demo_site / "results/runtime.html")
    page.locator("summary").filter(has_text="Folded").click()
    table = page.locator("table.dataframe")
    shown = "[...document.querySelectorAll('table.dataframe td:last-child')].map(c => c.innerText)"
    by_number = table.get_by_role("button", name="Number")
    by_number.click()
    assert page.evaluate(shown)[:3] == ["1", "2", "3"] and page.evaluate(shown)[-2:] == [
        "1,000",
        "–",
    ]
    by_number.click()
    assert page.evaluate(shown)[:2] == ["1,000", "12"] and page.evaluate(shown)[-1] == "–"
    page.get_by_role("searchbox", name="Rows with").fill("row 3")
    assert [row.is_visible() for row in table.locator("tbody tr").all()].count(True) == 1
    assert desktop.complaints == []


def test_no_table_has_a_raw_key_for_a_heading(any_site):
    for path in html_pages(any_site):
        heads = re.findall(r"<th[^>]*>(.*?)</th>", path.read_text(), re.S)
        named = [html.unescape(re.sub(r"<[^>]+>", "", head)).strip() for head in heads]
        assert [head for head in named if "_" in head and head not in KINDS] == [], path


def test_no_reason_stands_twice_on_a_page(any_site):
    for path in html_pages(any_site):
        notes = re.findall(r'<ol class="claim-notes.*?</ol>', path.read_text(), re.S)
        reasons = [" ".join(r.split()) for n in notes for r in re.findall(r"<p>(.*?)</p>", n, re.S)]
        assert len(reasons) == len(set(reasons)), path


def test_results_pages_say_where_they_come_from(any_site):
    for name in notebooks.ORDER:
        text = (any_site / f"results/{name}.html").read_text()
        assert "Where this comes from" in text
        assert re.search(r"<figcaption>[^<]+ · [^<]+ · commits? [^<]+ · <a href=", text), name
        downloads = re.findall(r'href="(\.\./_downloads/[^"]+)"', text)
        assert {Path(link).suffix for link in downloads} == {".ipynb", ".py", ".csv"}, name


def test_plotly_is_in_the_site_once_and_only_asked_for_where_a_figure_is(any_site):
    assert len(list(any_site.rglob("plotly*.min.js"))) == 1
    for path in html_pages(any_site):
        text = path.read_text()
        scripts = re.findall(r"<script[^>]*plotly\.min\.js[^>]*>", text)
        assert len(scripts) == ('class="plotly-figure"' in text), path
        assert all("defer" in script for script in scripts), path


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.targets, self.links, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values.get("id"), values.get("name")}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        self.targets += [values[key] for key in ("href", "src") if values.get(key)]


def test_no_link_inside_the_site_is_broken(any_site):
    pages = {path: Links(path.read_text()) for path in html_pages(any_site)}
    for path, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert file.is_file(), f"{path.name} links to {target}"
            if parts.fragment and file in pages:
                assert unquote(parts.fragment) in pages[file].anchors, f"{path.name}: {target}"


EXTERNAL_HOSTS = {"arxiv.org", "currie32.github.io", "doi.org", "github.com"}


def test_links_out_of_the_site_are_few_and_known(any_site):
    for path in html_pages(any_site):
        for target in Links(path.read_text()).targets:
            parts = urlsplit(target)
            if parts.netloc:
                assert (parts.scheme, parts.netloc) in {("https", h) for h in EXTERNAL_HOSTS}, path


ONE_OF_EACH_KIND = {"index", "methods", "planner", "claims", "memory"}


@pytest.mark.parametrize(
    ("reader", "theme", "chosen"),
    [
        (DESKTOP, "light", ONE_OF_EACH_KIND),
        pytest.param(DESKTOP, "light", None, marks=pytest.mark.slow),
        pytest.param(PHONE, "dark", None, marks=pytest.mark.slow),
    ],
    indirect=["reader"],
)
def test_no_page_has_a_serious_accessibility_violation(best_site, reader, theme, chosen):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    reader.context.add_init_script(
        f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
    )
    for path in [p for p in html_pages(best_site) if chosen is None or p.stem in chosen]:
        violations = axe.run(reader.open(path)).response["violations"]
        grave = [v for v in violations if v["impact"] in ("serious", "critical")]
        assert [(v["id"], v["nodes"][0]["html"]) for v in grave] == [], path


def test_landing_page_is_light(any_site, desktop):
    """300 kB of files as a static host sends them, compressed, without plotly.js."""
    loaded = []
    desktop.page.on("request", lambda request: loaded.append(urlsplit(request.url).path))
    desktop.open(any_site / "index.html")
    files = {Path(unquote(path)) for path in loaded if "plotly.min.js" not in path}
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= 300_000


def test_every_claim_of_the_study_is_on_the_claims_page(any_site):
    text = html.unescape(re.sub(r"<[^>]+>", "", (any_site / "claims.html").read_text()))
    text = " ".join(text.split()).replace("’", "'")
    for claim in claims.CLAIMS:
        assert " ".join(claim.statement.split()) in text, claim.key
    assert text.count("Stored results") >= 2  # Figures 6 and 8, by the study's own numbers


def test_every_icon_of_the_theme_is_drawn(demo_site):
    icons = set()
    for path in html_pages(demo_site):
        icons |= set(re.findall(r"\bfa-(?!solid|lg|regular)[a-z-]+", path.read_text()))
    drawn = set(
        re.findall(
            r"^\.(fa-[a-z-]+) \{ --icon", (site.BOOK / "_static/icons.css").read_text(), re.M
        )
    )
    assert icons <= drawn


def test_building_a_site_leaves_book_and_run_alone(build_of_demo_site, run_folder):
    index, before, after = build_of_demo_site
    assert index == run_folder.parent / "site/index.html"
    assert before == after


@pytest.mark.parametrize("missing", ["memory.ipynb", "correlation.csv"])
def test_an_incomplete_run_is_named_and_nothing_is_written(run_folder, tmp_path, missing):
    incomplete = tmp_path / "run"
    shutil.copytree(run_folder, incomplete, ignore=shutil.ignore_patterns(missing))
    book = tmp_path / "book"
    book.mkdir()
    for act in (
        lambda: site.build(incomplete, tmp_path / "site"),
        lambda: publication.publish(incomplete, book),
    ):
        with pytest.raises(FileNotFoundError, match=missing.split(".")[0]):
            act()
    assert not (tmp_path / "site").exists() and not any(book.iterdir())


@pytest.mark.slow
def test_a_site_that_does_not_build_leaves_the_old_one(run_folder, tmp_path):
    broken = tmp_path / "run"
    shutil.copytree(run_folder, broken)
    notebook = nbformat.read(broken / "memory.ipynb", as_version=4)
    notebook.cells.append(new_markdown_cell("{doc}`no_such_page`"))
    nbformat.write(notebook, broken / "memory.ipynb")
    destination = tmp_path / "site"
    destination.mkdir()
    (destination / "index.html").write_text("old")
    with pytest.raises(RuntimeError, match="no_such_page"):
        site.build(broken, destination)
    assert [path.name for path in destination.iterdir()] == ["index.html"]


def test_publishing_replaces_the_results_and_keeps_one_form_of_each_figure(run_folder, tmp_path):
    old = tmp_path / "results/data/old.csv"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    (tmp_path / ".results.unfinished/data").mkdir(parents=True)  # of a process that was killed
    written = publication.publish(run_folder, tmp_path)
    assert not old.exists()
    assert {path.name for path in written} == {
        "memory_compiled.csv",
        *(f"{name}{ending}" for name in notebooks.ORDER for ending in (".ipynb", ".csv")),
    }
    for name in notebooks.ORDER:
        data = tmp_path / f"results/data/{name}.csv"
        assert data.read_bytes() == (run_folder / f"{name}.csv").read_bytes()
        assert results.read(data).attrs["provenance"]["commit"] == "0123456789"
        text = (tmp_path / f"results/{name}.ipynb").read_text()
        assert PLOTLY_MIME in text and "a second form" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]
