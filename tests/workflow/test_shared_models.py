import pytest

from senformer.config import STARTS
from senformer.experiments.workspace import Workspace
from senformer.workflow import notebooks, shared_models


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Return the workspaces and starts of the models that would be trained."""
    monkeypatch.setattr(notebooks, "RUNS", tmp_path / "runs")
    calls = []
    monkeypatch.setattr(Workspace, "senformer", lambda self, start: calls.append((self, start)))
    return calls


def test_train_uses_parameters_of_notebook(trained, small_data, tmp_path):
    chosen = {"batch_size": 4, "enformer_checkpoint": "../models/enformer"}
    models = shared_models.train(
        profile="full", data=small_data, parameters=chosen, sequences_at_once=2
    )
    assert models == tmp_path / "runs/full-small/models"
    expected = notebooks.parameters_for(
        "finetuning", profile="full", data=small_data, parameters=chosen
    )
    assert [start for _, start in trained] == list(STARTS)
    for workspace, _ in trained:
        assert workspace.parameters == expected
        assert workspace.sequences_at_once == 2


def test_train_refuses_bad_parameters_before_work(trained):
    with pytest.raises(ValueError, match="batch_size=0, expected at least 1"):
        shared_models.train(profile="demo", parameters={"batch_size": 0})
    assert not trained
    assert not notebooks.RUNS.exists()
