"""The models that a run's notebooks fine-tune, trained beforehand: on several devices or machines.

A notebook is one process and cannot be a worker among several. It finds what was trained here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from senformer.config import STARTS
from senformer.workflow import notebooks

if TYPE_CHECKING:
    from senformer.experiments.workspace import SenformerRecipe

NOTEBOOK = "finetuning"
"""The notebook whose parameters say what is trained; others with the same take the same models."""


def train(
    *,
    profile: str,
    data: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    sequences_at_once: int | None = None,
) -> Path:
    """Train a run's Enformer, where it is trained, and its S-Enformers, on all devices found.

    Each worker of several calls this with the same arguments. A training that was stopped goes on.

    Args:
        profile: As of `notebooks.run`.
        data: As of `notebooks.run`.
        parameters: As of `notebooks.run`; run the notebooks with the same.
        sequences_at_once: How many sequences a device holds at a time, see `TrainingPlan`.

    Returns:
        The folder of the models, in that of the run.

    Raises:
        ValueError: As `notebooks.parameters_for`, `distribution.all_devices` and
            `run_models.finetuned_senformer`.
        OSError: Likewise.
    """
    values = notebooks.parameters_for(NOTEBOOK, profile=profile, data=data, parameters=parameters)
    from senformer.training import distribution

    strategy = distribution.all_devices()  # before TensorFlow computes anything
    from senformer.experiments import run_data, workspace

    folder = notebooks.NOTEBOOKS / values["output_folder"]
    recipe = _recipe(values)
    with strategy.scope(), distribution.naming_lost_workers(None):
        data_folder = values["data"] and notebooks.NOTEBOOKS / values["data"]
        folders = run_data.open_data(data_folder, folder, seed=recipe.seed)
        for start in STARTS:
            workspace.finetuned_senformer(
                recipe, folders, folder, start, sequences_at_once=sequences_at_once
            )
        distribution.wait_for_all()
    return (folder / "models").resolve()


def _recipe(values: Mapping[str, Any]) -> SenformerRecipe:
    """What the notebook would make, its paths being relative to where notebooks run."""
    from senformer.experiments.workspace import SenformerRecipe

    fields = [field.name for field in dataclasses.fields(SenformerRecipe)]
    chosen = {name: values[name] for name in fields}
    if chosen["enformer_checkpoint"]:
        chosen["enformer_checkpoint"] = str(notebooks.NOTEBOOKS / chosen["enformer_checkpoint"])
    return SenformerRecipe(**chosen)
