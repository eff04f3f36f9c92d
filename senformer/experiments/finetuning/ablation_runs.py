"""Models that differ from the run's Enformer in one thing, trained alike and asked the same.

Trunk and heads are Enformer's and stay as they are, so the trunk's tokens of every record are
computed once per length of input, for all variants, where there is room to keep them. How well a
variant predicts the held-out records is kept in a file; so a comparison of many can be stopped,
goes on where it was, and grows by those that it lacks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from senformer.config import STARTS, expect_one_of
from senformer.data import datasets
from senformer.data.record_folders import RecordFolder
from senformer.data.windows import InputWindow
from senformer.experiments.held_out import HeldOutAccuracy, Score
from senformer.experiments.run_data import HEAD, TEST_SPLIT, flanks_of
from senformer.experiments.workspace import started_from, trunk_folder
from senformer.model.compute import xla
from senformer.model.enformer import Enformer
from senformer.storage import checked_arrays
from senformer.training import train
from senformer.training.identity import digest_values
from senformer.training.trunk_cache import TrunkCache, read_tokens

_FORMAT = "2"  # raise it when the same variant would score otherwise


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What all variants of a comparison have in common.

    Attributes:
        enformer: The run's, from `run_models.trained_enformer`.
        folders: From `run_data.open_data`.
        output_folder: The run's folder: files go to `variants` and `trunk` below it.
        num_test_sequences: On how many of the test records they are compared; `None` is all.
        largest_trunk_cache_gb: As of `EnformerRecipe`.
    """

    enformer: Enformer
    folders: Mapping[str, RecordFolder]
    output_folder: str | Path
    num_test_sequences: int | None
    largest_trunk_cache_gb: float

    @property
    def records(self) -> RecordFolder:
        """Those of the head that is evaluated."""
        return self.folders[HEAD]

    def plans(
        self,
        *,
        sequence_length_bp: int,
        steps: int,
        learning_rate: float,
        batch_size: int,
        seeds: Iterable[int],
    ) -> list[train.TrainingPlan]:
        """Trainings that are alike but for their seeds.

        Their rate falls to zero, and long inputs get what lies beside a record.

        Args:
            sequence_length_bp: As `TrainingPlan`, like the others.
            steps: Of each.
            learning_rate: Of the first step.
            batch_size: Of each.
            seeds: One for each training.

        Raises:
            ValueError: As `TrainingPlan`.
        """
        return [
            train.TrainingPlan(
                steps=steps,
                sequence_length_bp=sequence_length_bp,
                flanks=flanks_of(self.records),
                learning_rate=learning_rate,
                decay_steps=steps or None,
                batch_size=batch_size,
                seed=seed,
            )
            for seed in seeds
        ]

    def held_out_accuracy(self) -> HeldOutAccuracy:
        """What the variants' predictions are held against: read it once for all of them."""
        return HeldOutAccuracy(
            self.records, self.enformer.config.target_length, self.num_test_sequences
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One model of a comparison.

    Attributes:
        changes: Fields of `ModelConfig` in which it differs from Enformer.
        start: One of `config.STARTS`: what its attention layers begin with.
        plan: How they are trained; with no steps, they are not.
        asked_length_bp: Length of the input that it predicts from; none is that of its training.

    Raises:
        ValueError: If there is no such start.
    """

    changes: Mapping[str, Any]
    start: str
    plan: train.TrainingPlan
    asked_length_bp: int | None = None

    def __post_init__(self) -> None:
        expect_one_of("start", self.start, STARTS)

    def model(self, enformer: Enformer) -> Enformer:
        """The model at its start, with the one head that is evaluated.

        Raises:
            ValueError: If it cannot begin with Enformer's weights: nothing but the attention may
                differ, and for a warm start not its parameters either.
        """
        config = enformer.config.replace(
            tracks={HEAD: enformer.config.tracks[HEAD]},
            random_block_seed=self.plan.seed,
            **self.changes,
        )
        return started_from(enformer, config, self.start, seed=self.plan.seed)


def held_out_score(variant: Variant, run: Run, accuracy: HeldOutAccuracy) -> Score:
    """How well a variant predicts the test records, trained for it if it was not before.

    Args:
        variant: The model and its training.
        run: What it shares with the others.
        accuracy: The run's own, `run.held_out_accuracy()`.

    Raises:
        ValueError: If the variant cannot begin with Enformer's weights or a file is damaged.
        OSError: If there is no room for what is kept.
    """
    model = variant.model(run.enformer)
    records = {HEAD: run.records}
    asked = variant.plan.replace(
        sequence_length_bp=variant.asked_length_bp or variant.plan.sequence_length_bp
    )
    trained = train.describe_run(model, records, variant.plan) | {"steps": variant.plan.steps}
    predicted = {
        "split": TEST_SPLIT,
        "num_sequences": run.num_test_sequences,
        "length": asked.sequence_length_bp,
        "format": _FORMAT,
    }
    folder = Path(run.output_folder) / "variants"
    path = folder / f"{digest_values(trained | predicted)}.safetensors"
    if path.exists():
        with checked_arrays.open_arrays(path) as stored:
            return Score(*map(stored.read, Score._fields))
    checkpoint = folder / f"trained-{digest_values(trained)}.safetensors"
    train.train(
        model,
        records,
        variant.plan,
        trunk_cache=_trunk_folder(model, run, variant.plan),
        checkpoint=checkpoint if variant.plan.steps else None,
    )
    score = accuracy.score_of_pairs(_targets_and_predictions(model, run, asked))
    checked_arrays.write(path, score._asdict(), {})
    return score


def _targets_and_predictions(
    model: Enformer, run: Run, plan: train.TrainingPlan
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Of each test record, `[bins, tracks]` each."""
    predict = xla.program(lambda tokens: model.predict_head(HEAD, model.transform(tokens)))
    for target, tokens in tqdm(_targets_and_tokens(model, run, plan), desc="predict", unit="seq"):
        yield target, predict(tokens)[0].numpy()


def _targets_and_tokens(
    model: Enformer, run: Run, plan: train.TrainingPlan
) -> Iterator[tuple[NDArray[np.float32], tf.Tensor | NDArray[np.float32]]]:
    """Of each test record its target, and the trunk's tokens, kept where there is room.

    They are `[bins, tracks]` and `[1, tokens, channels]`.
    """
    window = InputWindow(plan.sequence_length_bp, model.config.target_length, plan.flanks)
    examples = datasets.examples(
        run.records,
        TEST_SPLIT,
        window,
    ).take(run.num_test_sequences or -1)
    embed = tf.function(model.embed)
    kept = _trunk_folder(model, run, plan)
    if kept is None:
        for batch in examples.batch(1):
            yield batch["target"][0].numpy(), embed(batch["sequence"])
        return
    cache = TrunkCache.locate(model, run.records, TEST_SPLIT, kept, window)
    for batch in examples.batch(1):
        yield batch["target"][0].numpy(), read_tokens(embed, batch, cache)


def _trunk_folder(model: Enformer, run: Run, plan: train.TrainingPlan) -> Path | None:
    return trunk_folder(
        model,
        {HEAD: run.records},
        plan.sequence_length_bp,
        run.output_folder,
        run.largest_trunk_cache_gb,
    )
