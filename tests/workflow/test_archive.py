"""An archive is a valid RO-Crate, and a project that builds its site again."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
import rocrate
import yaml

from senformer.workflow import archive, notebooks

ROOT = notebooks.ROOT
VALIDATOR = ROOT / ".archive-validator" / "bin" / "python"
CONTEXT = Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld"


def test_citation_matches_schema():
    schema = json.loads((ROOT / "tests/data/citation/schema-1.2.0.json").read_text())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    jsonschema.Draft7Validator(schema).validate(citation)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({**citation, "license": "none"})


def test_describe_links_results_to_notebooks():
    crate = archive.describe(ROOT, {"id": "0123456", "date": "2026-01-02T03:04:05+00:00"})
    graph = {entity["@id"]: entity for entity in crate.metadata.generate()["@graph"]}
    for name in notebooks.ORDER:
        run = graph[f"#run-{name}"]
        assert run["instrument"] == {"@id": f"notebooks/{name}.py"}
        made = {entity["@id"] for entity in run["result"]}
        assert {f"book/results/{name}.ipynb", f"book/results/data/{name}.csv"} <= made
        assert all((ROOT / path).is_file() for path in made)
        assert f"senformer run {name}" in run["description"]


def test_write_refuses_uncommitted_changes(tmp_path):
    with pytest.raises(ValueError, match="expected a checkout of the project"):
        archive.write(tmp_path / "x.zip", tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "new").touch()
    with pytest.raises(ValueError, match=r"new is not committed, expected a clean checkout"):
        archive.write(tmp_path / "x.zip", tmp_path)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """Return the unpacked archive of the last commit."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    folder = tmp_path_factory.mktemp("archive")
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "clone")], check=True)
    packed = archive.write(folder / "crate.zip", folder / "clone")
    with zipfile.ZipFile(packed) as file:
        file.extractall(folder / "crate")
    return folder / "crate"


@pytest.mark.slow
def test_archive_passes_validator(unpacked):
    if not VALIDATOR.exists():
        pytest.skip("no validator; run: make archive-validator")
    url = json.loads(CONTEXT.read_text())["@id"]
    script = Path(__file__).with_name("validate_crate.py")
    done = subprocess.run(
        [VALIDATOR, script, unpacked, CONTEXT, url], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    metadata = unpacked / "ro-crate-metadata.json"
    broken = json.loads(metadata.read_text())
    broken["@graph"] = [entity for entity in broken["@graph"] if entity["@id"] != "./"]
    metadata.write_text(json.dumps(broken))
    again = subprocess.run(
        [VALIDATOR, script, unpacked, CONTEXT, url], capture_output=True, check=False
    )
    assert again.returncode != 0


@pytest.mark.slow
def test_archive_builds_same_site(unpacked, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    command = [Path(sys.executable).with_name("jupyter-book"), "build", unpacked / "book"]
    command += ["--path-output", tmp_path, "-q"]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    built, kept = tmp_path / "_build" / "html", unpacked / archive.SITE
    pages = sorted(path.relative_to(kept) for path in kept.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert without_times(built / page) == without_times(kept / page), page


def without_times(page):
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]+", "", page.read_text())
