import json
import shlex
import sys

import nbformat
import pytest
from provenance_example import PROVENANCE

from senformer.config import NonNegativeInteger
from senformer.experiments.parameters import PARAMETERS, NotebookParameters
from senformer.report import results
from senformer.workflow import executed_notebooks, notebooks
from senformer.workflow.failures import NotebookError
from senformer.workflow.plain_yaml import parse_yaml

PROFILES = ("cpu", "demo", "full")
MEASURED = ("memory", "runtime")
ON_MODELS = ("finetuning", "correlation", "receptive_field")

SHORT_MEASUREMENTS = {
    "attention": ["dense", "bigbird"],
    "num_transformer_layers": [1],
    "sequence_lengths_bp": [10_240],
    "steps": 1,
}
SHORT_TRAINING = {
    "enformer_steps": 1,
    "enformer_attention_steps": 1,
    "sequence_length_bp": 10_240,
    "target_length": 48,
}
SHORT_FINETUNING = {
    "senformer_steps": 2,
    "num_evaluations": 1,
    "num_validation_sequences": 2,
    **SHORT_TRAINING,
}


def short_parameters(name):
    if name in MEASURED:
        return SHORT_MEASUREMENTS
    if name == "reproduction":
        return {**SHORT_TRAINING, "context_length_bp": 8192, "num_test_sequences": 2}
    return SHORT_FINETUNING


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return one folder for all runs, which share models and measurements."""
    patch = pytest.MonkeyPatch()
    patch.setattr(notebooks, "RUNS", tmp_path_factory.mktemp("runs"))
    yield notebooks.RUNS
    patch.undo()


def test_parameters_exist_for_every_notebook():
    assert {path.stem for path in notebooks.NOTEBOOKS.glob("*.py")} == set(notebooks.ORDER)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", notebooks.ORDER)
def test_command_for_profile_names_only_profile(name, profile):
    parameters = notebooks.parameters_for(name, profile=profile).model_dump()
    command = notebooks.command_for(name, parameters)
    assert command == f".venv/bin/senformer run {name} --profile {profile}"
    assert parameters["output_folder"] == f"../runs/{profile}"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("memory", {"more": [{"attention": ["bigbird"], "steps": 0}], "budget_gb": 1.5}),
        ("receptive_field", {"enformer_learning_rate": 1e-5, "num_validation_sequences": 3}),
        ("correlation", {"shown_tracks": ["CHIP:H3K4me3, a 'name'"], "num_test_sequences": None}),
    ],
)
def test_command_for_repeats_parameters(name, changes):
    parameters = notebooks.parameters_for(name, profile="demo", parameters=changes)
    command = notebooks.command_for(name, {**parameters.model_dump(), "of_older_version": 1})
    program, run, _, _, profile, *options = shlex.split(command.replace("\\\n", ""))
    assert (program, run, profile) == (".venv/bin/senformer", "run", "demo")
    assert set(options[::2]) == {"-p"}
    texts = dict(text.split("=", 1) for text in options[1::2])
    chosen = {key: parse_yaml(text, key) for key, text in texts.items()}
    assert notebooks.parameters_for(name, profile=profile, parameters=chosen) == parameters


def test_command_for_names_data_folder():
    parameters = notebooks.parameters_for("finetuning", profile="demo").model_dump()
    command = notebooks.command_for("finetuning", {**parameters, "data": "../../shared/records"})
    assert command.endswith("--profile demo --data ../shared/records")


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_shares_measurements_and_models(profile):
    values = notebooks.parameters_of_profile(profile)
    measured = {name: {m.name for m in values[name].measurements} for name in MEASURED}
    assert measured["runtime"] <= measured["memory"]
    finetuning = values["finetuning"].model_dump(exclude={"output_folder"})
    for name in ("reproduction", *ON_MODELS):
        parameters = values[name].model_dump()
        shared = parameters.keys() & finetuning.keys()
        assert {"enformer_preset", "sequence_length_bp", "batch_size"} <= shared
        assert {k: parameters[k] for k in shared} == {k: finetuning[k] for k in shared}


def test_run_folder_depends_on_data():
    names = (
        "/x/first",
        "/x/second",
        "/x/a b",
        "/x/a_b",
        "/x/a\nb",
        "/x/$(a)",
        "/x/{a}",
        "/" + "x" * 255,
    )
    folders = [notebooks.run_folder("demo", data) for data in (None, *names)]
    assert len(set(folders)) == len(folders)
    assert folders[1] == notebooks.run_folder("demo", "/x/first/") == notebooks.RUNS / "demo-first"
    assert not set("".join(path.name for path in folders)) & set(" $(){}'\"`\n")


def test_parameters_have_relative_paths(small_data):
    data = notebooks.parameters_for("correlation", profile="demo", data=small_data).data
    assert data.startswith("../")
    assert (notebooks.NOTEBOOKS / data).resolve() == small_data.resolve()


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Return the folder of a profile `mine`."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "runtime.yaml").write_text("channels: 256\n")
    monkeypatch.setattr(notebooks, "PROFILES", tmp_path)
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("runtime", "chanels: 256", r"mine/runtime\.yaml: unknown parameter 'chanels'"),
        ("shared", "chanels: 256", r"mine/shared\.yaml: unknown parameter 'chanels'"),
        ("memroy", "", r"mine/memroy\.yaml: no such notebook, expected one of shared"),
        ("shared", "steps: 1\nsteps: 2", r"shared\.yaml: not YAML \('steps' is set twice\)"),
        ("shared", "- steps", r"shared\.yaml: expected lines `parameter: value`"),
        ("shared", f"# {'x' * 10**6}", r"shared\.yaml: 1,000,002 bytes, expected lines"),
        ("shared", "steps: [1", r"shared\.yaml: not YAML"),
        ("runtime", "", "profile 'mine' sets no parameter of runtime"),
    ],
)
def test_profile_names_bad_file(file, text, message, profile):
    (profile / f"{file}.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        notebooks.parameters_for("runtime", profile="mine")


def test_profile_file_overrides_shared_file(profile):
    (profile / "shared.yaml").write_text("channels: 256\nseed: 3\nsteps: 2\n")
    (profile / "memory.yaml").write_text("steps: 0\n")
    values = {name: notebooks.profile_parameters("mine", name) for name in notebooks.ORDER}
    assert values["memory"] == {"channels": 256, "steps": 0}
    assert values["runtime"] == {"channels": 256, "steps": 2}
    assert values["correlation"] == {"seed": 3}


class DivisionParameters(NotebookParameters):
    divisor: NonNegativeInteger = 1


SMALL_NOTEBOOK = """\
# %% tags=["parameters"]
parameters = {}

# %%
import os, sys
from datetime import UTC, datetime
from pathlib import Path
import pandas as pd
from senformer.report import results

print("noise", file=sys.stderr)
print(sys.executable == os.environ["EXPECTED_PYTHON"])
divisor = parameters["divisor"]
table = Path(os.environ["SENFORMER_TABLES_FOLDER"], f"division_{divisor}.csv")
provenance = PROVENANCE | {"parameters": parameters, "time_utc": datetime.now(UTC).isoformat()}
results.write(pd.DataFrame({"divisor": [divisor]}), table, provenance)
if divisor == 13:
    os._exit(1)
12 / divisor
"""


@pytest.fixture
def small_notebook(tmp_path, monkeypatch):
    """Return the folder of the runs of a notebook `division`; another kernel `python3` exists."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "profiles" / "demo").mkdir(parents=True)
    (tmp_path / "profiles" / "demo" / "division.yaml").write_text("divisor: 4\n")
    source = SMALL_NOTEBOOK.replace("PROVENANCE", repr(PROVENANCE))
    monkeypatch.setenv("EXPECTED_PYTHON", sys.executable)  # its path must not be in the notebook
    (tmp_path / "notebooks" / "division.py").write_text(source)
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    argv = ["/usr/bin/false", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "another"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    for name in ("notebooks", "profiles", "runs"):
        monkeypatch.setattr(notebooks, name.upper(), tmp_path / name)
    monkeypatch.setitem(PARAMETERS, "division", DivisionParameters)
    return tmp_path / "runs"


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_failed_run_keeps_last_good_results(small_notebook):
    executed = notebooks.run("division", profile="demo")
    good = executed.read_text()
    for divisor, message in (
        (0, "ZeroDivisionError: division by zero"),
        (13, "the kernel died in cell 3, probably because it ran out of memory"),
    ):
        with pytest.raises(NotebookError, match=f"{message}.*division.failed.ipynb"):
            notebooks.run("division", profile="demo", parameters={"divisor": divisor})
        assert executed.read_text() == good
        assert names_in(executed.parent) == [
            "division.failed.ipynb",
            "division.ipynb",
            "division_4.csv",
        ]
    notebooks.run("division", profile="demo", parameters={"divisor": 3})
    assert names_in(executed.parent) == ["division.ipynb", "division_3.csv"]


def test_run_writes_to_output_folder(small_notebook):
    chosen = {"output_folder": "../runs/it's {my} $(folder)"}
    executed = notebooks.run("division", profile="demo", parameters=chosen)
    assert names_in(small_notebook) == ["it's {my} $(folder)"]
    assert names_in(executed.parent) == ["division.ipynb", "division_4.csv"]
    text = executed.read_text()
    assert "3.0" in text and '"True\\n"' in text  # the result; this process's Python
    assert "noise" not in text.replace('print(\\"noise\\"', "")
    assert str(notebooks.ROOT) not in text and str(small_notebook) not in text


def test_run_completes_results_of_killed_run(small_notebook):
    folder = small_notebook / "demo"
    complete = folder / ".division.complete"
    complete.mkdir(parents=True)
    for path in (complete / "division.ipynb", complete / "division_2.csv"):
        path.write_text("new")
    (folder / "division_1.csv").write_text("old")
    (notebooks.NOTEBOOKS / "division.py").unlink()
    with pytest.raises(FileNotFoundError, match=r"division\.py"):
        notebooks.run("division", profile="demo")
    assert names_in(folder) == ["division.ipynb", "division_2.csv"]


@pytest.mark.parametrize(
    "name",
    [
        "correlation",  # the others train more models, or start many processes
        pytest.param("memory", marks=pytest.mark.slow),
        pytest.param("runtime", marks=pytest.mark.slow),
        pytest.param("finetuning", marks=pytest.mark.slow),
        pytest.param("reproduction", marks=pytest.mark.slow),
        pytest.param("receptive_field", marks=pytest.mark.slow),
    ],
)
def test_run_writes_tables_and_figures(name, small_data, runs):
    data = None if name in MEASURED else small_data
    executed = notebooks.run(name, profile="demo", data=data, parameters=short_parameters(name))
    figures = [
        output
        for cell in nbformat.read(executed, as_version=4).cells
        for output in cell.get("outputs", ())
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert figures
    tables = executed_notebooks.tables_of(executed)
    assert tables
    for table in tables:
        provenance = results.read(table).attrs["provenance"]
        assert short_parameters(name).items() <= provenance["parameters"].items()
    if name not in MEASURED:
        assert provenance["data"] == "small"
