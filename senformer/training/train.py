"""Training: the study's protocol, resumable, with every random choice a function of the seed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from senformer.config import TRAINABLE_SETS, expect_number, expect_one_of, expect_whole
from senformer.data import datasets
from senformer.data.opening import RecordFolder
from senformer.data.windows import FLANKS
from senformer.model import checkpoints
from senformer.model.enformer import Enformer, attention_variables
from senformer.model.speed import xla
from senformer.storage import whole_files
from senformer.training.identity import digest_of_arrays, digest_of_records
from senformer.training.loss import poisson_loss_of_logits
from senformer.training.optimizer import BETA_1, BETA_2, EPSILON, Adam
from senformer.training.progress import Progress, begin_or_resume, save
from senformer.training.trunk_cache import Embed, TrunkCache, cached_tokens, expect_room

CLIP_NORM = 1.0
"""Largest norm of each variable's gradient, as in the study."""

STEPS_PER_CHECKPOINT = 500
"""Steps between two writes of a checkpoint; the last step is always written."""

TrainStep = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
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
        batch_size: Sequences per head and step.
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
            expect_whole(name, getattr(self, name), least)
        expect_number("learning_rate", self.learning_rate)
        if self.decay_steps is not None:
            expect_whole("decay_steps", self.decay_steps, 1)


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

    Args:
        model: The model to train; its heads choose the folders.
        folders: Record folders by head, from `opening.open_folders`.
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
            take this length, a trunk that changes is to be kept, or the checkpoint is damaged, of
            another run or further than this one goes. Or if a loss or, when a checkpoint is due, a
            weight is not finite: the checkpoint stays the last good one.
        OSError: If there is no room for the checkpoint or the tokens, or they cannot be written;
            likewise.

    Source: Avsec et al. 2021, Methods (Poisson loss, human and mouse in turn); the study's
        fine-tuning (Adam 1e-4, gradients clipped to norm 1 each).
    """
    _check(model, folders, plan, trunk_cache)
    path = None if checkpoint is None else Path(checkpoint)
    with contextlib.nullcontext() if path is None else whole_files.exclusive(path):
        optimizer = make_optimizer(
            model, plan.trainable, plan.learning_rate, decay_steps=plan.decay_steps
        )
        progress = _begin_or_resume(model, optimizer, path, folders, plan)
        train_steps = {
            head: make_train_step(
                model,
                optimizer,
                head=head,
                trainable=plan.trainable,
                takes_tokens=trunk_cache is not None,
            )
            for head in model.heads
        }
        batches = _batches(model, folders, plan, progress.step, trunk_cache)
        if progress.step == 0:
            _evaluate(model, evaluate, progress)
        with tqdm(total=plan.steps, initial=progress.step, desc="training", unit="step") as bar:
            while progress.step < plan.steps:
                _take_step(train_steps, batches, plan.seed, progress, bar)
                is_last = progress.step == plan.steps
                if is_last or (evaluate_every is not None and progress.step % evaluate_every == 0):
                    _evaluate(model, evaluate, progress)
                if path and (is_last or progress.step % STEPS_PER_CHECKPOINT == 0):
                    save(model, optimizer, path, progress)
    return Training(pd.DataFrame(progress.history), pd.DataFrame(progress.validation))


def decisive(
    model: Enformer, folders: Mapping[str, RecordFolder], plan: TrainingPlan
) -> dict[str, Any]:
    """All that decides a run's weights but its number of steps: plain values by name.

    A run may be asked to go on for longer; with anything else changed, it is another.

    Args:
        model: At its start: its config counts, and its weights do.
        folders: Records by head.
        plan: How it is trained.
    """
    planned = dataclasses.asdict(plan)
    del planned["steps"]
    if plan.decay_steps is None:
        del planned["decay_steps"]  # such a training is the one it was before rates could fall
    return {
        **planned,
        "clip_norm": CLIP_NORM,
        "adam": {"beta_1": BETA_1, "beta_2": BETA_2, "epsilon": EPSILON},
        "records": {head: digest_of_records(folders[head]) for head in model.heads},
        "model": model.config.to_dict(),
        "starting_weights": digest_of_arrays(checkpoints.named_arrays(model)),
    }


def make_train_step(
    model: Enformer,
    optimizer: Adam,
    *,
    head: str,
    trainable: str,
    takes_tokens: bool = False,
) -> TrainStep:
    """A compiled step: gradients of one head's loss, each clipped to `CLIP_NORM`, applied.

    No gradient passes below the first trained layer. What is not trained runs in inference mode:
    its batch norms use the moving statistics.

    Args:
        model: The model.
        optimizer: From `make_optimizer` for the same trainable set, one for all heads.
        head: Which head's loss.
        trainable: `attention` or `all`.
        takes_tokens: The step is given the trunk's tokens `[batch, tokens, channels]` and not the
            sequence.

    Returns:
        `(sequence [batch, length, 4], target [batch, bins, tracks], dropout_seed int32 [2])` to
        the loss, a scalar.

    Raises:
        ValueError: If the head or the trainable set is unknown.
    """
    expect_one_of("head", head, model.heads)
    variables = trainable_variables(model, trainable)
    trains_all = trainable == "all"

    @xla.program
    def train_step(x: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            if takes_tokens:
                tokens = x
            elif trains_all:
                tokens = model.embed(x, True, variables)
            else:
                tokens = tf.stop_gradient(model.embed(x))
            embedding = model.transform(tokens, trains_all, dropout_seed, variables)
            loss = poisson_loss_of_logits(target, model.head_logits(head, embedding))
        # The other head has no gradient: Adam leaves it and its moments alone.
        optimizer.apply(_clip(model, variables, tape.gradient(loss, variables)))
        return loss

    return train_step


def trainable_variables(model: Enformer, trainable: str) -> list[tf.Variable]:
    """The variables that a training set names, in the model's order.

    Args:
        model: The model.
        trainable: `attention` for the attention layers' own, as in the study, or `all`.

    Raises:
        ValueError: If the set is unknown.
    """
    expect_one_of("trainable", trainable, TRAINABLE_SETS)
    return list(
        attention_variables(model) if trainable == "attention" else model.trainable_variables
    )


def make_optimizer(
    model: Enformer, trainable: str, learning_rate: float, *, decay_steps: int | None = None
) -> Adam:
    """Adam over a trainable set, its moments made: what a run holds before its first step.

    Args:
        model: Whose variables.
        trainable: `attention` or `all`.
        learning_rate: As of `TrainingPlan`.
        decay_steps: As of `TrainingPlan`; every head's batch of a step is an application.

    Raises:
        ValueError: If the trainable set is unknown.
    """
    return Adam(
        learning_rate,
        trainable_variables(model, trainable),
        decay_steps=None if decay_steps is None else decay_steps * len(model.heads),
    )


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


def _batches(
    model: Enformer,
    folders: Mapping[str, RecordFolder],
    plan: TrainingPlan,
    first_step: int,
    trunk_cache: str | Path | None,
) -> dict[str, Batches]:
    """What each head's steps are given, sequences or kept tokens, and targets."""
    steps_to_go = plan.steps - first_step
    if not steps_to_go:
        return {}
    read = {
        head: datasets.batches(
            folders[head],
            "train",
            batch_size=plan.batch_size,
            seed=plan.seed,
            first_step=first_step,
            target_length=model.config.target_length,
            sequence_length_bp=plan.sequence_length_bp,
            flanks=plan.flanks,
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
    expect_room(caches.values(), plan.batch_size * steps_to_go)
    embed = tf.function(model.embed)
    return {head: _tokens(batches, embed, caches[head]) for head, batches in read.items()}


def _sequences(batches: tf.data.Dataset) -> Batches:
    for batch in batches:
        yield batch["sequence"], batch["target"]


def _tokens(batches: tf.data.Dataset, embed: Embed, cache: TrunkCache) -> Batches:
    for batch in batches:
        yield cached_tokens(embed, batch, cache), batch["target"]


def _take_step(
    train_steps: Mapping[str, TrainStep],
    batches: Mapping[str, Batches],
    seed: int,
    progress: Progress,
    bar: tqdm,
) -> None:
    for index, (head, train_step) in enumerate(train_steps.items()):
        x, target = next(batches[head])
        dropout_seed = tf.constant([seed, progress.step * len(train_steps) + index])
        start = time.perf_counter()
        loss = float(train_step(x, target, dropout_seed))
        seconds = time.perf_counter() - start
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


def _clip(
    model: Enformer, variables: Sequence[tf.Variable], gradients: Sequence[tf.Tensor | None]
) -> list[tf.Tensor | None]:
    """Each gradient clipped to `CLIP_NORM`, and to be applied once nothing reads its variable.

    A variable that is updated while gradients still need it is copied. Those of its own part of the
    model do, and the one that is passed on to the part below, on which that part's gradients wait.
    """
    parts = [*model.trunk, *model.transformer, model.final_pointwise, *model.heads.values()]
    gradient_of = {v.ref(): g for v, g in zip(variables, gradients, strict=True) if g is not None}
    clipped: dict[Any, tf.Tensor] = {}
    below: list[tf.Tensor] = []
    for part in parts:
        references = [v.ref() for v in part.trainable_variables if v.ref() in gradient_of]
        if references:
            here = [gradient_of[reference] for reference in references]
            [factors] = xla.hold_back([_clip_factors(here)], until=[*here, *below])
            for reference, gradient, factor in zip(
                references, here, tf.unstack(factors), strict=True
            ):
                clipped[reference] = gradient * factor
            below = here
    return [clipped.get(v.ref()) for v in variables]


def _clip_factors(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """What brings each gradient's norm down to `CLIP_NORM`: `[gradients]`."""
    norms = tf.sqrt(2 * tf.stack([tf.nn.l2_loss(g) for g in gradients]))  # sums as it reads
    return CLIP_NORM / tf.maximum(norms, CLIP_NORM)
