"""Training: the study's protocol, resumable, with every random choice a function of the seed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from senformer.config import TRAINABLE_SETS, expect_integer, expect_number, expect_one_of
from senformer.data import datasets
from senformer.data.record_folders import RecordFolder
from senformer.data.windows import FLANKS, InputWindow
from senformer.model import checkpoints
from senformer.model.compute import replicas
from senformer.model.enformer import Enformer
from senformer.training import train_step
from senformer.training.distribution import expect_same_strategy, held_by_chief, naming_lost_workers
from senformer.training.division import Division
from senformer.training.identity import digest_of_arrays, digest_of_records
from senformer.training.optimizer import BETA_1, BETA_2, EPSILON, Adam
from senformer.training.progress import Progress, begin_or_resume, save
from senformer.training.train_step import PartOfStep, TrainStep
from senformer.training.trunk_cache import Embed, TrunkCache, cached_tokens, expect_room

STEPS_PER_CHECKPOINT = 500
"""Steps between two writes of a checkpoint; the last step is always written."""

Evaluate = Callable[[Enformer], pd.DataFrame]
Batches: TypeAlias = "Iterator[tuple[tf.Tensor | np.ndarray, tf.Tensor]]"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How a model is trained: all that decides its weights, beside model and records.

    Attributes:
        steps: Steps in all, those of an earlier part of the run included.
        sequence_length_bp: Length the model sees; longer stored sequences are cropped.
        flanks: What shorter ones get on both sides, see `datasets.examples`: `zeros`, as in the
            study, or the `genome` beside the records.
        trainable: `attention` (the study's) or `all`.
        learning_rate: Of Adam.
        decay_steps: Steps over which the rate falls in a straight line to zero; none keeps it. The
            last steps then move little, so a model of one seed is less a matter of chance.
        batch_size: Sequences per head and step, those of all devices together.
        sequences_at_once: How many of them a device holds at a time, where memory does not hold its
            share of the batch: gradients are added up over the parts. None holds the share. The
            updates are those of the whole batch but for rounding, so it is no part of what decides
            the weights.
        seed: Of the batches' order and the dropout.

    Raises:
        ValueError: If the trainable set or the flanks are unknown, a count is not whole or too
            small, or the rate is not a finite number of at least 0.
    """

    steps: int
    sequence_length_bp: int
    flanks: str = "zeros"
    trainable: str = "attention"
    learning_rate: float = 1e-4
    decay_steps: int | None = None
    batch_size: int = 1
    sequences_at_once: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        expect_one_of("trainable", self.trainable, TRAINABLE_SETS)
        expect_one_of("flanks", self.flanks, FLANKS)
        for name, least in (
            ("steps", 0),
            ("sequence_length_bp", 1),
            ("batch_size", 1),
            ("seed", 0),
        ):
            expect_integer(name, getattr(self, name), least)
        expect_number("learning_rate", self.learning_rate)
        for name in ("decay_steps", "sequences_at_once"):
            if getattr(self, name) is not None:
                expect_integer(name, getattr(self, name), 1)


class Training(NamedTuple):
    """What a run of `train` measured.

    Attributes:
        history: One row per step and head: `step`, `head`, `loss`, `seconds`.
        validation: The rows of `evaluate`, each with the `step` after which it was called.
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
    evaluate: Evaluate | None = None,
    evaluate_every: int | None = None,
) -> Training:
    """Train in place: one step is a batch of each head's organism, in turn.

    With a checkpoint, a run that is stopped at any moment and called again with the same arguments,
    the model at its start among them, goes on from the last one written and ends with the same
    weights as a run that was not. One process at a time is at a checkpoint; another waits, and then
    finds it.

    On several devices, make the model in the scope of a `tf.distribute` strategy and call this
    there: `MirroredStrategy` for the GPUs of a machine, `MultiWorkerMirroredStrategy` for several
    processes, of which each calls it with the same arguments. The batch is divided among them, and
    losses and weights are those of one device but for rounding; at the same number of devices they
    are the same bit for bit, also after a stop. The first worker writes the checkpoint and shows
    progress; each keeps the trunk's tokens of the records that it takes. If a worker is lost, the
    others end.

    Args:
        model: The model to train; its heads choose the folders.
        folders: Record folders by head, from `record_folders.open_folders`.
        plan: How.
        trunk_cache: Folder to keep the tokens of a frozen trunk in, see `trunk_cache`; none
            computes them at every step.
        checkpoint: File to write to and go on from.
        evaluate: Called before the first step, every `evaluate_every` steps and after the last;
            its rows are kept with the step.
        evaluate_every: Steps between two calls; none means before and after only.

    Returns:
        The losses and the validation rows.

    Raises:
        ValueError: If the model has a head without a folder or another number of tracks, does not
            take this length, was made in the scope of another strategy, a trunk that changes is to
            be kept, the batch cannot be divided (see `Division.of`), or the checkpoint is damaged,
            of another run or further than this one goes. Or if a loss or, when a checkpoint is due,
            a weight is not finite: the checkpoint stays the last good one.
        OSError: If there is no room for the checkpoint or the tokens, or they cannot be written;
            likewise.
        ConnectionError: If another worker is lost.

    Source: Avsec et al. 2021, Methods (Poisson loss, human and mouse in turn); the study's
        fine-tuning (Adam 1e-4, gradients clipped to norm 1 each).
    """
    _check(model, folders, plan, trunk_cache)
    division = Division.of(plan.batch_size, plan.sequences_at_once, plan.trainable)
    path = None if checkpoint is None else Path(checkpoint)
    with naming_lost_workers(path), held_by_chief(path):
        optimizer = train_step.make_optimizer(
            model, plan.trainable, plan.learning_rate, decay_steps=plan.decay_steps
        )
        progress = _begin_or_resume(model, optimizer, path, folders, plan)
        train_steps = _make_steps(model, optimizer, plan, division, trunk_cache is not None)
        batches = _batches(model, folders, plan, division, progress.step, trunk_cache)
        if progress.step == 0:
            _evaluate(model, evaluate, progress)
        with _bar(plan, progress) as bar:
            while progress.step < plan.steps:
                _take_step(train_steps, batches, plan.seed, division, progress, bar)
                is_last = progress.step == plan.steps
                if is_last or (evaluate_every is not None and progress.step % evaluate_every == 0):
                    _evaluate(model, evaluate, progress)
                is_due = is_last or progress.step % STEPS_PER_CHECKPOINT == 0
                if path and is_due and replicas.is_chief():
                    save(model, optimizer, path, progress)
    return Training(pd.DataFrame(progress.history), pd.DataFrame(progress.validation))


def decisive(
    model: Enformer, folders: Mapping[str, RecordFolder], plan: TrainingPlan
) -> dict[str, Any]:
    """All that decides a run's weights but its number of steps: plain values by name.

    A run may be asked to go on for longer, and on other devices; with anything else changed, it is
    another.

    Args:
        model: At its start: its config counts, and its weights do.
        folders: Records by head.
        plan: How it is trained.
    """
    planned = dataclasses.asdict(plan)
    del planned["steps"], planned["sequences_at_once"]
    if plan.decay_steps is None:
        del planned["decay_steps"]  # such a training is the one it was before rates could fall
    return {
        **planned,
        "clip_norm": train_step.CLIP_NORM,
        "adam": {"beta_1": BETA_1, "beta_2": BETA_2, "epsilon": EPSILON},
        "records": {head: digest_of_records(folders[head]) for head in model.heads},
        "model": model.config.to_dict(),
        "starting_weights": digest_of_arrays(checkpoints.named_arrays(model)),
    }


def _check(
    model: Enformer,
    folders: Mapping[str, RecordFolder],
    plan: TrainingPlan,
    trunk_cache: str | Path | None,
) -> None:
    for head, num_tracks in model.config.tracks.items():
        if head not in folders:
            raise ValueError(f"no records for head {head!r}, found {', '.join(folders) or 'none'}")
        if folders[head].num_tracks != num_tracks:
            raise ValueError(
                f"{folders[head].path} has {folders[head].num_tracks} tracks, "
                f"expected the {num_tracks} of head {head!r}"
            )
    model.config.num_tokens(plan.sequence_length_bp)
    expect_same_strategy(model)
    if trunk_cache is not None and plan.trainable != "attention":
        raise ValueError(
            f"trunk_cache={str(trunk_cache)!r} with trainable={plan.trainable!r}: expected a "
            "trunk that never changes (trainable='attention')"
        )


def _begin_or_resume(
    model: Enformer,
    optimizer: Adam,
    checkpoint: Path | None,
    folders: Mapping[str, RecordFolder],
    plan: TrainingPlan,
) -> Progress:
    if checkpoint is None:
        return Progress({})
    run = decisive(model, folders, plan)
    return begin_or_resume(model, optimizer, checkpoint, run, plan.steps)


def _make_steps(
    model: Enformer, optimizer: Adam, plan: TrainingPlan, division: Division, takes_tokens: bool
) -> dict[str, PartOfStep]:
    """Each head's step, which takes a batch part by part."""
    kind: dict[str, Any] = {"trainable": plan.trainable, "takes_tokens": takes_tokens}
    if division.num_parts == 1 and not tf.distribute.has_strategy():
        return {
            head: _of_one_part(train_step.make_train_step(model, optimizer, head=head, **kind))
            for head in model.heads
        }
    sums = train_step.make_gradient_sums(model, plan.trainable, division)
    return {
        head: train_step.make_divided_step(model, optimizer, division, sums, head=head, **kind)
        for head in model.heads
    }


def _of_one_part(step: TrainStep) -> PartOfStep:
    return lambda x, target, dropout_seed, part: step(x, target, dropout_seed)


def _batches(
    model: Enformer,
    folders: Mapping[str, RecordFolder],
    plan: TrainingPlan,
    division: Division,
    first_step: int,
    trunk_cache: str | Path | None,
) -> dict[str, Batches]:
    """What each head's steps are given, sequences or kept tokens, and targets, part by part."""
    steps_to_go = plan.steps - first_step
    if not steps_to_go:
        return {}
    window = InputWindow(plan.sequence_length_bp, model.config.target_length, plan.flanks)
    batching = datasets.Batching(
        batch_size=division.sequences_per_part,
        seed=plan.seed,
        first_step=first_step * division.num_parts,
    )
    read = {
        head: datasets.batches(
            folders[head],
            "train",
            window,
            batching,
            share=datasets.Share(replicas.worker(), replicas.num_workers()),
        )
        for head in model.heads
    }
    if trunk_cache is None:
        return {head: _sequences(batches) for head, batches in read.items()}
    caches = {
        head: TrunkCache.named(
            model,
            folders[head],
            "train",
            trunk_cache,
            sequence_length_bp=plan.sequence_length_bp,
            flanks=plan.flanks,
        )
        for head in model.heads
    }
    if replicas.is_chief():
        expect_room(caches.values(), plan.batch_size * steps_to_go)
    embed = tf.function(model.embed)
    return {head: _tokens(batches, embed, caches[head]) for head, batches in read.items()}


def _sequences(batches: tf.data.Dataset) -> Batches:
    for batch in batches:
        yield batch["sequence"], batch["target"]


def _tokens(batches: tf.data.Dataset, embed: Embed, cache: TrunkCache) -> Batches:
    for batch in batches:
        yield cached_tokens(embed, batch, cache), batch["target"]


def _bar(plan: TrainingPlan, progress: Progress) -> tqdm:
    return tqdm(
        total=plan.steps,
        initial=progress.step,
        desc="training",
        unit="step",
        disable=not replicas.is_chief(),
    )


def _take_step(
    train_steps: Mapping[str, PartOfStep],
    batches: Mapping[str, Batches],
    seed: int,
    division: Division,
    progress: Progress,
    bar: tqdm,
) -> None:
    for index, (head, take_part) in enumerate(train_steps.items()):
        dropout_seed = tf.constant([seed, progress.step * len(train_steps) + index])
        losses, seconds = [], 0.0
        for part in range(division.num_parts):
            x, target = next(batches[head])
            start = time.perf_counter()
            losses.append(float(take_part(x, target, dropout_seed, part)))
            seconds += time.perf_counter() - start
        loss = sum(losses) / len(losses)
        if not np.isfinite(loss):
            raise ValueError(
                f"step {progress.step + 1}, head {head!r}: the loss is {loss}, expected a finite "
                "number; nothing of it is kept (a lower learning_rate, or other records?)"
            )
        progress.history.append(
            {"step": progress.step + 1, "head": head, "loss": loss, "seconds": seconds}
        )
        bar.set_postfix(head=head, loss=f"{loss:.4f}")
    progress.step += 1
    bar.update()


def _evaluate(model: Enformer, evaluate: Evaluate | None, progress: Progress) -> None:
    if evaluate is None or progress.step in progress.evaluated:
        return
    rows = evaluate(model).assign(step=progress.step)
    progress.validation.extend(json.loads(rows.to_json(orient="records", double_precision=15)))
    progress.evaluated.append(progress.step)
