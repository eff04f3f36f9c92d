from pathlib import Path

import pytest

from senformer.config import STARTS
from senformer.experiments import workspace
from senformer.workflow import notebooks, shared_models


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What is to be fine-tuned, in place of doing it."""
    monkeypatch.setattr(notebooks, "RUNS", tmp_path / "runs")
    calls = []
    monkeypatch.setattr(
        workspace, "finetuned_senformer", lambda *args, **options: calls.append((*args, options))
    )
    return calls


def test_every_start_is_trained_with_the_notebooks_own_parameters(asked, small_data, tmp_path):
    chosen = {"batch_size": 4, "enformer_checkpoint": "../models/enformer"}
    models = shared_models.train(
        profile="full", data=small_data, parameters=chosen, sequences_at_once=2
    )
    assert models == tmp_path / "runs/full-small/models"
    values = notebooks.parameters_for(
        "finetuning", profile="full", data=small_data, parameters=chosen
    )
    for recipe, folders, folder, start, options in asked:
        differing = [name for name, value in vars(recipe).items() if value != values[name]]
        assert differing == ["enformer_checkpoint"]  # relative to where notebooks run
        assert Path(recipe.enformer_checkpoint).resolve() == notebooks.ROOT / "models/enformer"
        assert set(folders) == {"human", "mouse"}
        assert folder.resolve() == models.parent
        assert options == {"sequences_at_once": 2}
        assert start in STARTS
    assert [start for *_, start, _ in asked] == list(STARTS)


def test_what_cannot_be_is_refused_before_any_work(asked):
    with pytest.raises(ValueError, match="batch_size=0, expected at least 1"):
        shared_models.train(profile="demo", parameters={"batch_size": 0})
    assert not asked
    assert not notebooks.RUNS.exists()
