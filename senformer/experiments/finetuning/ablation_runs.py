"""Train ablations of Enformer under one protocol and score their predictions.

All ablations keep the trunk and the heads of the run's Enformer, so the trunk's tokens of each
record are computed once per input length, if there is room to store them. Each score is stored
too: an interrupted comparison resumes, and a larger one computes only the scores that it lacks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from senformer.data import datasets
from senformer.data.record_folders import RecordFolder
from senformer.data.windows import InputWindow
from senformer.experiments.held_out import HeldOutAccuracy, Score
from senformer.experiments.parameters import ComparisonParameters
from senformer.experiments.run_data import HEAD, TEST_SPLIT, flanks_of
from senformer.experiments.workspace import Workspace, started_from
from senformer.model.compute import xla
from senformer.model.enformer import Enformer
from senformer.storage import checked_arrays
from senformer.training import train
from senformer.training.identity import digest_values
from senformer.training.trunk_cache import TrunkCache, read_tokens

_FORMAT = "2"  # increase it when the same ablation would get another score


@dataclasses.dataclass(frozen=True, kw_only=True)
class AblationRun:
    """Describe one training of an ablation and the input that it is evaluated on.

    Attributes:
        config_fields: Fields of `ModelConfig` in which the model differs from Enformer.
        start: One of `config.STARTS`: the initial weights of the attention layers.
        plan: The training; with 0 steps the model is evaluated untrained.
        evaluated_length_bp: Length of the input in the evaluation; None is that of the training.
    """

    config_fields: Mapping[str, Any]
    start: str
    plan: train.TrainingPlan
    evaluated_length_bp: int | None = None


def training_plans(records: RecordFolder, p: ComparisonParameters) -> list[train.TrainingPlan]:
    """Return one training per seed, each with a learning rate that falls to zero.

    Inputs that are longer than a record get flanking sequence from the genome, if there is one.

    Args:
        records: The records to train on.
        p: Parameters of the comparison.
    """
    return [
        train.TrainingPlan(
            steps=p.compared_steps,
            sequence_length_bp=p.compared_length_bp,
            flanks=flanks_of(records),
            learning_rate=p.compared_learning_rate,
            decay_steps=p.compared_steps or None,
            batch_size=p.batch_size,
            seed=seed,
        )
        for seed in p.seeds
    ]


def score_ablation(run: AblationRun, workspace: Workspace, accuracy: HeldOutAccuracy) -> Score:
    """Train an ablation and score its predictions of the test records, or read a stored score.

    Args:
        run: The ablation and its training.
        workspace: The run's Enformer, records and folder. Scores and weights are stored in
            `ablations`, tokens in `trunk`.
        accuracy: The measures, on the workspace's records.

    Raises:
        ValueError: If the start is unknown, Enformer lacks weights that the ablation needs, or a
            file is damaged.
        OSError: If a file cannot be written.
    """
    enformer, records = workspace.enformer(), {HEAD: workspace.human}
    config = enformer.config.replace(
        tracks={HEAD: enformer.config.tracks[HEAD]},
        random_block_seed=run.plan.seed,
        **run.config_fields,
    )
    model = started_from(enformer, config, run.start, seed=run.plan.seed)
    training = train.describe_run(model, records, run.plan) | {"steps": run.plan.steps}
    window = InputWindow(
        run.evaluated_length_bp or run.plan.sequence_length_bp,
        model.config.target_length,
        run.plan.flanks,
    )
    evaluation = {
        "split": TEST_SPLIT,
        "num_sequences": workspace.parameters.num_test_sequences,
        "length": window.sequence_length_bp,
        "format": _FORMAT,
    }
    folder = workspace.folder / "ablations"
    path = folder / f"{digest_values(training | evaluation)}.safetensors"
    if path.exists():
        with checked_arrays.open_arrays(path) as stored:
            return Score(*map(stored.read, Score._fields))
    checkpoint = folder / f"trained-{digest_values(training)}.safetensors"
    train.train(
        model,
        records,
        run.plan,
        trunk_cache=workspace.trunk_folder(model, run.plan.sequence_length_bp),
        checkpoint=checkpoint if run.plan.steps else None,
    )
    score = accuracy.score(_predictions(model, workspace, window))
    checked_arrays.write(path, score._asdict(), {})
    return score


def _predictions(
    model: Enformer, workspace: Workspace, window: InputWindow
) -> Iterator[NDArray[np.float32]]:
    """Yield the prediction of each test record, `[bins, tracks]`."""
    examples = datasets.examples(workspace.human, TEST_SPLIT, window)
    examples = examples.take(workspace.parameters.num_test_sequences or -1).batch(1)
    embed = tf.function(model.embed)
    predict = xla.program(lambda tokens: model.predict_head(HEAD, model.transform(tokens)))
    folder = workspace.trunk_folder(model, window.sequence_length_bp)
    cache = (
        TrunkCache.locate(model, workspace.human, TEST_SPLIT, folder, window) if folder else None
    )
    for batch in tqdm(examples, desc="predict", unit="seq"):
        tokens = read_tokens(embed, batch, cache) if cache else embed(batch["sequence"])
        yield predict(tokens)[0].numpy()
