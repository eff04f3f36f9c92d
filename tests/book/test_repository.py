"""Links to the code's repository appear only if its address is set."""

import inspect
import re
from types import SimpleNamespace

import pytest
import yaml
from senformer_book import repository

from senformer.report.figures import cost
from senformer.workflow import notebooks

URL = "https://example.org/project/"


def test_source_address_is_the_first_line():
    address = repository.source_address(URL, "senformer.report.figures.cost", "memory")
    path, line = address.removeprefix("https://example.org/project/blob/main/").split("#L")
    source = (notebooks.ROOT / path).read_text().splitlines()
    assert source[int(line) - 1] == inspect.getsource(inspect.unwrap(cost.memory)).splitlines()[0]


@pytest.mark.parametrize("name", ["ORIGINS", "pd.DataFrame", "nothing"])
def test_source_address_is_none_without_source(name):
    assert repository.source_address(URL, "senformer.report.figures.cost", name) is None


@pytest.mark.parametrize("url", ["", URL])
def test_address_turns_links_on(url):
    config = SimpleNamespace(html_theme_options={"repository_url": url})
    repository.configure_links(None, config)
    assert config.html_theme_options["use_repository_button"] == bool(url)
    info = {"module": "senformer.report.figures.cost", "fullname": "memory"}
    assert (config.linkcode_resolve("py", info) is None) == (not url)


@pytest.mark.parametrize("name", ["publish", "test"])
def test_workflow_pins_actions_and_restricts_jobs(name):
    text = (notebooks.ROOT / ".github" / "workflows" / f"{name}.yml").read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    for job, content in workflow["jobs"].items():
        allowed = {"pages", "id-token"} if job == "deploy" else {"contents"}
        assert set(content["permissions"]) == allowed
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) for action in used)


def test_config_has_the_address():
    config = yaml.safe_load((notebooks.ROOT / "_config.yml").read_text())
    assert "url" in config["repository"]
