"""Recompute blocks in the backward pass, from their input and a few residuals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from senformer.model.compute.xla import hold_back


class Residuals:
    """Store the values that a block saves in its forward pass for its recomputation.

    A block saves values that are small but slow to compute. When the backward pass recomputes the
    block, each `keep` returns the saved values instead of computing them again.

    Args:
        kept: Values saved by an earlier forward pass; they make this pass a recomputation.

    Attributes:
        is_recomputing: Whether this pass is a recomputation, which must repeat no side effect.
    """

    def __init__(self, kept: Sequence[Sequence[tf.Tensor]] | None = None) -> None:
        self.is_recomputing = kept is not None
        self._kept = list(kept or ())
        self._num_read = 0

    def keep(self, compute: Callable[[], Sequence[tf.Tensor]]) -> Sequence[tf.Tensor]:
        """Compute and save values; in a recomputation, return those that the same call saved."""
        if not self.is_recomputing:
            self._kept.append(compute())
        self._num_read += 1
        return self._kept[self._num_read - 1]

    def keep_value(self, y: tf.Tensor) -> tf.Tensor:
        """Save `y`; in a recomputation, return the saved value with the gradient of `y`.

        A recomputation then evaluates only those inputs of `y` that its gradient needs.
        """
        [kept] = self.keep(lambda: [y])
        if not self.is_recomputing:
            return y
        return tf.custom_gradient(lambda y: (tf.identity(kept), lambda upstream: upstream))(y)

    def for_recomputation(self, after: tf.Tensor) -> Residuals:
        """Return the residuals for a recomputation that starts once `after` is computed."""
        held = iter(hold_back([x for kept in self._kept for x in kept], until=[after]))
        return Residuals([[next(held) for _ in kept] for kept in self._kept])


def recompute(
    block: Callable[[tf.Tensor, Residuals], tf.Tensor],
    x: tf.Tensor,
    trained: Sequence[tf.Variable],
    *,
    input_is_trained: bool = True,
) -> tf.Tensor:
    """Compute `block(x, Residuals())`, saving only `x` and the residuals for the gradient.

    The backward pass calls the block again with the saved residuals. The recomputation waits for
    the upstream gradient; otherwise TensorFlow would run it early and hold its result in memory.

    Args:
        block: Deterministic function of its input and of variables; seeds determine its dropout.
            Side effects (moving statistics) must not happen when `is_recomputing`.
        x: Input of the block.
        trained: Variables that need a gradient; other variables get None.
        input_is_trained: Whether `x` needs a gradient, because trained variables affect it. If
            not, the backward pass neither computes that gradient nor waits for it. If also no
            variable is trained, the block is computed without a backward pass.

    Returns:
        The block's output.

    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".
    """
    if not (trained or input_is_trained):
        return block(x, Residuals())
    trained_refs = {variable.ref() for variable in trained}

    @tf.custom_gradient
    def forward(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        residuals = Residuals()

        def backward(
            upstream: tf.Tensor, variables: Sequence[tf.Variable] | None = None
        ) -> tuple[tf.Tensor | None, list[tf.Tensor | None]] | tf.Tensor | None:
            read = [v for v in variables or () if v.ref() in trained_refs]
            [held_x] = hold_back([x], until=[upstream])
            inputs = [held_x] if input_is_trained else []
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([*inputs, *read])
                y = block(held_x, residuals.for_recomputation(after=upstream))
            gradients = tape.gradient(y, [*inputs, *read], output_gradients=upstream)
            gradient = gradients[0] if input_is_trained else None
            if variables is None:
                return gradient
            by_variable = {v.ref(): g for v, g in zip(read, gradients[len(inputs) :], strict=True)}
            return gradient, [by_variable.get(v.ref()) for v in variables]

        return block(x, residuals), backward

    return forward(x)
