"""Adam, applied in place: a step needs no memory besides gradients and moments."""

from __future__ import annotations

from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from senformer.model.compute import replicas

BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-8


class Adam(snt.Module):
    """Kingma and Ba's Adam, by TensorFlow's fused operation.

    With separate operations, TensorFlow would compute `BETA_1 * m` and `BETA_2 * v` of all
    variables at the start of a step and hold them until its end.

    Attributes:
        m: First moment of each variable.
        v: Second moment of each variable.
        step: Number of updates.

    Source: Kingma and Ba 2015, end of section 2 (the more efficient order of computation).
    """

    def __init__(
        self,
        learning_rate: float,
        variables: Sequence[tf.Variable],
        *,
        decay_steps: int | None = None,
    ) -> None:
        """Create the moments.

        Args:
            learning_rate: Learning rate of the first update.
            variables: Trained variables.
            decay_steps: Updates in which the rate falls linearly to zero, or None for a constant
                rate.
        """
        super().__init__(name="adam")
        self.learning_rate = learning_rate
        self.decay_steps = decay_steps
        self.variables_trained = list(variables)
        self.m = [tf.Variable(tf.zeros_like(x), trainable=False, name="m") for x in variables]
        self.v = [tf.Variable(tf.zeros_like(x), trainable=False, name="v") for x in variables]
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")

    def apply(self, gradients: Sequence[tf.Tensor | None]) -> None:
        """Update each variable by its gradient; without a gradient, its moments stay too.

        Args:
            gradients: Gradient of each variable or None; equal on all replicas.
        """
        replicas.assign_add(self.step, tf.ones([], tf.int64))
        step = tf.cast(self.step, tf.float32)
        learning_rate = self.learning_rate
        if self.decay_steps is not None:
            learning_rate *= tf.maximum(0.0, 1 - (step - 1) / self.decay_steps)
        slots = zip(gradients, self.variables_trained, self.m, self.v, strict=True)
        for gradient, variable, m, v in slots:
            if gradient is not None:
                tf.raw_ops.ResourceApplyAdam(
                    var=variable.handle,
                    m=m.handle,
                    v=v.handle,
                    beta1_power=BETA_1**step,
                    beta2_power=BETA_2**step,
                    lr=learning_rate,
                    beta1=BETA_1,
                    beta2=BETA_2,
                    epsilon=EPSILON,
                    grad=gradient,
                )
