"""The stem's pool, timed: as published, as one product over all rows, and as it is here.

    python benchmarks/pool.py --repeats 5

Forward and backward to its input, 4 sequences, 192 channels. As published, the logits of a pair are
a product of two rows, one product for each pair.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import kernels
import recording
import tensorflow as tf
from published_enformer import published_pool
from rounds import time_in_turn

from senformer.model import ops
from senformer.report.benchmark_tables import contender_ratios

SHAPE = [4, 32_768, 192]
"""Sequences, positions before the pool, channels."""

Pool = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def main() -> None:
    """Parse, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    kernels.add_option(parser)
    recording.add_option(parser)
    options = parser.parse_args()
    kernels.start_with(options.kernels)
    pools: dict[str, Pool] = {
        "as published": published_pool,
        "one product": pool_in_one_product,
        "as here": ops.attention_pool,
    }
    contenders = {name: forward_and_backward(pool) for name, pool in pools.items()}
    frame = time_in_turn(contenders, options.repeats)
    frame = recording.write(frame, "pool", options, data="random array")
    print(contender_ratios(frame).to_string(index=False))


def pool_in_one_product(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The published pool, its logits by one product over all rows."""
    pairs = tf.reshape(x, [-1, x.shape[1] // 2, 2, x.shape[2]])
    logits = tf.reshape(ops.linear(x, weights), tf.shape(pairs))
    return tf.reduce_sum(pairs * tf.nn.softmax(logits, axis=-2), axis=-2)


def forward_and_backward(pool: Pool) -> Callable[[], object]:
    """A call that waits for the gradient with respect to the input."""
    x = tf.random.stateless_normal(SHAPE, [0, 0])
    weights = tf.random.stateless_normal([SHAPE[-1]] * 2, [0, 1], stddev=SHAPE[-1] ** -0.5)

    @tf.function
    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = pool(x, weights)
        return tape.gradient(y, x)

    return lambda: step(x).numpy()


if __name__ == "__main__":
    main()
