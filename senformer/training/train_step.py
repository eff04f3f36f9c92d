"""Training steps: from a batch to updated variables, on one device or on several."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from senformer.model.compute import replicas, xla
from senformer.model.dropout import split_seed
from senformer.model.enformer import Enformer, attention_variables
from senformer.training.division import Division
from senformer.training.loss import poisson_loss_of_logits
from senformer.training.optimizer import Adam

CLIP_NORM = 1.0
"""Maximum norm of each variable's gradient, as in the study."""

TrainStep = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""Function of input, target and dropout seed to the loss; it updates the variables."""

PartialStep = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, int], tf.Tensor]
"""Function of input, target, dropout seed and number of a part to the part's loss."""

Gradients: TypeAlias = "list[tf.Tensor | None]"
"""Gradient of each trained variable; None for variables of other heads."""

LossAndGradients = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, Gradients]]


def make_train_step(
    model: Enformer,
    optimizer: Adam,
    *,
    head: str,
    trainable: str,
    takes_tokens: bool = False,
) -> TrainStep:
    """Compile a training step: one head's loss, gradients clipped to `CLIP_NORM`, and Adam.

    No gradient is computed below the first trained layer. Layers that are not trained run in
    evaluation mode: their batch norms use the moving statistics.

    Args:
        model: The model.
        optimizer: Result of `make_optimizer` for the same variables; one for all heads.
        head: Head whose loss is minimised.
        trainable: `attention` or `all`.
        takes_tokens: Whether the step takes the trunk's tokens instead of the sequence.

    Returns:
        Function of `sequence [batch, length, 4]` or `tokens [batch, tokens, channels]`, `target
        [batch, bins, tracks]` and `dropout_seed` int32 `[2]` to the loss, a scalar.
    """
    compute_gradients = _make_loss_and_gradients(model, head, trainable, takes_tokens)
    variables = trainable_variables(model, trainable)

    @xla.program
    def train_step(x: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor) -> tf.Tensor:
        loss, gradients = compute_gradients(x, target, dropout_seed)
        optimizer.apply(_clip(model, variables, gradients))
        return loss

    return train_step


def make_steps(
    model: Enformer,
    optimizer: Adam,
    division: Division,
    *,
    trainable: str,
    takes_tokens: bool = False,
) -> dict[str, PartialStep]:
    """Compile the training step of each head, for a batch that may be divided.

    A batch may be divided among devices, into parts, or both. Without dropout, the updates equal
    those of the undivided batch up to rounding: gradients are averaged over parts and replicas
    before they are clipped, and trained batch norms use the statistics of all replicas. Each
    replica and part has its own dropout masks.

    Args:
        model: The model, made in the scope of the current strategy, if there is one.
        optimizer: Result of `make_optimizer`, made in the same scope.
        division: Division of the batch.
        trainable: `attention` or `all`.
        takes_tokens: Whether the steps take the trunk's tokens instead of the sequence.

    Returns:
        For each head, a function of input, target, dropout seed and number of a part to the mean
        loss of the part. Input and target hold the sequences of this worker's replicas in order.
        The last part of a batch updates the variables.
    """

    def make_undivided(head: str) -> PartialStep:
        step = make_train_step(
            model, optimizer, head=head, trainable=trainable, takes_tokens=takes_tokens
        )
        return lambda x, target, dropout_seed, part: step(x, target, dropout_seed)

    if division.num_parts == 1 and not tf.distribute.has_strategy():
        return {head: make_undivided(head) for head in model.heads}
    divided = _DividedSteps(model, optimizer, division, trainable, takes_tokens)
    return {head: divided.make(head) for head in model.heads}


@dataclasses.dataclass
class _DividedSteps:
    """Training steps for a divided batch, with the arguments of `make_steps`.

    On a GPU, the gradients are one program and the update is another; the replicas communicate
    between them. Trained batch norms communicate while the gradients are computed; their gradients
    then run operation by operation.
    """

    model: Enformer
    optimizer: Adam
    division: Division
    trainable: str
    takes_tokens: bool

    def __post_init__(self) -> None:
        self.variables = trainable_variables(self.model, self.trainable)
        self.gradient_sums = [
            tf.Variable(
                tf.zeros_like(variable),
                trainable=False,
                name="gradient_sum",
                synchronization=tf.VariableSynchronization.ON_READ,  # one per replica
                aggregation=tf.VariableAggregation.SUM,
            )
            for variable in (self.variables if self.division.num_parts > 1 else ())
        ]

    def make(self, head: str) -> PartialStep:
        """Compile the step of one head; see `make_steps`."""
        division = self.division
        run, run_last = self._compile(head)

        def take_part(
            x: tf.Tensor, target: tf.Tensor, dropout_seed: tf.Tensor, part: int
        ) -> tf.Tensor:
            seeds = [dropout_seed]
            if division.num_shards > 1:
                seeds = tf.unstack(split_seed(dropout_seed, division.num_shards))
            arguments = []
            for number, replica in enumerate(replicas.local_replicas()):
                first = number * division.sequences_at_once
                examples = slice(first, first + division.sequences_at_once)
                seed = seeds[part * division.num_replicas + replica]
                arguments.append([x[examples], target[examples], seed])
            return (run_last if part == division.num_parts - 1 else run)(arguments)

        return take_part

    def _compile(self, head: str) -> list[Callable[[replicas.Arguments], tf.Tensor]]:
        """Compile the step of all parts but the last, and the step of the last part."""
        sums, division = self.gradient_sums, self.division
        loss_and_gradients = _make_loss_and_gradients(
            self.model, head, self.trainable, self.takes_tokens
        )

        def compute(*batch: tf.Tensor) -> tuple[tf.Tensor, Gradients]:
            loss, gradients = loss_and_gradients(*batch)
            if not sums:
                return loss, gradients
            for total, gradient in zip(sums, gradients, strict=True):
                replicas.assign_add(total, gradient)
            return loss, []

        @xla.program
        def update(gradients: Gradients) -> None:
            self.optimizer.apply(_clip(self.model, self.variables, gradients))

        communicates = self.trainable == "all" and division.num_replicas > 1
        compute_gradients = compute if communicates else xla.program(compute)

        def run(*batch: tf.Tensor, is_last: bool) -> tf.Tensor:
            loss, gradients = compute_gradients(*batch)
            if is_last:
                gradients = gradients or [total / division.num_parts for total in sums]
                means = iter(replicas.mean_over_replicas([g for g in gradients if g is not None]))
                update([None if gradient is None else next(means) for gradient in gradients])
                for total in sums:
                    replicas.assign(total, tf.zeros_like(total))
            return loss

        return [
            replicas.mean_of_each(functools.partial(run, is_last=is_last))
            for is_last in (False, True)
        ]


def trainable_variables(model: Enformer, trainable: str) -> list[tf.Variable]:
    """Return the variables of a trainable set, in the model's order.

    Args:
        model: The model.
        trainable: One of `config.TRAINABLE_SETS`: `attention`, as in the study, or `all`.
    """
    is_all = trainable == "all"
    return list(model.trainable_variables if is_all else attention_variables(model))


def make_optimizer(
    model: Enformer, trainable: str, learning_rate: float, *, decay_steps: int | None = None
) -> Adam:
    """Make Adam for a trainable set, moments included.

    Args:
        model: The model.
        trainable: `attention` or `all`.
        learning_rate: Learning rate of the first step.
        decay_steps: Steps until the rate is zero, or None for a constant rate. A step updates the
            variables once for each head.
    """
    return Adam(
        learning_rate,
        trainable_variables(model, trainable),
        decay_steps=None if decay_steps is None else decay_steps * len(model.heads),
    )


def _make_loss_and_gradients(
    model: Enformer, head: str, trainable: str, takes_tokens: bool
) -> LossAndGradients:
    """Make the function from a batch to the loss and the gradient of each trained variable."""
    variables = trainable_variables(model, trainable)
    trains_all = trainable == "all"

    def compute(
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

    return compute


def _clip(
    model: Enformer, variables: Sequence[tf.Variable], gradients: Sequence[tf.Tensor | None]
) -> list[tf.Tensor | None]:
    """Clip each gradient to `CLIP_NORM`, and delay it until no gradient reads its variable.

    TensorFlow copies a variable that is updated while gradients still need it. The gradients that
    need it are those of the same part of the model and those of the part below.
    """
    parts = [*model.trunk, *model.transformer, model.final_pointwise, *model.heads.values()]
    gradient_of = {v.ref(): g for v, g in zip(variables, gradients, strict=True) if g is not None}
    clipped: dict[Any, tf.Tensor] = {}
    gradients_below: list[tf.Tensor] = []
    for part in parts:
        refs = [v.ref() for v in part.trainable_variables if v.ref() in gradient_of]
        if refs:
            part_gradients = [gradient_of[ref] for ref in refs]
            norms = tf.sqrt(2 * tf.stack([tf.nn.l2_loss(g) for g in part_gradients]))
            factors = CLIP_NORM / tf.maximum(norms, CLIP_NORM)
            [factors] = xla.hold_back([factors], until=[*part_gradients, *gradients_below])
            for ref, gradient, factor in zip(
                refs, part_gradients, tf.unstack(factors), strict=True
            ):
                clipped[ref] = gradient * factor
            gradients_below = part_gradients
    return [clipped.get(v.ref()) for v in variables]
