import dataclasses
import shutil

import numpy as np
import pytest

from senformer.config import preset
from senformer.data import record_folders
from senformer.experiments import run_data, workspace
from senformer.experiments.track_accuracy import accuracy_by_track_type
from senformer.model import checkpoints
from senformer.model.enformer import Enformer, attention_variables
from senformer.training import train

LENGTH_BP = 10_240

RECIPE = workspace.SenformerRecipe(
    enformer_preset="enformer_tiny",
    enformer_checkpoint="",
    enformer_steps=1,
    enformer_learning_rate=1e-3,
    enformer_attention_steps=1,
    enformer_attention_learning_rate=1e-3,
    senformer_preset="senformer_tiny",
    senformer_steps=2,
    senformer_learning_rate=1e-3,
    num_evaluations=1,
    num_validation_sequences=2,
    sequence_length_bp=LENGTH_BP,
    target_length=48,
    batch_size=1,
    largest_trunk_cache_gb=4.0,
    seed=0,
)


@pytest.fixture(scope="module")
def folders(small_data):
    return run_data.open_data(small_data, "unused")


@pytest.fixture(scope="module")
def human(folders):
    """Of one head: the step of each head is a program of its own, which takes long to compile."""
    return {"human": folders["human"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory, human):
    output_folder = tmp_path_factory.mktemp("run")
    enformer = workspace.trained_enformer(RECIPE, human, output_folder)
    senformer = workspace.finetuned_senformer(RECIPE, human, output_folder)
    return output_folder, enformer, senformer


def weights(model):
    return {name: v.numpy() for name, v in checkpoints.named_variables(model).items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"enformer_preset": "enformer_huge"}, "unknown preset 'enformer_huge'"),
        ({"enformer_preset": "senformer"}, "enformer_preset='senformer' has bigbird attention"),
        ({"num_evaluations": 0}, "num_evaluations=0, expected at least 1"),
        ({"senformer_steps": "600"}, "senformer_steps='600', expected a whole number"),
        ({"senformer_learning_rate": "1e-3"}, "senformer_learning_rate='1e-3', expected a number"),
        ({"enformer_learning_rate": -1.0}, "enformer_learning_rate=-1.0, expected a finite number"),
        ({"num_validation_sequences": 0}, "num_validation_sequences=0, expected at least 1"),
    ],
)
def test_an_impossible_recipe_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPE, **change)


def test_a_model_is_trained_once(run, human):
    output_folder, enformer, _ = run
    before = {path: path.stat().st_mtime_ns for path in (output_folder / "models").iterdir()}
    assert len(before) == 3
    again = workspace.trained_enformer(RECIPE, human, output_folder)
    for name, value in weights(enformer).items():
        np.testing.assert_array_equal(weights(again)[name], value)
    assert {
        path: path.stat().st_mtime_ns for path in (output_folder / "models").iterdir()
    } == before


def test_finetuning_changes_attention_and_nothing_else(run):
    _, enformer, senformer = run
    given, got = weights(enformer), weights(senformer.model)
    own = {id(v) for v in attention_variables(senformer.model)}
    names = checkpoints.named_variables(senformer.model)
    kept = [name for name, variable in names.items() if id(variable) not in own]
    assert len(kept) == len(names) - len(own)
    for name in kept:
        np.testing.assert_array_equal(got[name], given[name], err_msg=name)
    fresh = weights(Enformer(senformer.model.config, seed=RECIPE.seed + 1))
    changed = [n for n, v in names.items() if id(v) in own and not np.array_equal(got[n], fresh[n])]
    assert any("query" in name for name in changed)


def test_accuracy_is_measured_before_and_after(run):
    accuracy = run[2].accuracy
    assert sorted(accuracy["step"].unique()) == [0, RECIPE.senformer_steps]
    assert accuracy["pearson_r"].between(-1, 1).all()


def test_a_warm_start_is_enformer_with_a_sparse_pattern(run):
    _, enformer, _ = run
    model = workspace.with_sparse_pattern(enformer, RECIPE)
    assert model.config.attention == "bigbird_relative"
    given, got = weights(enformer), weights(model)
    assert given.keys() == got.keys()
    for name in given:
        np.testing.assert_array_equal(got[name], given[name], err_msg=name)


OF_ENFORMER = {
    "query",
    "key",
    "value",
    "relative_key",
    "content_bias",
    "position_bias",
    "output",
}
TAKEN = {
    "tiled": OF_ENFORMER,
    "bigbird_relative": OF_ENFORMER,
    "local": OF_ENFORMER,
    "performer": OF_ENFORMER - {"relative_key", "position_bias"},
    "linear": {"query", "key", "value", "output"},
    "reformer": {"query", "value", "output"},
}


@pytest.mark.parametrize("kind", TAKEN)
def test_a_kind_takes_all_of_enformers_weights_that_it_has_a_place_for(kind):
    config = preset("enformer_tiny", tracks={"human": 1})
    enformer, model = Enformer(config), Enformer(config.replace(attention=kind), seed=1)
    checkpoints.copy_weights(enformer, model)
    given, got = weights(enformer), weights(model)
    of_layer = [name.split("/")[2] for name in got if name.startswith("transformer_0/attention/")]
    assert set(of_layer) == TAKEN[kind]
    for name, array in got.items():
        np.testing.assert_array_equal(array, given[name], err_msg=name)


def test_the_first_accuracy_of_a_warm_start_is_that_of_no_training(run, human):
    output_folder, enformer, _ = run
    warm = workspace.finetuned_senformer(RECIPE, human, output_folder, "warm start")
    untrained = accuracy_by_track_type(
        workspace.with_sparse_pattern(enformer, RECIPE),
        human["human"],
        "valid",
        sequence_length_bp=LENGTH_BP,
        num_sequences=RECIPE.num_validation_sequences,
    )
    first = warm.accuracy[warm.accuracy["step"] == 0]
    np.testing.assert_allclose(first["pearson_r"], untrained["pearson_r"], rtol=1e-6)


def test_an_unknown_start_is_named(folders):
    with pytest.raises(ValueError, match="start='cold', expected one of new attention, warm start"):
        workspace.finetuned_senformer(RECIPE, folders, "unused", "cold")


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({"senformer_steps": 3}, True),
        ({"num_evaluations": 2}, True),
        ({"enformer_steps": 2}, False),
        ({"seed": 1}, False),
        ({"target_length": 32}, False),
    ],
)
def test_recipes_share_an_enformer_where_they_agree_on_it(folders, asked_for, change, shared):
    other = dataclasses.replace(RECIPE, **change)
    assert (asked_for(other, folders) == asked_for(RECIPE, folders)) == shared


@pytest.fixture
def asked_for(monkeypatch):
    """The checkpoints that a recipe's Enformer is trained to, without any training."""

    def checkpoints_of(recipe, folders):
        asked = []
        monkeypatch.setattr(
            workspace.train, "train", lambda *_, checkpoint, **__: asked.append(checkpoint)
        )
        workspace.trained_enformer(recipe, folders, "run")
        return asked

    return checkpoints_of


def test_records_that_moved_share_it_and_others_in_their_place_do_not(
    small_data, folders, asked_for, tmp_path
):
    moved = tmp_path / "moved"
    shutil.copytree(small_data, moved)
    assert asked_for(RECIPE, record_folders.open_folders(moved)) == asked_for(RECIPE, folders)
    [first, other] = [moved / f"mouse/tfrecords/{split}-0.tfr" for split in ("valid", "test")]
    first.write_bytes(other.read_bytes())
    assert not {*asked_for(RECIPE, record_folders.open_folders(moved))} & {
        *asked_for(RECIPE, folders)
    }


def test_an_enformer_with_other_weights_begins_another_finetuning(run, human, monkeypatch):
    output_folder, enformer, _ = run
    asked = []
    monkeypatch.setattr(
        workspace.train,
        "train",
        lambda *_, checkpoint, **__: asked.append(checkpoint) or train.Training(None, None),
    )
    monkeypatch.setattr(workspace, "trained_enformer", lambda *_, **__: enformer)
    workspace.finetuned_senformer(RECIPE, human, output_folder)
    bias = enformer.heads["human"].b
    before = bias.numpy()
    bias.assign(before + 1)
    workspace.finetuned_senformer(RECIPE, human, output_folder)
    bias.assign(before)
    assert asked[0].exists()
    assert not asked[1].exists()


def test_weights_of_another_shape_are_not_copied():
    source = Enformer(preset("enformer_tiny", tracks={"human": 3}, target_length=8))
    destination = Enformer(preset("senformer_tiny", tracks={"human": 4}, target_length=8))
    before = weights(destination)
    with pytest.raises(ValueError, match=r"head_human/b: \(3,\) to copy, expected \(4,\)"):
        checkpoints.copy_weights(source, destination, kept=attention_variables(destination))
    for name, value in weights(destination).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_checkpoint_that_is_not_there_is_named(folders, tmp_path):
    recipe = dataclasses.replace(RECIPE, enformer_checkpoint=str(tmp_path / "weights"))
    with pytest.raises(FileNotFoundError, match=r"weights\.index"):
        workspace.trained_enformer(recipe, folders, tmp_path)
