import json
import re

import pytest
from senformer_book.plotly_figures import DEFAULT_HEIGHT_PX, figure_html

FIGURE = {
    "data": [{"type": "scatter", "x": [1], "y": [2], "name": "</script><!-- <b>"}],
    "layout": {"title": {"text": "Memory & time"}, "height": 320},
}


def test_page_contains_the_whole_figure():
    page = figure_html(FIGURE)
    stored = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert json.loads(stored[1]) == FIGURE
    assert "<" not in stored[1]


def test_reader_without_script_or_sight_gets_a_description():
    figure = {**FIGURE, "layout": {"meta": {"description": 'Peak "memory"', "caption": "a < b"}}}
    page = figure_html(figure)
    assert 'aria-label="Peak &quot;memory&quot;"' in page
    assert "<noscript><p>A figure that needs JavaScript: Peak &quot;memory&quot;</p>" in page
    assert "<figcaption>a &lt; b</figcaption>" in page
    for layout in ({}, {"meta": "not a mapping"}):
        page = figure_html({"data": [], "layout": layout})
        assert 'aria-label="Figure without a description"' in page


def test_caption_links_to_the_figures_origin():
    links = {"data & more": 'memory.html#"origin"', "notebook": "#x"}
    layout = {"meta": {"caption": "two cores", "links": links, "id": "a-figure"}}
    page = figure_html({"data": [], "layout": layout})
    first = '<a href="memory.html#&quot;origin&quot;">data &amp; more</a>'
    assert f'<figcaption>two cores · {first} · <a href="#x">notebook</a></figcaption>' in page
    assert '<figure class="plotly-figure" id="a-figure"' in page


def test_page_reserves_the_figures_height():
    assert "min-height:320px" in figure_html(FIGURE)
    default = figure_html({"data": [], "layout": {}})
    assert f"min-height:{DEFAULT_HEIGHT_PX}px" in default


def test_foreign_json_raises():
    with pytest.raises(ValueError, match=r"'data' and 'layout'; got \['x'\]"):
        figure_html({"x": 1})
