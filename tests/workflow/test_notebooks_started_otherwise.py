"""Notebooks started by papermill, nbconvert and JupyterLab, from any folder."""

import ast
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import jupyter_client
import nbformat
import pytest
from jupyter_core.paths import jupyter_runtime_dir

from senformer.workflow import notebooks

PRINTS_WHERE_IT_WRITES = """\
from pathlib import Path
from senformer.workflow import notebooks
notebooks.enter_folder()
print(Path("../runs/interactive").resolve())
"""

SHORT_PARAMETERS = {
    "num_transformer_layers": [1],
    "sequence_lengths_bp": [10_240],
    "steps": 1,
    "more": [],
}

TOKEN = "of-this-test"


@pytest.mark.parametrize("name", notebooks.ORDER)
def test_notebook_first_enters_its_folder(name):
    _, _, cells = (notebooks.NOTEBOOKS / f"{name}.py").read_text().partition('["parameters"]\n')
    statements = ast.parse(cells).body
    sets_parameters_or_imports = (ast.Assign, ast.Import, ast.ImportFrom)
    first = next(s for s in statements if not isinstance(s, sets_parameters_or_imports))
    assert ast.unparse(first) == "notebooks.enter_folder()"


@pytest.mark.parametrize(
    "program",
    [
        ["papermill", "source.ipynb", "executed.ipynb"],
        ["nbconvert", "--execute", "--to=notebook", "--output=executed", "source.ipynb"],
    ],
)
def test_notebook_writes_to_projects_runs(program, tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PRINTS_WHERE_IT_WRITES)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, tmp_path / "source.ipynb")
    environment = {**os.environ, "PYTHONPATH": str(notebooks.ROOT)}
    command = [sys.executable, "-m", *program]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    (output,) = nbformat.read(tmp_path / "executed.ipynb", as_version=4).cells[0].outputs
    assert output.text.strip() == str(notebooks.RUNS / "interactive")


@pytest.fixture(scope="module")
def short_project(project):
    """Return a project whose memory notebook measures little by default."""
    source = project / "notebooks" / "memory.py"
    cell = "\nparameters = {}"
    assert cell in source.read_text()
    source.write_text(source.read_text().replace(cell, f"\nparameters = {SHORT_PARAMETERS}", 1))
    return project


@pytest.mark.slow
def test_jupyterlab_runs_script(short_project):
    with socket.socket() as any_free:
        any_free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{any_free.getsockname()[1]}/api"
    options = ["--no-browser", "--allow-root", f"--IdentityProvider.token={TOKEN}"]
    options += [f"--ServerApp.port={address.rpartition(':')[2].removesuffix('/api')}"]
    lab = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options],
        cwd=short_project,
        env={**os.environ, "PYTHONPATH": str(short_project)},
    )
    try:
        path = "notebooks/memory.py"
        cells = answer(lab, f"{address}/contents/{path}?type=notebook")["content"]["cells"]
        kernel = {"name": "python3"}
        session = {"path": path, "type": "notebook", "name": "memory", "kernel": kernel}
        identifier = answer(lab, f"{address}/sessions", session)["kernel"]["id"]
        run_all(cells, f"{jupyter_runtime_dir()}/kernel-{identifier}.json")
    finally:
        lab.terminate()
        lab.wait()
    tables = {path.name for path in (short_project / "runs" / "interactive").glob("*.csv")}
    assert tables >= {"memory.csv", "memory_claims.csv"}
    assert not (short_project.parent / "runs").exists()


def answer(lab, url, posted=None):
    """Return the answer of JupyterLab's server, once it listens."""
    body = None if posted is None else json.dumps(posted).encode()
    request = urllib.request.Request(url, body, {"Authorization": f"token {TOKEN}"})
    while lab.poll() is None:
        try:
            return json.load(urllib.request.urlopen(request))
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            time.sleep(0.2)
    raise ChildProcessError(f"JupyterLab ended with {lab.returncode}")


def run_all(cells, connection_file):
    client = jupyter_client.BlockingKernelClient(connection_file=connection_file)
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    for cell in cells:
        if cell["cell_type"] == "code":
            reply = client.execute_interactive(cell["source"], allow_stdin=False)
            assert reply["content"]["status"] == "ok", reply["content"]
    client.stop_channels()
