"""A training step: from a batch to updated variables, on one device or on several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from senformer.config import TRAINABLE_SETS, expect_one_of
from senformer.model.compute import replicas, xla
from senformer.model.enformer import Enformer, attention_variables
from senformer.training.division import Division
from senformer.training.loss import poisson_loss_of_logits
from senformer.training.optimizer import Adam

CLIP_NORM = 1.0
"""Largest norm of each variable's gradient, as in the study."""

TrainStep = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
PartOfStep = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, int], tf.Tensor]

Gradients: TypeAlias = "list[tf.Tensor | None]"
"""One for each trained variable; none for those of another head."""


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
    loss_and_gradients = _loss_and_gradients(model, head, trainable, takes_tokens)
    variables = trainable_variables(model, trainable)

    @xla.program
    def train_step(x: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor) -> tf.Tensor:
        loss, gradients = loss_and_gradients(x, target, dropout_seed)
        # The other head has no gradient: Adam leaves it and its moments alone.
        optimizer.apply(_clip(model, variables, gradients))
        return loss

    return train_step


def make_divided_step(
    model: Enformer,
    optimizer: Adam,
    division: Division,
    sums: Sequence[tf.Variable],
    *,
    head: str,
    trainable: str,
    takes_tokens: bool = False,
) -> PartOfStep:
    """`make_train_step` for a batch that is divided among devices, or comes in parts, or both.

    The updates are those of the undivided batch but for rounding: each example's dropout is that of
    its place in the batch, gradients are averaged over parts and replicas before they are clipped,
    and batch norms that are trained take their statistics from all replicas.

    On a GPU, gradients are one program and the update is another; what the replicas tell each other
    lies between them. Only where batch norms are trained, it lies in the midst of the gradients, so
    these run operation by operation.

    Args:
        model: The model, made in the scope of the strategy that is in charge, if any is.
        optimizer: As of `make_train_step`, made there too.
        division: Of the batch.
        sums: From `make_gradient_sums`, for all heads the same.
        head: As of `make_train_step`.
        trainable: As of `make_train_step`.
        takes_tokens: As of `make_train_step`.

    Returns:
        `(x, target, dropout_seed, part)` to the mean loss of a part of the batch: what this
        worker's replicas take of it, one after the other along the first axis, and the part's
        number. The last one updates the variables.

    Raises:
        ValueError: As `make_train_step`.
    """
    variables = trainable_variables(model, trainable)
    loss_and_gradients = _loss_and_gradients(model, head, trainable, takes_tokens)
    asks_others = trainable == "all" and division.num_replicas > 1
    differentiate = loss_and_gradients if asks_others else xla.program(loss_and_gradients)

    @xla.program
    def update(gradients: Gradients) -> None:
        optimizer.apply(_clip(model, variables, gradients))

    @xla.program
    def add(x: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor) -> tf.Tensor:
        loss, gradients = loss_and_gradients(x, target, dropout_seed)
        for gradient_sum, gradient in zip(sums, gradients, strict=True):
            replicas.assign_add(gradient_sum, gradient)
        return loss

    def take_whole(x: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor) -> tf.Tensor:
        loss, gradients = differentiate(x, target, dropout_seed)
        update(_mean_of_given(gradients))
        return loss

    def take_last(x: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor) -> tf.Tensor:
        loss = add(x, target, dropout_seed)
        update(_mean_of_given([gradient_sum / division.num_parts for gradient_sum in sums]))
        for gradient_sum in sums:
            replicas.assign(gradient_sum, tf.zeros_like(gradient_sum))
        return loss

    run_first = replicas.mean_of_each(add)
    run_last = replicas.mean_of_each(take_last if division.num_parts > 1 else take_whole)

    def take_part(x: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor, part: int) -> tf.Tensor:
        arguments = []
        for number, replica in enumerate(replicas.numbers_here()):
            first = number * division.sequences_at_once
            examples = slice(first, first + division.sequences_at_once)
            first_example = division.first_example(part, replica)
            seed = tf.concat([dropout_seed, [first_example]], axis=0)
            arguments.append([x[examples], target[examples], seed])
        is_last = part == division.num_parts - 1
        return (run_last if is_last else run_first)(arguments)

    return take_part


def make_gradient_sums(model: Enformer, trainable: str, division: Division) -> list[tf.Variable]:
    """What the gradients of a batch's parts are added up in; none where it has one part.

    Each takes as much memory as its variable.

    Args:
        model: As of `make_divided_step`.
        trainable: `attention` or `all`.
        division: Of the batch.
    """
    if division.num_parts == 1:
        return []
    return [
        tf.Variable(
            tf.zeros_like(variable),
            trainable=False,
            name="gradient_sum",
            synchronization=tf.VariableSynchronization.ON_READ,  # each replica has its own
            aggregation=tf.VariableAggregation.SUM,
        )
        for variable in trainable_variables(model, trainable)
    ]


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


def _loss_and_gradients(
    model: Enformer, head: str, trainable: str, takes_tokens: bool
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, Gradients]]:
    """The function of a batch that a step differentiates."""
    expect_one_of("head", head, model.heads)
    variables = trainable_variables(model, trainable)
    trains_all = trainable == "all"

    def loss_and_gradients(
        x: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor
    ) -> tuple[tf.Tensor, Gradients]:
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
        return loss, tape.gradient(loss, variables)

    return loss_and_gradients


def _mean_of_given(gradients: Gradients) -> Gradients:
    """Each gradient's mean over the replicas, of those that there are."""
    given = [gradient for gradient in gradients if gradient is not None]
    means = iter(replicas.mean_over_replicas(given))
    return [None if gradient is None else next(means) for gradient in gradients]


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
