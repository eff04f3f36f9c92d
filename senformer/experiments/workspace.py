"""The models that the notebooks of a run share, each trained by whoever asks first."""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from senformer.config import (
    STARTS,
    ModelConfig,
    expect_integer,
    expect_number,
    expect_one_of,
    preset,
)
from senformer.data.record_folders import RecordFolder
from senformer.evaluation.resampling import NUM_RESAMPLINGS
from senformer.experiments.run_data import HEAD, VALIDATION_SPLIT
from senformer.experiments.track_accuracy import accuracy_by_track_type
from senformer.model import checkpoints
from senformer.model.enformer import Enformer, attention_variables
from senformer.model.weights import foreign_weights
from senformer.training import train
from senformer.training.identity import digest_of_values
from senformer.training.trunk_cache import bytes_of_tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnformerRecipe:
    """How a run makes its Enformer. Notebooks with the same recipe share the model.

    Attributes:
        enformer_preset: The model.
        enformer_checkpoint: Its weights, a Sonnet checkpoint without `.index`; empty to train it.
        enformer_steps: Steps of that training with all variables.
        enformer_learning_rate: Of those steps.
        enformer_attention_steps: Further steps with the attention alone, the rest frozen: a small
            model on simulated records learns what lies near within the first, and what lies far
            only here, where its trunk's tokens are kept and a step is cheap.
        enformer_attention_learning_rate: Of those further steps.
        sequence_length_bp: Length of the input.
        target_length: 128-bp bins that are predicted.
        batch_size: Sequences per organism and step.
        largest_trunk_cache_gb: Up to this size the tokens of a frozen trunk are computed once and
            kept in the run's folder; a step then runs the transformer alone. All of Basenji2 at
            Enformer's size takes 0.6 TB. It decides no weight.
        seed: Of initial weights, batches, dropout and random blocks.

    Raises:
        ValueError: If the preset is unknown or no Enformer, a count is not whole or too small, or a
            rate is not a finite number of at least 0; the field is named.
    """

    enformer_preset: str
    enformer_checkpoint: str
    enformer_steps: int
    enformer_learning_rate: float
    enformer_attention_steps: int
    enformer_attention_learning_rate: float
    sequence_length_bp: int
    target_length: int
    batch_size: int
    largest_trunk_cache_gb: float
    seed: int

    def __post_init__(self) -> None:
        attention = preset(self.enformer_preset).attention
        if attention != "dense":
            raise ValueError(
                f"enformer_preset={self.enformer_preset!r} has {attention} attention, expected one "
                "with Enformer's own, dense"
            )
        for name in ("enformer_steps", "enformer_attention_steps", "seed"):
            expect_integer(name, getattr(self, name), 0)
        for name in ("sequence_length_bp", "target_length", "batch_size"):
            expect_integer(name, getattr(self, name), 1)
        for name in (
            "enformer_learning_rate",
            "enformer_attention_learning_rate",
            "largest_trunk_cache_gb",
        ):
            expect_number(name, getattr(self, name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SenformerRecipe(EnformerRecipe):
    """How a run makes its S-Enformers from its Enformer.

    Attributes:
        senformer_preset: The model, Enformer's with another attention.
        senformer_steps: Steps of its fine-tuning, of the attention alone.
        senformer_learning_rate: Of its fine-tuning.
        num_evaluations: How often its accuracy is measured on the way.
        num_validation_sequences: On how many held-out sequences; `None` is all.

    Raises:
        ValueError: As `EnformerRecipe`.
    """

    senformer_preset: str
    senformer_steps: int
    senformer_learning_rate: float
    num_evaluations: int
    num_validation_sequences: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        preset(self.senformer_preset)
        expect_integer("senformer_steps", self.senformer_steps, 0)
        expect_number("senformer_learning_rate", self.senformer_learning_rate)
        expect_integer("num_evaluations", self.num_evaluations, 1)
        if self.num_validation_sequences is not None:
            expect_integer("num_validation_sequences", self.num_validation_sequences, 1)


class Finetuned(NamedTuple):
    """A fine-tuned model and how it came to be what it is.

    Attributes:
        model: The model.
        accuracy: Its accuracy on validation sequences on the way: `step`, and the columns of
            `accuracy.accuracy_by_track_type`.
    """

    model: Enformer
    accuracy: pd.DataFrame


def trained_enformer(
    recipe: EnformerRecipe,
    folders: Mapping[str, RecordFolder],
    output_folder: str | Path,
    *,
    sequences_at_once: int | None = None,
) -> Enformer:
    """Give the run's Enformer: read, trained, or trained earlier with the same recipe and data.

    Its checkpoint lies in `output_folder/models`; a training that was stopped goes on.

    Args:
        recipe: How it is made.
        folders: From `run_data.open_data`.
        output_folder: The run's folder.
        sequences_at_once: As of `TrainingPlan`, where attention alone is trained.

    Raises:
        FileNotFoundError: If the recipe names a checkpoint that is not there.
        ValueError: If model and records do not fit each other, or the run's checkpoint is damaged.
        OSError: If there is no room for what is kept, or it cannot be written.
    """
    config = preset(
        recipe.enformer_preset,
        tracks={organism: folder.num_tracks for organism, folder in folders.items()},
        target_length=recipe.target_length,
    )
    if recipe.enformer_checkpoint:
        return foreign_weights.load_sonnet(recipe.enformer_checkpoint, config)
    model = Enformer(config, seed=recipe.seed)
    first = _plan(recipe, recipe.enformer_steps, recipe.enformer_learning_rate, trainable="all")
    train.train(
        model,
        folders,
        first,
        checkpoint=_checkpoint(
            f"{recipe.enformer_preset}-all", model, folders, first, output_folder
        ),
    )
    second = _plan(
        recipe,
        recipe.enformer_attention_steps,
        recipe.enformer_attention_learning_rate,
        sequences_at_once=sequences_at_once,
    )
    train.train(
        model,
        folders,
        second,
        trunk_cache=_trunk_folder(recipe, model, folders, output_folder),
        checkpoint=_checkpoint(
            f"{recipe.enformer_preset}-attention", model, folders, second, output_folder
        ),
    )
    return model


def finetuned_senformer(
    recipe: SenformerRecipe,
    folders: Mapping[str, RecordFolder],
    output_folder: str | Path,
    start: str = "new attention",
    *,
    sequences_at_once: int | None = None,
) -> Finetuned:
    """Give one of the run's S-Enformers: Enformer with sparse attention, the attention trained.

    With `new attention`, as in the study, trunk and heads are Enformer's and the attention layers,
    of BigBird's own kind, start at random. With `warm start` they are of the kind that has
    Enformer's parameters, and start with them: the first accuracy, at step 0, is that of Enformer
    with a sparse pattern and no training at all.

    Args:
        recipe: How it is made.
        folders: From `run_data.open_data`.
        output_folder: The run's folder.
        start: One of `config.STARTS`.
        sequences_at_once: As of `trained_enformer`.

    Raises:
        FileNotFoundError: As `trained_enformer`.
        ValueError: As `trained_enformer`, if the start is unknown, or if the two presets differ in
            more than attention.
        OSError: As `trained_enformer`.
    """
    expect_one_of("start", start, STARTS)
    enformer = trained_enformer(recipe, folders, output_folder, sequences_at_once=sequences_at_once)
    make = with_new_attention if start == "new attention" else with_sparse_pattern
    model = make(enformer, recipe)
    plan = _plan(
        recipe,
        recipe.senformer_steps,
        recipe.senformer_learning_rate,
        sequences_at_once=sequences_at_once,
    )
    done = train.train(
        model,
        folders,
        plan,
        trunk_cache=_trunk_folder(recipe, model, folders, output_folder),
        checkpoint=_checkpoint(
            f"{recipe.senformer_preset}-{start.replace(' ', '-')}",
            model,
            folders,
            plan,
            output_folder,
            num_evaluations=recipe.num_evaluations,
            num_validation_sequences=recipe.num_validation_sequences,
            num_resamplings=NUM_RESAMPLINGS,
        ),
        evaluate=lambda one: accuracy_by_track_type(
            one,
            folders[HEAD],
            VALIDATION_SPLIT,
            sequence_length_bp=recipe.sequence_length_bp,
            num_sequences=recipe.num_validation_sequences,
        ),
        evaluate_every=max(1, recipe.senformer_steps // recipe.num_evaluations),
    )
    return Finetuned(model, done.validation)


def with_new_attention(enformer: Enformer, recipe: SenformerRecipe) -> Enformer:
    """The study's start: all of Enformer but its attention, which is new and of BigBird's kind.

    Raises:
        ValueError: If the recipe's preset differs from Enformer in more than attention.
    """
    config = preset(
        recipe.senformer_preset,
        tracks=enformer.config.tracks,
        target_length=enformer.config.target_length,
        random_block_seed=recipe.seed,
    )
    return started_from(enformer, config, "new attention", seed=recipe.seed)


def with_sparse_pattern(enformer: Enformer, recipe: SenformerRecipe) -> Enformer:
    """The warm start: every weight of Enformer, and each query keeps the keys BigBird leaves it."""
    config = enformer.config.replace(attention="bigbird_relative", random_block_seed=recipe.seed)
    return started_from(enformer, config, "warm start", seed=recipe.seed)


def started_from(enformer: Enformer, config: ModelConfig, start: str, *, seed: int) -> Enformer:
    """A model that differs from Enformer in its attention, at its start.

    Args:
        enformer: Whose weights it begins with.
        config: Of the model.
        start: One of `config.STARTS`.
        seed: Of the run; what is new of the model is drawn with the next one.

    Raises:
        ValueError: If there is no such start, or the model has variables that Enformer lacks beside
            new attention.
    """
    expect_one_of("start", start, STARTS)
    # A model and its compiled functions refer to each other, and such circles lie until Python next
    # looks for them: at the study's size a comparison of models would fill 24 GB before that.
    gc.collect()
    model = Enformer(config, seed=seed + 1)
    kept = attention_variables(model) if start == "new attention" else ()
    checkpoints.copy_weights(enformer, model, kept=kept)
    return model


def trunk_folder(
    model: Enformer,
    folders: Mapping[str, RecordFolder],
    sequence_length_bp: int,
    output_folder: str | Path,
    largest_gb: float,
) -> Path | None:
    """Where a frozen trunk's tokens are kept; nowhere, and said, if that would take too much.

    Args:
        model: Whose trunk, and of which heads' records.
        folders: Records by head.
        sequence_length_bp: Length of its input.
        output_folder: The run's folder.
        largest_gb: Most that the tokens of all training records may take.
    """
    num_records = sum(len(folders[head].intervals_of("train")) for head in model.heads)
    size_gb = num_records * bytes_of_tokens(model.config, sequence_length_bp) / 1e9
    if size_gb <= largest_gb:
        return Path(output_folder) / "trunk"
    print(
        f"the trunk is computed at every step: to keep its tokens would take {size_gb:,.3g} GB, "
        f"more than largest_trunk_cache_gb={largest_gb:g}; a step would then run the transformer "
        "alone",
        file=sys.stderr,
    )
    return None


def _trunk_folder(
    recipe: EnformerRecipe,
    model: Enformer,
    folders: Mapping[str, RecordFolder],
    output_folder: str | Path,
) -> Path | None:
    return trunk_folder(
        model,
        folders,
        recipe.sequence_length_bp,
        output_folder,
        recipe.largest_trunk_cache_gb,
    )


def _plan(
    recipe: EnformerRecipe,
    steps: int,
    learning_rate: float,
    trainable: str = "attention",
    sequences_at_once: int | None = None,
) -> train.TrainingPlan:
    return train.TrainingPlan(
        steps=steps,
        sequence_length_bp=recipe.sequence_length_bp,
        trainable=trainable,
        learning_rate=learning_rate,
        batch_size=recipe.batch_size,
        sequences_at_once=sequences_at_once,
        seed=recipe.seed,
    )


def _checkpoint(
    name: str,
    model: Enformer,
    folders: Mapping[str, RecordFolder],
    plan: train.TrainingPlan,
    output_folder: str | Path,
    **evaluation: int | None,
) -> Path:
    """A file of its own for all that decides what it will hold.

    That is the contents of the records, the model at its start, weights included, the plan, how it
    is evaluated on the way, and the format of the file. So a notebook finds what another made of
    the same, wherever the records lie, and nothing that was made of records since replaced.
    """
    decisive = train.decisive(model, folders, plan)
    decisive |= {"steps": plan.steps, "format": checkpoints.FORMAT, **evaluation}
    file = f"{name}-{digest_of_values(decisive)}.safetensors"
    return Path(output_folder) / "models" / file
