"""Check the guides at the top of the repository against the repository."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
FOLDERS = ("senformer", "book", "notebooks", "profiles", "tests", "benchmarks", "cluster")


@pytest.mark.parametrize("guide", GUIDES)
def test_guide_names_existing_paths(guide):
    text = (ROOT / guide).read_text()
    quoted = re.findall(r"`([\w./]+)`", text)
    linked = re.findall(r"\]\(([^)#:]+)\)", text)
    paths = [path for path in (*quoted, *linked) if path.split("/")[0] in FOLDERS and "/" in path]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_architecture_lists_all_packages():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = [path.parent.name for path in (ROOT / "senformer").glob("*/__init__.py")]
    assert [name for name in packages if f"senformer/{name}/" not in text] == []


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
