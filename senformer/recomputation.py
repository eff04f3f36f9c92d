"""Trade time for memory: keep a block's input alone, and compute the rest again for gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf


def recompute(
    block: Callable[[tf.Tensor, bool], tf.Tensor], x: tf.Tensor, trained: Sequence[tf.Variable]
) -> tf.Tensor:
    """`block(x, False)`, of which nothing but `x` is kept for the gradient.

    The gradient calls `block(x, True)`: the flag says that it is not the first time, so that a
    block with a side effect (moving statistics) has it once. What is computed again waits for the
    gradient that needs it, or TensorFlow would compute it early and keep it after all.

    Args:
        block: From one tensor to one tensor, a function of its input and of variables; whatever
            it drops out, a seed must decide.
        x: Its input.
        trained: Variables that want a gradient; others that the block reads get none.

    Returns:
        The block's output.

    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".
    """
    wanted = {variable.ref() for variable in trained}

    @tf.custom_gradient
    def forward(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def backward(
            upstream: tf.Tensor, variables: Sequence[tf.Variable] | None = None
        ) -> tuple[tf.Tensor, list[tf.Tensor | None]] | tf.Tensor:
            read = [v for v in variables or () if v.ref() in wanted]
            with tf.control_dependencies([upstream]):
                again = tf.identity(x)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([again, *read])
                y = block(again, True)
            gradient, *of_read = tape.gradient(y, [again, *read], output_gradients=upstream)
            if variables is None:
                return gradient
            by_variable = {v.ref(): g for v, g in zip(read, of_read, strict=True)}
            return gradient, [by_variable.get(v.ref()) for v in variables]

        return block(x, False), backward

    return forward(x)
