"""Train a run's models before its notebooks, on several devices or machines.

A notebook is one process and cannot be one worker of several. It uses the models trained here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from senformer.config import STARTS
from senformer.workflow import notebooks

NOTEBOOK = "finetuning"
"""The notebook whose parameters describe the models; other notebooks share them."""


def train(
    *,
    profile: str,
    data: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    sequences_at_once: int | None = None,
) -> Path:
    """Train a run's Enformer, unless it is published, and its S-Enformers, on all devices.

    Each worker of several calls this with the same arguments. An interrupted training resumes.

    Args:
        profile: A folder of `profiles/`.
        data: Folder of real records; None for simulated data.
        parameters: Values that override the profile's. Run the notebooks with the same values.
        sequences_at_once: Sequences per device at a time; see `TrainingPlan`.

    Returns:
        The folder of the models, in that of the run.

    Raises:
        ValueError: If a parameter is not accepted, the devices cannot share a batch, or records
            and model do not fit each other.
        OSError: If a file is missing or cannot be written.
    """
    values = notebooks.parameters_for(NOTEBOOK, profile=profile, data=data, parameters=parameters)
    from senformer.training import distribution

    strategy = distribution.all_devices()  # before TensorFlow computes anything
    from senformer.experiments.workspace import Workspace

    with (
        contextlib.chdir(notebooks.NOTEBOOKS),  # a notebook's paths are relative to it
        strategy.scope(),
        distribution.name_lost_workers(None),
    ):
        workspace = Workspace(values, sequences_at_once=sequences_at_once)  # type: ignore[arg-type]
        for start in STARTS:
            workspace.senformer(start)
        distribution.wait_for_all()
        return (workspace.folder / "models").resolve()
