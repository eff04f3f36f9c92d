"""Train by the study's protocol: resumable, and every random choice is a function of the seed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from senformer.config import (
    TRAINABLE_SETS,
    NonNegativeInteger,
    NonNegativeNumber,
    Options,
    PositiveInteger,
    accept_only,
)
from senformer.data import datasets
from senformer.data.record_folders import RecordFolder
from senformer.data.windows import FLANKS, InputWindow
from senformer.model import checkpoints
from senformer.model.compute import replicas
from senformer.model.enformer import Enformer
from senformer.training import train_step
from senformer.training.distribution import check_strategy, lock_by_chief, name_lost_workers
from senformer.training.division import Division, divide_batch
from senformer.training.identity import digest_arrays, digest_records
from senformer.training.optimizer import BETA_1, BETA_2, EPSILON
from senformer.training.progress import Progress, begin_or_resume, save
from senformer.training.train_step import PartialStep
from senformer.training.trunk_cache import TrunkCache, check_room, read_tokens

STEPS_PER_CHECKPOINT = 500
"""Steps between two checkpoints; the last step always writes one."""

Batches: TypeAlias = "Iterator[tuple[tf.Tensor | np.ndarray, tf.Tensor]]"


class TrainingPlan(Options):
    """Describe a training: all that determines the weights, besides model and records.

    Attributes:
        steps: Total number of steps, including those of an earlier part of the run.
        sequence_length_bp: Length of the model's input; longer stored sequences are cropped.
        flanks: Flanking sequence of shorter records, see `windows.InputWindow`: `zeros`, as in the
            study, or the real `genome`.
        trainable: Trained variables: `attention`, as in the study, or `all`.
        learning_rate: Learning rate of Adam.
        decay_steps: Steps in which the rate falls linearly to zero, or None for a constant rate.
            With small last updates, the weights of one seed depend less on chance.
        batch_size: Sequences per head and step, summed over all devices.
        sequences_at_once: Maximum number of sequences per device at a time, or None for all. A
            device with little memory then computes its share of the batch in parts and sums their
            gradients. Without dropout, this changes the weights by rounding only.
        seed: Seed of the order of the batches and of the dropout.

    Raises:
        ValueError: If a value is unknown or out of range; the message names it.
    """

    steps: NonNegativeInteger
    sequence_length_bp: PositiveInteger
    flanks: Annotated[str, accept_only(FLANKS)] = "zeros"
    trainable: Annotated[str, accept_only(TRAINABLE_SETS)] = "attention"
    learning_rate: NonNegativeNumber = 1e-4
    decay_steps: PositiveInteger | None = None
    batch_size: PositiveInteger = 1
    sequences_at_once: PositiveInteger | None = None
    seed: NonNegativeInteger = 0


class Evaluation(NamedTuple):
    """Describe how a model is evaluated during its training.

    Attributes:
        measure: Function from the model to a table; its rows are stored with the step.
        every: Steps between two evaluations, or None for one before and one after the training.
    """

    measure: Callable[[Enformer], pd.DataFrame]
    every: int | None = None


class Training(NamedTuple):
    """Hold the measurements of a training.

    Attributes:
        history: One row per step and head: `step`, `head`, `loss`, `seconds`.
        validation: Rows of the evaluations, each with its `step`.
    """

    history: pd.DataFrame
    validation: pd.DataFrame


def train(
    model: Enformer,
    folders: Mapping[str, RecordFolder],
    plan: TrainingPlan,
    *,
    trunk_cache: str | Path | None = None,
    checkpoint: str | Path | None = None,
    evaluation: Evaluation | None = None,
) -> Training:
    """Train a model in place. Each step takes a batch of each head's organism, in turn.

    With a checkpoint, a run that was stopped at any moment resumes if it is called again with the
    same arguments, including the initial model, and ends with the same weights as a run that was
    not stopped. One process at a time uses a checkpoint; another one waits and then resumes.

    On several devices, make the model in the scope of a `tf.distribute` strategy and call this
    function there: `MirroredStrategy` for the GPUs of one machine, `MultiWorkerMirroredStrategy`
    for several processes with the same arguments. The batch is divided among the devices. Without
    dropout, the losses and weights equal those of one device up to rounding; each device draws its
    own dropout masks. With the same number of devices they are bit-identical, also if resumed. The
    first worker writes the checkpoint and shows progress; each worker caches the trunk's tokens of
    its records. If one worker fails, the others end.

    Args:
        model: The model to train; its heads select the folders.
        folders: Record folders by head, from `record_folders.open_folders`.
        plan: Options of the training.
        trunk_cache: Folder for the tokens of a frozen trunk, see `trunk_cache`; None computes them
            at every step.
        checkpoint: File to write and to resume from.
        evaluation: How to evaluate the model before the first step, during the training and after
            the last step.

    Returns:
        The losses and the validation rows.

    Raises:
        ValueError: If a head has no folder or another number of tracks, the model does not accept
            this length or was made in the scope of another strategy, a trained trunk would be
            cached, the batch cannot be divided (see `divide_batch`), or the checkpoint is damaged,
            of another run or has more steps. Also if a loss, or a weight to be written, is not
            finite; the last checkpoint then stays.
        OSError: If the checkpoint or the tokens cannot be written; the last checkpoint stays.
        ConnectionError: If another worker is lost.

    Source: Avsec et al. 2021, Methods (Poisson loss, human and mouse in turn); the study's
        fine-tuning (Adam 1e-4, gradients clipped to norm 1 each).
    """
    trunk_cache, checkpoint = (
        None if path is None else Path(path) for path in (trunk_cache, checkpoint)
    )
    _check_arguments(model, folders, plan, trunk_cache)
    division = divide_batch(plan.batch_size, plan.sequences_at_once, plan.trainable)
    with name_lost_workers(checkpoint), lock_by_chief(checkpoint):
        optimizer = train_step.make_optimizer(
            model, plan.trainable, plan.learning_rate, decay_steps=plan.decay_steps
        )
        progress = Progress({})
        if checkpoint:
            run = describe_run(model, folders, plan)
            progress = begin_or_resume(model, optimizer, checkpoint, run, plan.steps)
        steps = train_step.make_steps(
            model,
            optimizer,
            division,
            trainable=plan.trainable,
            takes_tokens=trunk_cache is not None,
        )
        batches = _read_batches(model, folders, plan, division, trunk_cache, progress.step)
        if progress.step == 0:
            _evaluate(model, evaluation, progress)
        bar = tqdm(
            range(progress.step, plan.steps),
            total=plan.steps,
            initial=progress.step,
            desc="training",
            unit="step",
            disable=not replicas.is_chief(),
        )
        for _ in bar:
            bar.set_postfix(_take_step(steps, batches, plan.seed, division.num_parts, progress))
            if _is_due(progress, plan, evaluation and evaluation.every):
                _evaluate(model, evaluation, progress)
            if checkpoint and replicas.is_chief() and _is_due(progress, plan, STEPS_PER_CHECKPOINT):
                save(model, optimizer, checkpoint, progress)
    return Training(pd.DataFrame(progress.history), pd.DataFrame(progress.validation))


def describe_run(
    model: Enformer, folders: Mapping[str, RecordFolder], plan: TrainingPlan
) -> dict[str, Any]:
    """Describe all that determines a run's weights except its number of steps, as plain values.

    A run may be resumed with more steps and on other devices; with any other change it is another
    run.

    Args:
        model: The initial model; its configuration and its weights count.
        folders: Record folders by head.
        plan: Options of the training.
    """
    options = plan.model_dump(exclude={"steps", "sequences_at_once"})
    if plan.decay_steps is None:
        del options["decay_steps"]  # keeps the identity of runs from before this option existed
    return {
        **options,
        "clip_norm": train_step.CLIP_NORM,
        "adam": {"beta_1": BETA_1, "beta_2": BETA_2, "epsilon": EPSILON},
        "records": {head: digest_records(folders[head]) for head in model.heads},
        "model": model.config.model_dump(),
        "starting_weights": digest_arrays(checkpoints.named_arrays(model)),
    }


def _check_arguments(
    model: Enformer,
    folders: Mapping[str, RecordFolder],
    plan: TrainingPlan,
    trunk_cache: Path | None,
) -> None:
    """Check that model, records, plan and strategy match."""
    for head, num_tracks in model.config.tracks.items():
        if head not in folders:
            found = ", ".join(folders) or "none"
            raise ValueError(f"no records for head {head!r}, found {found}")
        folder = folders[head]
        if folder.num_tracks != num_tracks:
            raise ValueError(
                f"{folder.path} has {folder.num_tracks} tracks, expected {num_tracks} as head "
                f"{head!r}"
            )
    model.config.num_tokens(plan.sequence_length_bp)
    check_strategy(model)
    if trunk_cache is not None and plan.trainable != "attention":
        raise ValueError(
            f"trunk_cache={str(trunk_cache)!r} with trainable={plan.trainable!r}: expected a "
            "frozen trunk (trainable='attention')"
        )


def _read_batches(
    model: Enformer,
    folders: Mapping[str, RecordFolder],
    plan: TrainingPlan,
    division: Division,
    trunk_cache: Path | None,
    first_step: int,
) -> dict[str, Batches]:
    """Read each head's input (sequences, or cached tokens) and targets, part by part."""
    num_steps = plan.steps - first_step
    if not num_steps:
        return {}
    window = InputWindow(plan.sequence_length_bp, model.config.target_length, plan.flanks)
    batching = datasets.Batching(
        batch_size=division.sequences_per_part,
        seed=plan.seed,
        first_step=first_step * division.num_parts,
    )
    share = datasets.Share(replicas.worker(), replicas.num_workers())
    sequences = {
        head: datasets.batches(folders[head], "train", window, batching, share=share)
        for head in model.heads
    }
    if trunk_cache is None:
        return {
            head: ((batch["sequence"], batch["target"]) for batch in of_head)
            for head, of_head in sequences.items()
        }
    caches = {
        head: TrunkCache.locate(model, folders[head], "train", trunk_cache, window)
        for head in model.heads
    }
    if replicas.is_chief():
        check_room(caches.values(), plan.batch_size * num_steps)
    embed = tf.function(model.embed)

    def read(head: str) -> Batches:
        for batch in sequences[head]:
            yield read_tokens(embed, batch, caches[head]), batch["target"]

    return {head: read(head) for head in model.heads}


def _take_step(
    steps: Mapping[str, PartialStep],
    batches: Mapping[str, Batches],
    seed: int,
    num_parts: int,
    progress: Progress,
) -> dict[str, str]:
    """Take one step of each head, record it and return the losses as text.

    Raises:
        ValueError: If a loss is not finite.
    """
    losses = {}
    for index, (head, step) in enumerate(steps.items()):
        dropout_seed = tf.constant([seed, progress.step * len(steps) + index])
        part_losses, seconds = [], 0.0
        for part in range(num_parts):
            x, target = next(batches[head])
            start = time.perf_counter()
            part_losses.append(float(step(x, target, dropout_seed, part)))
            seconds += time.perf_counter() - start
        loss = sum(part_losses) / num_parts
        row = {"step": progress.step + 1, "head": head, "loss": loss, "seconds": seconds}
        if not np.isfinite(loss):
            raise ValueError(
                f"step {row['step']}, head {head!r}: the loss is {loss}, expected a finite "
                "number; the step is not saved (try a lower learning_rate or check the records)"
            )
        progress.history.append(row)
        losses[head] = f"{loss:.4f}"
    progress.step += 1
    return losses


def _is_due(progress: Progress, plan: TrainingPlan, every: int | None) -> bool:
    """Return whether this is the last step or one of every `every` steps."""
    return progress.step == plan.steps or (every is not None and progress.step % every == 0)


def _evaluate(model: Enformer, evaluation: Evaluation | None, progress: Progress) -> None:
    """Evaluate the model and record the rows, unless this step has been evaluated."""
    if evaluation is None or progress.step in progress.evaluated:
        return
    rows = evaluation.measure(model).assign(step=progress.step)
    progress.validation.extend(json.loads(rows.to_json(orient="records", double_precision=15)))
    progress.evaluated.append(progress.step)
