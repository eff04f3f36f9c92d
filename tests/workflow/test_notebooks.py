import ast
import shlex

import nbformat
import pytest
from papermill.exceptions import PapermillExecutionError

from senformer.experiments.memory_and_time.grid import grid
from senformer.report import results
from senformer.workflow import notebooks, parameters, yaml_text

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
    """One folder for all runs, so that models and measurements are shared as in a report."""
    patch = pytest.MonkeyPatch()
    patch.setattr(notebooks, "RUNS", tmp_path_factory.mktemp("runs"))
    yield notebooks.RUNS
    patch.undo()


def execute(name, data):
    on_data = None if name in MEASURED else data
    executed = notebooks.run(name, profile="demo", data=on_data, parameters=short_parameters(name))
    return nbformat.read(executed, as_version=4), executed.parent


def test_the_report_has_its_six_notebooks():
    assert tuple(notebooks.names()) == notebooks.ORDER


def parameters_that_run(command):
    """The parameters that a run by this command has."""
    program, run, name, _, profile, *rest = shlex.split(command.replace("\\\n", ""))
    assert (program, run) == (".venv/bin/senformer", "run")
    options = list(zip(rest[::2], rest[1::2], strict=True))
    chosen = dict(text.split("=", 1) for option, text in options if option == "-p")
    chosen = {key: yaml_text.load(value, key) for key, value in chosen.items()}
    return notebooks.parameters_for(name, profile=profile, parameters=chosen)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", notebooks.ORDER)
def test_the_command_of_a_profiles_run_names_the_profile_alone(name, profile):
    parameters = notebooks.parameters_for(name, profile=profile)
    command = notebooks.command_for(name, parameters)
    assert command == f".venv/bin/senformer run {name} --profile {profile}"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("memory", {"more": [{"attention": ["bigbird"], "steps": 0}], "budget_gb": 1.5}),
        ("receptive_field", {"enformer_learning_rate": 1e-5, "num_validation_sequences": 3}),
        ("correlation", {"shown_tracks": ["CHIP:H3K4me3, a 'name'"], "num_test_sequences": None}),
    ],
)
def test_a_command_runs_its_parameters_again(name, changes):
    parameters = notebooks.parameters_for(name, profile="demo", parameters=changes)
    command = notebooks.command_for(name, parameters)
    assert "--profile demo" in command
    assert parameters_that_run(command) == parameters


def test_a_command_names_data_from_the_projects_folder():
    parameters = notebooks.parameters_for("finetuning", profile="demo")
    command = notebooks.command_for("finetuning", {**parameters, "data": "../../shared/records"})
    assert command.endswith("--profile demo --data ../shared/records")


def test_a_command_leaves_out_what_a_notebook_no_longer_asks_for():
    parameters = notebooks.parameters_for("memory", profile="demo")
    command = notebooks.command_for("memory", {**parameters, "of_an_older_version": 1})
    assert command == notebooks.command_for("memory", parameters)


@pytest.mark.parametrize("name", notebooks.ORDER)
def test_a_notebook_runs_with_its_defaults_in_jupyter(name):
    defaults = notebooks.default_parameters(name)
    assert defaults["output_folder"] == "../runs/interactive"
    if name not in MEASURED:
        assert defaults["data"] == "" and defaults["seed"] == 0


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", notebooks.ORDER)
def test_profiles_name_parameters_that_exist(name, profile):
    values = notebooks.parameters_for(name, profile=profile)
    assert set(values) == set(notebooks.default_parameters(name))
    assert values["output_folder"] == f"../runs/{profile}"


def measured(parameters):
    """Files of the measurements that a notebook's parameters ask for."""
    not_measured = {"output_folder", "compiled_for", "compiled"}
    asked = {k: v for k, v in parameters.items() if k not in not_measured}
    return {measurement.name for measurement in grid(**asked)}


@pytest.mark.parametrize("profile", PROFILES)
def test_notebooks_of_a_profile_share_measurements_and_models(profile):
    values = {name: notebooks.profile_parameters(profile, name) for name in notebooks.ORDER}
    assert measured(values["runtime"]) <= measured(values["memory"])
    for name in ON_MODELS:
        shared = set(values["finetuning"]) & set(notebooks.default_parameters(name))
        assert {k: values[name][k] for k in shared} == {k: values["finetuning"][k] for k in shared}
        assert {"senformer_preset", "senformer_steps", "sequence_length_bp"} <= shared
    enformer = {k: v for k, v in values["reproduction"].items() if k in values["finetuning"]}
    assert enformer.items() <= values["finetuning"].items()
    assert {"enformer_preset", "sequence_length_bp", "batch_size"} <= set(enformer)


@pytest.mark.parametrize("name", notebooks.ORDER)
def test_the_provenance_of_a_notebook_holds_all_of_its_parameters(name):
    tree = ast.parse((notebooks.NOTEBOOKS / f"{name}.py").read_text())
    assigned = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    described = assigned["provenance"]
    assert described.func.id == "describe_run"
    written = next(word.value for word in described.keywords if word.arg == "parameters")
    assert sorted(names_in(written, assigned)) == sorted(notebooks.default_parameters(name))


def names_in(value, assigned):
    """Parameters that are written under their own names in a dictionary of a notebook."""
    if isinstance(value, ast.Name):
        return names_in(assigned[value.id], assigned)
    if isinstance(value, ast.Dict):
        pairs = zip(value.keys, value.values, strict=True)
        return [name for key, part in pairs for name in named(key and key.value, part, assigned)]
    if value.func.attr == "asdict":
        return names_in(value.args[0], assigned)
    return [name for word in value.keywords for name in named(word.arg, word.value, assigned)]


def named(key, value, assigned):
    if key is None:  # as in {**others}
        return names_in(value, assigned)
    assert value.id == key
    return [key]


def test_real_records_have_a_folder_of_their_own(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    folders = {notebooks.run_folder("demo", data) for data in (None, first, second)}
    assert len(folders) == 3
    assert notebooks.run_folder("demo", f"{first}/") == notebooks.run_folder("demo", first)


def test_paths_that_a_run_is_given_are_relative(small_data):
    values = notebooks.parameters_for("correlation", profile="demo", data=small_data)
    assert values["data"].startswith("../")
    assert (notebooks.NOTEBOOKS / values["data"]).resolve() == small_data.resolve()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "speed", "profile": "demo"}, "unknown notebook 'speed', expected one of memory"),
        (
            {"name": "memory", "profile": "gpu"},
            "unknown profile 'gpu', expected one of cpu, demo, full",
        ),
        (
            {"name": "memory", "profile": "demo", "parameters": {"lenght": 1}},
            r"notebooks/memory.py: unknown parameter 'lenght', expected one of output_folder",
        ),
    ],
)
def test_unknown_names_are_refused_before_any_work(arguments, message, runs):
    with pytest.raises(ValueError, match=message):
        notebooks.run(**arguments)
    assert not list(runs.glob("gpu*"))


def test_a_profile_that_names_an_unknown_parameter_is_refused(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "memory.yaml").write_text("chanels: 256\n")
    monkeypatch.setattr(notebooks, "PROFILES", tmp_path)
    with pytest.raises(
        ValueError, match=r"profiles/mine/memory\.yaml: unknown parameter 'chanels'"
    ):
        notebooks.parameters_for("memory", profile="mine")
    with pytest.raises(ValueError, match="profile 'mine' says nothing about runtime"):
        notebooks.parameters_for("runtime", profile="mine")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("shared.yaml", r"profiles/mine/shared\.yaml: unknown parameter 'chanels'"),
        ("memroy.yaml", r"profiles/mine/memroy\.yaml: no such notebook, expected one of shared"),
    ],
)
def test_what_no_notebook_of_a_profile_has_is_refused(file, message, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "runtime.yaml").write_text("channels: 256\n")
    (tmp_path / "mine" / file).write_text("chanels: 256\n")
    monkeypatch.setattr(notebooks, "PROFILES", tmp_path)
    with pytest.raises(ValueError, match=message):
        notebooks.parameters_for("runtime", profile="mine")


def test_a_notebook_takes_what_it_has_of_a_profile_and_its_own_goes_before(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "shared.yaml").write_text("channels: 256\nseed: 3\nsteps: 2\n")
    (tmp_path / "mine" / "memory.yaml").write_text("steps: 0\n")
    monkeypatch.setattr(notebooks, "PROFILES", tmp_path)
    of_profile = {name: notebooks.profile_parameters("mine", name) for name in notebooks.ORDER}
    assert of_profile["memory"] == {"channels": 256, "steps": 0}
    assert of_profile["runtime"] == {"channels": 256, "steps": 2}
    assert of_profile["correlation"] == {"seed": 3}


@pytest.fixture
def small_notebook(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "profiles" / "demo").mkdir(parents=True)
    (tmp_path / "profiles" / "demo" / "division.yaml").write_text("divisor: 4\n")
    (tmp_path / "notebooks" / "division.py").write_text(
        '# %% tags=["parameters"]\noutput_folder = ""\ndivisor = 1\n\n'
        "# %%\nimport sys\n\nprint('noise', file=sys.stderr)\n12 / divisor\n"
    )
    for name in ("notebooks", "profiles", "runs"):
        monkeypatch.setattr(notebooks, name.upper(), tmp_path / name)
    monkeypatch.setitem(parameters.RULES, "divisor", parameters.Whole(0))
    return tmp_path / "runs" / "demo"


def test_a_failed_run_is_kept_apart_and_leaves_the_last_good_one(small_notebook):
    executed = notebooks.run("division", profile="demo")
    good = executed.read_text()
    with pytest.raises(PapermillExecutionError, match="division by zero"):
        notebooks.run("division", profile="demo", parameters={"divisor": 0})
    assert executed.read_text() == good
    assert "ZeroDivisionError" in (small_notebook / "division.failed.ipynb").read_text()
    assert sorted(path.name for path in small_notebook.iterdir()) == [
        "division.failed.ipynb",
        "division.ipynb",
    ]
    notebooks.run("division", profile="demo")
    assert [path.name for path in small_notebook.iterdir()] == ["division.ipynb"]


def test_an_executed_notebook_holds_results_and_no_traces_of_the_machine(small_notebook):
    text = notebooks.run("division", profile="demo").read_text()
    assert "3.0" in text
    assert "noise" not in text.replace("print('noise'", "")
    assert str(notebooks.ROOT) not in text and str(small_notebook) not in text


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
def test_a_notebook_runs_alone_and_writes_its_tables(name, small_data, runs):
    notebook, folder = execute(name, small_data)
    figures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert figures
    tables = list(folder.glob(f"{name}*.csv"))
    assert tables
    for table in tables:
        provenance = results.read(table).attrs["provenance"]
        assert short_parameters(name).items() <= provenance["parameters"].items()
    if name not in MEASURED:
        assert provenance["data"] == "small"
