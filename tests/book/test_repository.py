"""The code's address is shown where it is set, and nowhere while it is not."""

import inspect
from types import SimpleNamespace

import pytest
import yaml
from senformer_book import repository

from senformer.report.figures import cost
from senformer.workflow import notebooks

URL = "https://example.org/project/"


def test_a_function_leads_to_its_first_line_whatever_wraps_it():
    address = repository.source_address(URL, "senformer.report.figures.cost", "memory")
    path, line = address.removeprefix("https://example.org/project/blob/main/").split("#L")
    source = (notebooks.ROOT / path).read_text().splitlines()
    assert source[int(line) - 1] == inspect.getsource(inspect.unwrap(cost.memory)).splitlines()[0]


@pytest.mark.parametrize("name", ["ORIGINS", "pd.DataFrame", "nothing"])
def test_what_has_no_source_here_leads_nowhere(name):
    assert repository.source_address(URL, "senformer.report.figures.cost", name) is None


@pytest.mark.parametrize("url", ["", URL])
def test_all_links_hang_on_the_one_setting(url):
    config = SimpleNamespace(html_theme_options={"repository_url": url})
    repository._lead_there(None, config)
    assert config.html_theme_options["use_repository_button"] == bool(url)
    info = {"module": "senformer.report.figures.cost", "fullname": "memory"}
    assert (config.linkcode_resolve("py", info) is None) == (not url)


def test_the_book_has_the_setting():
    config = yaml.safe_load((notebooks.ROOT / "_config.yml").read_text())
    assert "url" in config["repository"]
