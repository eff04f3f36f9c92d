import json
import re

import pytest
from senformer_book import plotly_figures

FIGURE = {
    "data": [{"type": "scatter", "x": [1], "y": [2], "name": "</script><!-- <b>"}],
    "layout": {"title": {"text": "Memory & time"}, "height": 320},
}


def described(**layout):
    return plotly_figures.describe(layout)


def test_page_holds_the_whole_figure_and_nothing_ends_its_element_early():
    page = plotly_figures.figure_html(FIGURE)
    stored = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert json.loads(stored[1]) == FIGURE
    assert "<" not in stored[1]


def test_reader_without_script_or_sight_gets_the_description():
    figure = {**FIGURE, "layout": {"meta": {"description": 'Peak "memory"', "caption": "a < b"}}}
    page = plotly_figures.figure_html(figure)
    assert 'aria-label="Peak &quot;memory&quot;"' in page
    assert "<noscript><p>A figure that needs JavaScript: Peak &quot;memory&quot;</p>" in page
    assert "<figcaption>a &lt; b</figcaption>" in page


def test_a_figure_links_to_what_it_was_drawn_from():
    links = {"data & more": 'memory.html#"origin"', "notebook": "#x"}
    layout = {"meta": {"caption": "two cores", "links": links, "id": "a-figure"}}
    page = plotly_figures.figure_html({"data": [], "layout": layout})
    first = '<a href="memory.html#&quot;origin&quot;">data &amp; more</a>'
    assert f'<figcaption>two cores · {first} · <a href="#x">notebook</a></figcaption>' in page
    assert '<figure class="plotly-figure" id="a-figure"' in page


def test_description_falls_back_to_title_then_axes():
    axes = {"xaxis": {"title": {"text": "length (bp)"}}, "yaxis": {"title": "memory (GB)"}}
    assert described(meta={"description": "best"}, title="second", **axes) == "best"
    assert described(meta="not a mapping", title="second", **axes) == "second"
    assert described(**axes) == "memory (GB) against length (bp)"
    assert described() == "Figure without a description"


def test_space_is_reserved_before_the_figure_is_drawn():
    assert "min-height:320px" in plotly_figures.figure_html(FIGURE)
    default = plotly_figures.figure_html({"data": [], "layout": {}})
    assert f"min-height:{plotly_figures.DEFAULT_HEIGHT_PX}px" in default


def test_foreign_json_is_refused():
    with pytest.raises(ValueError, match=r"'data' and 'layout'; got \['x'\]"):
        plotly_figures.figure_html({"x": 1})
