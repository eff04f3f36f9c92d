import shutil

import numpy as np
import pandas as pd
import pytest

from senformer.attention_kinds import KINDS
from senformer.config import preset
from senformer.data import record_folders
from senformer.experiments import workspace as workspace_module
from senformer.experiments.parameters import MeasuringParameters, SenformerParameters
from senformer.experiments.run_data import HEAD
from senformer.experiments.workspace import ResultFolder, Workspace
from senformer.model import checkpoints
from senformer.model.enformer import Enformer, attention_variables
from senformer.training import train

SMALL = {
    "enformer_steps": 1,
    "enformer_attention_steps": 1,
    "senformer_steps": 2,
    "num_evaluations": 1,
    "num_validation_sequences": 2,
    "sequence_length_bp": 10_240,
    "target_length": 48,
}


def make_workspace(data, folder, **changes):
    """Return a workspace on the human records, because a step of each head takes long to trace."""
    parameters = SenformerParameters(
        **{**SMALL, "data": str(data), "output_folder": str(folder), **changes}
    )
    workspace = Workspace(parameters)
    workspace.__dict__["records"] = {HEAD: record_folders.open_folders(data)[HEAD]}
    return workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, small_data):
    return make_workspace(small_data, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def senformer(workspace):
    return workspace.senformer()


def weights(model):
    return {name: v.numpy() for name, v in checkpoints.named_variables(model).items()}


def modification_times(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "models").iterdir()}


def test_workspace_trains_models_once(workspace, senformer, small_data):
    before = modification_times(workspace.folder)
    assert len(before) == 3
    other = make_workspace(small_data, workspace.folder)
    for name, value in weights(workspace.enformer()).items():
        np.testing.assert_array_equal(weights(other.enformer())[name], value)
    assert modification_times(workspace.folder) == before


def test_senformer_changes_only_attention(workspace, senformer):
    source, result = weights(workspace.enformer()), weights(senformer.model)
    variables = checkpoints.named_variables(senformer.model)
    own = {id(variable) for variable in attention_variables(senformer.model)}
    is_own = {name: id(variable) in own for name, variable in variables.items()}
    assert sum(is_own.values()) == len(own)
    initial = weights(Enformer(senformer.model.config, seed=workspace.parameters.seed + 1))
    changed = []
    for name, value in result.items():
        if is_own[name]:
            changed += [name] * (not np.array_equal(value, initial[name]))
        else:
            np.testing.assert_array_equal(value, source[name], err_msg=name)
    assert any("query" in name for name in changed)


def test_senformer_measures_accuracy_before_and_after(workspace, senformer):
    assert sorted(senformer.accuracy["step"].unique()) == [0, workspace.parameters.senformer_steps]
    assert senformer.accuracy["pearson_r"].between(-1, 1).all()


def test_warm_start_begins_as_enformer(workspace):
    model = workspace.untrained_senformer("warm start")
    assert model.config.attention == "bigbird_relative"
    source, result = weights(workspace.enformer()), weights(model)
    assert source.keys() == result.keys()
    for name in source:
        np.testing.assert_array_equal(result[name], source[name], err_msg=name)
    untrained = workspace.validation_accuracy(model)
    accuracy = workspace.senformer("warm start").accuracy
    first = accuracy[accuracy["step"] == 0]
    np.testing.assert_allclose(first["pearson_r"], untrained["pearson_r"], rtol=1e-6)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"dense", "bigbird"}))
def test_warm_start_copies_every_weight(kind):
    config = preset("enformer_tiny", tracks={"human": 1})
    enformer, model = Enformer(config), Enformer(config.replace(attention=kind), seed=1)
    checkpoints.copy_weights(enformer, model)
    source, result = weights(enformer), weights(model)
    assert any(name.startswith("transformer_0/attention/query") for name in result)
    for name, array in result.items():
        np.testing.assert_array_equal(array, source[name], err_msg=name)


def test_senformer_names_unknown_start(workspace):
    with pytest.raises(ValueError, match="start='cold', expected one of new attention, warm start"):
        workspace.senformer("cold")


@pytest.fixture
def checkpoints_of(monkeypatch):
    """Return a function that gives the checkpoints of an Enformer's training, without training."""

    def collect(workspace):
        paths = []
        monkeypatch.setattr(train, "train", lambda *_, checkpoint, **__: paths.append(checkpoint))
        workspace.enformer()
        return paths

    return collect


@pytest.mark.parametrize(
    ("change", "is_shared"),
    [
        ({"senformer_steps": 3, "num_evaluations": 2}, True),
        ({"enformer_steps": 2}, False),
        ({"seed": 1}, False),
        ({"target_length": 32}, False),
    ],
)
def test_enformer_checkpoint_depends_on_parameters(small_data, checkpoints_of, change, is_shared):
    first = checkpoints_of(make_workspace(small_data, "run"))
    assert (checkpoints_of(make_workspace(small_data, "run", **change)) == first) == is_shared


def test_enformer_checkpoint_depends_on_records(small_data, checkpoints_of, tmp_path):
    first = checkpoints_of(make_workspace(small_data, "run"))
    moved = shutil.copytree(small_data, tmp_path / "moved")
    assert checkpoints_of(make_workspace(moved, "run")) == first
    table = moved / "human/targets.txt"
    table.write_text(table.read_text().replace("CAGE:", "CAGE:other ", 1))
    assert not {*checkpoints_of(make_workspace(moved, "run"))} & {*first}


def test_senformer_checkpoint_depends_on_weights(workspace, senformer, monkeypatch):
    paths = []
    monkeypatch.setattr(
        workspace_module.train,
        "train",
        lambda *_, checkpoint, **__: paths.append(checkpoint) or train.Training(None, None),
    )
    workspace.senformer()
    bias = workspace.enformer().heads[HEAD].b
    before = bias.numpy()
    bias.assign(before + 1)
    workspace.senformer()
    bias.assign(before)
    assert paths[0].exists()
    assert not paths[1].exists()


def test_copy_weights_refuses_other_shapes():
    source = Enformer(preset("enformer_tiny", tracks={"human": 3}, target_length=8))
    destination = Enformer(preset("senformer_tiny", tracks={"human": 4}, target_length=8))
    before = weights(destination)
    with pytest.raises(ValueError, match=r"head_human/b: \(3,\) to copy, expected \(4,\)"):
        checkpoints.copy_weights(source, destination, kept=attention_variables(destination))
    for name, value in weights(destination).items():
        np.testing.assert_array_equal(value, before[name])


def test_enformer_names_missing_checkpoint(small_data, tmp_path):
    checkpoint = str(tmp_path / "weights")
    with pytest.raises(FileNotFoundError, match=r"weights\.index"):
        make_workspace(small_data, tmp_path, enformer_checkpoint=checkpoint).enformer()


def test_save_table_adds_provenance(tmp_path):
    folder = ResultFolder(MeasuringParameters(output_folder=str(tmp_path), steps=2))
    table = folder.save_table("memory_compiled", pd.DataFrame({"x": [1]}), data="compiled")
    assert (tmp_path / "memory_compiled.csv").is_file()
    provenance = table.attrs["provenance"]
    assert provenance["parameters"] == folder.parameters.model_dump()
    assert provenance["data"] == "compiled"
    other = folder.save_table("memory", pd.DataFrame({"x": [1]})).attrs["provenance"]
    assert other["data"] == "random sequence"
    assert other["time_utc"] == provenance["time_utc"]
