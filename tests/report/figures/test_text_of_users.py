"""What a user's table says is seen as it is, in figures and tables, and nothing of it runs."""

import pandas as pd
import pytest

from senformer.report import tables
from senformer.report.figures import accuracy, on_gpu, panels

TEXTS = (
    "<img src=x onerror=window.ran=1>",
    "<b>bold</b> & &lt;i&gt;",
    "<a href='javascript:window.ran=1'>a link</a>",
    "%{x} and {y}",
)
"""Of at most 52 characters, which a panel's title shows in full."""


@pytest.fixture
def page(chromium):
    context = chromium.new_context(offline=True)
    yield context.new_page()
    context.close()


def shown(page, figure, tmp_path):
    """A figure in a browser: all of its texts, and what is said over the first mark."""
    path = tmp_path / "figure.html"
    figure.write_html(path, include_plotlyjs=True)
    page.goto(path.as_uri())
    page.wait_for_selector(".js-plotly-plot .main-svg .trace")
    texts = page.locator(".main-svg").all_text_contents()
    texts.append(said_over_the_first_mark(page))
    return " ".join(texts).replace("\xa0", " ")


def said_over_the_first_mark(page):
    said = page.wait_for_function(  # Plotly may leave out a hover that follows another too soon
        """() => {
            const figure = document.querySelector(".js-plotly-plot");
            const layer = figure.querySelector(".hoverlayer");
            if (layer.querySelector(".hovertext")) return layer.textContent;
            Plotly.Fx.hover(figure, [{curveNumber: 0, pointNumber: 0}], "xy");
            return null;
        }""",
        polling=200,
    )
    return said.json_value()


def expect_harmless(page):
    assert page.evaluate("window.ran") is None
    assert page.locator("img[src=x], [href^=javascript], svg b").count() == 0


def profiles(texts):
    rows = [
        {"track": text, "bin": place, "source": source, "value": 1.0 + place}
        for text in texts
        for source in (accuracy.EXPERIMENT, f"Enformer {text}")
        for place in range(3)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("text", TEXTS)
def test_a_track_of_any_name_is_drawn_under_it(text, page, tmp_path):
    seen = shown(page, accuracy.track_profiles(profiles([text])), tmp_path)
    expect_harmless(page)
    assert seen.count(text) == 3  # a title, a model in the legend, and over the mark


def test_a_card_of_any_name_is_offered_under_it(page, tmp_path):
    rows = [
        {
            **{"attention": "dense", "num_transformer_layers": 1, "sequence_length_bp": length},
            **{"trainable": "all", "code": "this package", "device": text, "status": "compiled"},
            **{"device_label": text, "device_memory_gb": 1.0, "peak_memory_gb": length / 1e6},
        }
        for text in TEXTS[1:]
        for length in (16_384, 32_768)
    ]
    seen = shown(page, on_gpu.memory(pd.DataFrame(rows)), tmp_path)
    expect_harmless(page)
    assert f"device_label: {TEXTS[1]}" in seen


def test_a_table_shows_a_text_as_it_is(page):
    frame = pd.DataFrame({"track": TEXTS, "<img src=x onerror=window.ran=1>": 1})
    page.set_content(tables.show(frame).data)
    expect_harmless(page)
    assert page.locator("td:first-child").all_text_contents() == list(TEXTS)
    assert page.locator("th").all_text_contents()[1] == TEXTS[0]


def test_a_text_is_broken_into_lines_and_each_is_plain():
    assert panels.wrap("a <b> c", 3) == "a<br>&lt;b&gt;<br>c"
    assert panels.wrap("", 3) == ""
