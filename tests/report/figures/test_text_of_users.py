"""Figures and tables show a user's text verbatim and run nothing of it."""

import pandas as pd
import pytest

from senformer.report import row_labels, tables
from senformer.report.figures import accuracy, builders, gpu_cost

TEXTS = (
    "<img src=x onerror=window.ran=1>",
    "<b>bold</b> & &lt;i&gt;",
    "<a href='javascript:window.ran=1'>a link</a>",
    "%{x} and {y}",
)
"""At most 52 characters each, so that a panel's title shows them in full."""


@pytest.fixture
def page(chromium):
    context = chromium.new_context(offline=True)
    yield context.new_page()
    context.close()


def show(page, figure, tmp_path):
    """Return all texts of a figure in a browser, with the hover of the first mark."""
    path = tmp_path / "figure.html"
    figure.write_html(path, include_plotlyjs=True)
    page.goto(path.as_uri())
    page.wait_for_selector(".js-plotly-plot .main-svg .trace")
    texts = page.locator(".main-svg").all_text_contents()
    texts.append(hover_of_first_mark(page))
    return " ".join(texts).replace("\xa0", " ")


def hover_of_first_mark(page):
    text = page.wait_for_function(  # Plotly can skip a hover that follows another too soon
        """() => {
            const figure = document.querySelector(".js-plotly-plot");
            const layer = figure.querySelector(".hoverlayer");
            if (layer.querySelector(".hovertext")) return layer.textContent;
            Plotly.Fx.hover(figure, [{curveNumber: 0, pointNumber: 0}], "xy");
            return null;
        }""",
        polling=200,
    )
    return text.json_value()


def require_harmless(page):
    assert page.evaluate("window.ran") is None
    assert page.locator("img[src=x], [href^=javascript], svg b").count() == 0


def profiles(texts):
    rows = [
        {"track": text, "bin": place, "source": source, "value": 1.0 + place}
        for text in texts
        for source in (row_labels.EXPERIMENT, f"Enformer {text}")
        for place in range(3)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("text", TEXTS)
def test_track_name_is_shown_verbatim(text, page, tmp_path):
    seen = show(page, accuracy.track_profiles(profiles([text])), tmp_path)
    require_harmless(page)
    assert seen.count(text) == 3  # in a title, in the legend and on hover


def test_card_name_is_shown_verbatim(page, tmp_path):
    rows = [
        {
            **{"attention": "dense", "num_transformer_layers": 1, "sequence_length_bp": length},
            **{"trainable": "all", "code": "this package", "device": text, "status": "compiled"},
            **{"device_label": text, "device_memory_gb": 1.0, "peak_memory_gb": length / 1e6},
        }
        for text in TEXTS[1:]
        for length in (16_384, 32_768)
    ]
    seen = show(page, gpu_cost.compiled_memory(pd.DataFrame(rows)), tmp_path)
    require_harmless(page)
    assert f"device_label: {TEXTS[1]}" in seen


def test_table_shows_text_verbatim(page):
    frame = pd.DataFrame({"track": TEXTS, "<img src=x onerror=window.ran=1>": 1})
    page.set_content(tables.show(frame).data)
    require_harmless(page)
    assert page.locator("td:first-child").all_text_contents() == list(TEXTS)
    assert page.locator("th").all_text_contents()[1] == TEXTS[0]


def test_wrap_escapes_each_line():
    assert builders.wrap("a <b> c", 3) == "a<br>&lt;b&gt;<br>c"
    assert builders.wrap("", 3) == ""
