"""`import senformer` offers the public names without loading their modules."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import senformer

ROOT = Path(__file__).resolve().parents[1]


def test_import_loads_no_tensorflow():
    program = "import sys, senformer; dir(senformer); sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", senformer.__all__)
def test_public_names_are_documented(name):
    value = getattr(senformer, name)
    assert name in dir(senformer)
    assert inspect.getdoc(value)
    reference = "".join(page.read_text() for page in (ROOT / "book").glob("api*.md"))
    listed = " ".join(re.findall(r"^\.\. modules:: (.+)$", reference, re.MULTILINE)).split()
    assert value.__module__.rpartition(".")[0] in listed
    assert not (ROOT / "senformer" / name).with_suffix(".py").exists(), "its module would hide it"


def test_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="No senformer attribute Informer"):
        _ = senformer.Informer


def test_readme_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = senformer.preset("enformer_tiny", num_transformer_layers=1, tracks={"human": 3})
    dense = senformer.Enformer(config, seed=1)
    senformer.save(dense, "models/enformer.safetensors")
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(program, names)
    assert names["coverage"].shape == (1, 896, 3)
    assert names["sparse"].config == config.replace(attention="bigbird_relative")
    query = dense.transformer[0].attention.query.w.numpy()
    assert (names["sparse"].transformer[0].attention.query.w.numpy() == query).all()
