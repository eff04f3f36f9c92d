"""Trade time for memory: keep little of a block, and compute the rest again for gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from senformer.model.compute.xla import hold_back


class Memory:
    """What a block keeps of its first run, because it is small and slow to compute again.

    Args:
        kept: What an earlier run kept; with it, this run is a repetition.

    Attributes:
        is_again: Whether this run is a repetition: what has a side effect had it before.
    """

    def __init__(self, kept: Sequence[Sequence[tf.Tensor]] | None = None) -> None:
        self.is_again = kept is not None
        self._kept = list(kept or ())
        self._num_read = 0

    def keep(self, compute: Callable[[], Sequence[tf.Tensor]]) -> Sequence[tf.Tensor]:
        """Compute and keep; in a repetition, what was kept at the same call."""
        if not self.is_again:
            self._kept.append(compute())
        self._num_read += 1
        return self._kept[self._num_read - 1]

    def keep_value(self, y: tf.Tensor) -> tf.Tensor:
        """`y`; in a repetition its kept value, with the gradient of `y`.

        What `y` is computed from is then needed as far as its gradient needs it.
        """
        [kept] = self.keep(lambda: [y])
        return _with_value(y, kept) if self.is_again else y

    def again(self, after: tf.Tensor) -> Memory:
        """The memory with which to repeat this run, after a tensor is there."""
        held = iter(hold_back([x for kept in self._kept for x in kept], until=[after]))
        return Memory([[next(held) for _ in kept] for kept in self._kept])


def recompute(
    block: Callable[[tf.Tensor, Memory], tf.Tensor],
    x: tf.Tensor,
    trained: Sequence[tf.Variable],
    *,
    input_is_trained: bool = True,
) -> tf.Tensor:
    """`block(x, Memory())`, of which `x` and what goes into the memory are kept for the gradient.

    The gradient calls the block again, with the memory of the first run. What is computed again
    waits for the gradient that needs it, from the input and from the memory alike, or TensorFlow
    would compute it early and keep it after all.

    Args:
        block: From one tensor to one tensor, a function of its input and of variables; whatever
            it drops out, a seed must decide. A side effect (moving statistics) belongs to runs
            that are not `is_again`.
        x: Its input.
        trained: Variables that want a gradient; others that the block reads get none.
        input_is_trained: Whether `x` wants a gradient: whether anything trained made it. If not,
            that gradient is neither computed nor waited for.

    Returns:
        The block's output.

    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".
    """
    wanted = {variable.ref() for variable in trained}

    @tf.custom_gradient
    def forward(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        memory = Memory()

        def backward(
            upstream: tf.Tensor, variables: Sequence[tf.Variable] | None = None
        ) -> tuple[tf.Tensor | None, list[tf.Tensor | None]] | tf.Tensor | None:
            read = [v for v in variables or () if v.ref() in wanted]
            [again] = hold_back([x], until=[upstream])
            inputs = [again] if input_is_trained else []
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([*inputs, *read])
                y = block(again, memory.again(after=upstream))
            gradients = tape.gradient(y, [*inputs, *read], output_gradients=upstream)
            gradient = gradients[0] if input_is_trained else None
            if variables is None:
                return gradient
            by_variable = {v.ref(): g for v, g in zip(read, gradients[len(inputs) :], strict=True)}
            return gradient, [by_variable.get(v.ref()) for v in variables]

        return block(x, memory), backward

    return forward(x)


@tf.custom_gradient
def _with_value(
    y: tf.Tensor, value: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, None]]]:
    del y
    return tf.identity(value), lambda upstream: (upstream, None)
