"""Models that differ from the run's Enformer in one thing, trained alike and asked the same.

Trunk and heads are Enformer's and stay as they are, so the trunk's tokens of every record are
computed once per length of input, for all variants. What a variant predicts of the held-out records
is kept in a file; so a comparison of many can be stopped, goes on where it was, and grows by those
that it lacks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from senformer.config import expect_one_of
from senformer.data import datasets
from senformer.data.opening import RecordFolder
from senformer.experiments.run_data import HEAD, TEST_SPLIT
from senformer.experiments.run_models import STARTS, started_from
from senformer.model.enformer import Enformer
from senformer.model.speed import xla
from senformer.storage import checked_arrays
from senformer.training import train
from senformer.training.identity import digest_of_values
from senformer.training.trunk_cache import TrunkCache, cached_tokens

_FORMAT = "1"  # raise it when the same variant would predict something else
_NAME = "predictions"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One model of a comparison.

    Attributes:
        changes: Fields of `ModelConfig` in which it differs from Enformer.
        start: One of `run_models.STARTS`: what its attention layers begin with.
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


def held_out_predictions(
    variant: Variant,
    enformer: Enformer,
    folders: Mapping[str, RecordFolder],
    output_folder: str | Path,
) -> NDArray[np.float32]:
    """What a variant predicts of the test records, trained for it if it was not before.

    Args:
        variant: The model and its training.
        enformer: The run's, from `run_models.trained_enformer`.
        folders: From `run_data.open_data`.
        output_folder: The run's folder: files go to `variants` and `trunk` below it.

    Returns:
        `[records, bins, tracks]`, in the order of `datasets.examples`.

    Raises:
        ValueError: If the variant cannot begin with Enformer's weights or a file is damaged.
        OSError: If there is no room for what is kept.
    """
    model = variant.model(enformer)
    records = {HEAD: folders[HEAD]}
    asked = dataclasses.replace(
        variant.plan, sequence_length_bp=variant.asked_length_bp or variant.plan.sequence_length_bp
    )
    trained = train.decisive(model, records, variant.plan) | {"steps": variant.plan.steps}
    predicted = {"split": TEST_SPLIT, "length": asked.sequence_length_bp, "format": _FORMAT}
    folder = Path(output_folder) / "variants"
    path = folder / f"{digest_of_values(trained | predicted)}.safetensors"
    if path.exists():
        with checked_arrays.opened(path) as stored:
            return stored.read(_NAME)
    trunk_cache = Path(output_folder) / "trunk"
    checkpoint = folder / f"trained-{digest_of_values(trained)}.safetensors"
    train.train(
        model,
        records,
        variant.plan,
        trunk_cache=trunk_cache,
        checkpoint=checkpoint if variant.plan.steps else None,
    )
    predictions = np.stack([*_predictions(model, folders[HEAD], asked, trunk_cache)])
    checked_arrays.write(path, {_NAME: predictions}, {})
    return predictions


def _predictions(
    model: Enformer, folder: RecordFolder, plan: train.TrainingPlan, trunk_cache: Path
) -> Iterator[NDArray[np.float32]]:
    """`[bins, tracks]` of each test record, from kept tokens of its sequence."""
    cache = TrunkCache.named(
        model,
        folder,
        TEST_SPLIT,
        trunk_cache,
        sequence_length_bp=plan.sequence_length_bp,
        flanks=plan.flanks,
    )
    examples = datasets.examples(
        folder,
        TEST_SPLIT,
        sequence_length_bp=plan.sequence_length_bp,
        target_length=model.config.target_length,
        flanks=plan.flanks,
    )
    embed = tf.function(model.embed)
    predict = xla.program(lambda tokens: model.predict_head(HEAD, model.transform(tokens)))
    for batch in tqdm(examples.batch(1), desc="predict", unit="seq"):
        yield predict(cached_tokens(embed, batch, cache))[0].numpy()
