"""Training: the study's protocol, resumable, with every random choice a function of the seed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from senformer.config import expect_one_of
from senformer.data import datasets
from senformer.data.opening import RecordFolder
from senformer.model import checkpoints
from senformer.model.enformer import Enformer, attention_variables
from senformer.training.loss import poisson_loss_of_logits
from senformer.training.optimizer import Adam
from senformer.training.trunk_cache import cached_tokens

TRAINABLE_SETS = ("attention", "all")

CLIPS = ("each", "together")
"""What is clipped to a norm: every variable's gradient by itself, or all of them as one vector."""

FROZEN_NORMS = ("moving", "batch")
"""By which statistics batch norms that are not trained normalise."""

TrainStep = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
Evaluate = Callable[[Enformer], pd.DataFrame]


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
    *,
    steps: int,
    sequence_length_bp: int,
    trainable: str = "attention",
    learning_rate: float = 1e-4,
    batch_size: int = 1,
    clip_norm: float = 1.0,
    clip: str = "each",
    warmup_steps: int = 0,
    frozen_norms: str = "moving",
    seed: int = 0,
    flanks: str = "zeros",
    fasta: str | Path | None = None,
    trunk_cache: str | Path | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 500,
    evaluate: Evaluate | None = None,
    evaluate_every: int | None = None,
) -> Training:
    """Train in place: one step is a batch of each head's organism, in turn.

    With a checkpoint, a run that is stopped at any moment and called again with the same arguments
    goes on from the last one written and ends with the same weights as a run that was not.

    Args:
        model: The model to train; its heads choose the folders.
        folders: Record folders by head, from `opening.open_folders`.
        steps: Steps in all, those of an earlier part of the run included.
        sequence_length_bp: Length the model sees; stored sequences are cropped or padded to it.
        trainable: `attention` (the study's) or `all`.
        learning_rate: Of Adam.
        batch_size: Sequences per head and step.
        clip_norm: Largest norm of a gradient.
        clip: What has that norm: `each` variable's gradient (the study's) or all `together`.
        warmup_steps: Steps over which the learning rate rises to its value.
        frozen_norms: Statistics of the batch norms that are not trained: `moving`, or `batch`, as
            in the study's code, which also went on averaging them.
        seed: Of the batches' order and the dropout.
        flanks: What lies around a stored sequence that is too short: `zeros` or `genome`.
        fasta: The genome, for real flanks.
        trunk_cache: Folder to keep the tokens of a frozen trunk in, see `trunk_cache`; none
            computes them at every step.
        checkpoint: File to write to and go on from.
        checkpoint_every: Steps between two writes; the last step is always written.
        evaluate: Called before the first step, every `evaluate_every` steps and after the last;
            its rows are kept with the step.
        evaluate_every: Steps between two calls; none means before and after only.

    Returns:
        The losses and the validation rows.

    Raises:
        ValueError: If the model has a head without a folder or another number of tracks, does not
            take this length, an option is unknown, a trunk that changes is to be kept, or the
            checkpoint is of another run.

    Source: Avsec et al. 2021, Methods (Poisson loss, human and mouse in turn); the study's
        fine-tuning (Adam 1e-4, gradients clipped to norm 1 each).
    """
    _check_heads(model, folders)
    model.config.num_tokens(sequence_length_bp)
    if trunk_cache is not None and (trainable != "attention" or frozen_norms != "moving"):
        raise ValueError(
            f"trunk_cache={str(trunk_cache)!r} with {trainable=}, {frozen_norms=}: expected a "
            f"trunk that never changes (trainable='attention', frozen_norms='moving')"
        )
    run = {
        "trainable": trainable,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "clip_norm": clip_norm,
        "clip": clip,
        "warmup_steps": warmup_steps,
        "frozen_norms": frozen_norms,
        "seed": seed,
        "sequence_length_bp": sequence_length_bp,
        "flanks": flanks,
    }
    optimizer = make_optimizer(model, trainable, learning_rate)
    progress = _Progress(run)
    train_steps = {
        head: make_train_step(
            model,
            optimizer,
            head=head,
            trainable=trainable,
            clip_norm=clip_norm,
            clip=clip,
            warmup_updates=warmup_steps * len(model.heads),
            frozen_norms=frozen_norms,
            takes_tokens=trunk_cache is not None,
        )
        for head in model.heads
    }
    if checkpoint is not None and Path(checkpoint).exists():
        progress = _resume(model, optimizer, checkpoint, run)
    reading: dict[str, Any] = {
        "sequence_length_bp": sequence_length_bp,
        "flanks": flanks,
        "fasta": fasta,
    }
    tokens = {
        head: cached_tokens(model, folders[head], "train", trunk_cache, **reading)
        for head in model.heads
        if trunk_cache is not None and progress.step < steps  # a finished run needs none
    }
    examples = {
        head: iter(
            datasets.batches(
                folders[head],
                "train",
                batch_size=batch_size,
                seed=seed,
                first_step=progress.step,
                target_length=model.config.target_length,
                **reading,
            )
        )
        for head in model.heads
    }

    def evaluate_now() -> None:
        if evaluate is not None and progress.step not in progress.evaluated:
            rows = evaluate(model).assign(step=progress.step)
            progress.validation.extend(
                json.loads(rows.to_json(orient="records", double_precision=15))
            )
            progress.evaluated.append(progress.step)

    if progress.step == 0:
        evaluate_now()
    with tqdm(total=steps, initial=progress.step, desc="training", unit="step") as bar:
        while progress.step < steps:
            for index, (head, train_step) in enumerate(train_steps.items()):
                batch = next(examples[head])
                dropout_seed = tf.constant([seed, progress.step * len(train_steps) + index])
                start = time.perf_counter()
                x = tokens[head][batch["row"].numpy()] if tokens else batch["sequence"]
                loss = float(train_step(x, batch["target"], dropout_seed))
                seconds = time.perf_counter() - start
                progress.history.append(
                    {"step": progress.step + 1, "head": head, "loss": loss, "seconds": seconds}
                )
                bar.set_postfix(head=head, loss=f"{loss:.4f}")
            progress.step += 1
            bar.update()
            if progress.step == steps or (
                evaluate_every is not None and progress.step % evaluate_every == 0
            ):
                evaluate_now()
            if checkpoint is not None and (
                progress.step == steps or progress.step % checkpoint_every == 0
            ):
                checkpoints.save(model, checkpoint, _to_extra(model, optimizer, progress))
    return Training(pd.DataFrame(progress.history), pd.DataFrame(progress.validation))


def make_train_step(
    model: Enformer,
    optimizer: Adam,
    *,
    head: str,
    trainable: str,
    clip_norm: float = 1.0,
    clip: str = "each",
    warmup_updates: int = 0,
    frozen_norms: str = "moving",
    takes_tokens: bool = False,
) -> TrainStep:
    """A compiled step: gradients of one head's loss, clipped, applied.

    No gradient passes below the first trained layer. By default what is not trained runs in
    inference mode: its batch norms use the moving statistics.

    Args:
        model: The model.
        optimizer: From `make_optimizer` for the same trainable set, one for all heads.
        head: Which head's loss.
        trainable: `attention` or `all`.
        clip_norm: Largest norm of a gradient.
        clip: What has that norm: `each` variable's gradient or all `together`.
        warmup_updates: Updates, of any head, over which the learning rate rises to its value.
        frozen_norms: Statistics of batch norms that are not trained: `moving` or `batch`.
        takes_tokens: The step is given the trunk's tokens `[batch, tokens, channels]` and not the
            sequence.

    Returns:
        `(sequence [batch, length, 4], target [batch, bins, tracks], dropout_seed int32 [2])` to
        the loss, a scalar.

    Raises:
        ValueError: If the head, the trainable set or an option is unknown.
    """
    expect_one_of("head", head, model.heads)
    expect_one_of("clip", clip, CLIPS)
    expect_one_of("frozen_norms", frozen_norms, FROZEN_NORMS)
    variables = trainable_variables(model, trainable)

    @tf.function
    def train_step(x: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            if takes_tokens:
                tokens = x
            else:
                tokens = _embed_for_training(model, x, variables, trainable, frozen_norms)
            is_training = trainable == "all" or frozen_norms == "batch"
            embedding = model.transform(tokens, is_training, dropout_seed, variables)
            loss = poisson_loss_of_logits(target, model.head_logits(head, embedding))
        gradients = tape.gradient(loss, variables)
        # The other head has no gradient: Adam leaves it and its moments alone.
        optimizer.apply(
            _clipped(gradients, clip, clip_norm), _warmup(optimizer.step + 1, warmup_updates)
        )
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


def make_optimizer(model: Enformer, trainable: str, learning_rate: float) -> Adam:
    """Adam over a trainable set, its moments made: what a run holds before its first step.

    Raises:
        ValueError: If the trainable set is unknown.
    """
    return Adam(learning_rate, trainable_variables(model, trainable))


def _embed_for_training(
    model: Enformer,
    sequence: tf.Tensor,
    variables: Sequence[tf.Variable],
    trainable: str,
    frozen_norms: str,
) -> tf.Tensor:
    if trainable == "all":
        return model.embed(sequence, True, variables)
    return tf.stop_gradient(model.embed(sequence, frozen_norms == "batch"))


def _clipped(
    gradients: Sequence[tf.Tensor | None], clip: str, clip_norm: float
) -> list[tf.Tensor | None]:
    if clip == "together":
        return tf.clip_by_global_norm(gradients, clip_norm)[0]
    # `tf.clip_by_norm` writes an array of squares for each; this one sums them as it reads.
    return [tf.clip_by_global_norm([g], clip_norm)[0][0] for g in gradients]


def _warmup(number: tf.Tensor, warmup_updates: int) -> tf.Tensor | float:
    """Factor of the learning rate at an update, the first of which is 1."""
    if warmup_updates == 0:
        return 1.0
    return tf.minimum(1.0, tf.cast(number, tf.float32) / warmup_updates)


def _check_heads(model: Enformer, folders: Mapping[str, RecordFolder]) -> None:
    for head, num_tracks in model.config.tracks.items():
        if head not in folders:
            raise ValueError(f"no records for head {head!r}, found {', '.join(folders) or 'none'}")
        if folders[head].num_tracks != num_tracks:
            raise ValueError(
                f"{folders[head].path} has {folders[head].num_tracks} tracks, "
                f"expected the {num_tracks} of head {head!r}"
            )


class _Progress:
    """Where a run stands, beside its weights and its optimiser."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        self.run = dict(run)
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.validation: list[dict[str, Any]] = []
        self.evaluated: list[int] = []


def _to_extra(model: Enformer, optimizer: Adam, progress: _Progress) -> dict[str, np.ndarray]:
    arrays = {"progress": np.frombuffer(json.dumps(vars(progress)).encode(), dtype=np.uint8)}
    return arrays | {name: slot.numpy() for name, slot in _optimizer_state(optimizer).items()}


def _resume(
    model: Enformer, optimizer: Adam, path: str | Path, run: Mapping[str, Any]
) -> _Progress:
    extra = checkpoints.read_extra(path)
    if "progress" not in extra:
        raise ValueError(f"{path} holds weights alone, expected a training run's checkpoint")
    stored = json.loads(extra["progress"].tobytes())
    for name, value in run.items():
        if stored["run"].get(name) != value:
            raise ValueError(
                f"{path} was trained with {name}={stored['run'].get(name)}, not {name}={value}"
            )
    checkpoints.restore_into(model, path)
    for name, slot in _optimizer_state(optimizer).items():
        slot.assign(extra[name].reshape(slot.shape))
    progress = _Progress(run)
    vars(progress).update(stored)
    return progress


def _optimizer_state(optimizer: Adam) -> dict[str, tf.Variable]:
    state = {"optimizer/step": optimizer.step}
    for moment in ("m", "v"):
        for index, slot in enumerate(getattr(optimizer, moment)):
            state[f"optimizer/{moment}/{index}"] = slot
    return state
