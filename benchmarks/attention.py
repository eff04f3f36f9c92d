"""Attention, timed: forward and backward of every kind, alone and as a whole layer.

    python benchmarks/attention.py alone --tokens 1536 6144 --repeats 9
    python benchmarks/attention.py layer --tokens 1536 6144 --repeats 9

The study's sizes (1,536 channels, 8 heads, blocks of 64, float32, batch 1, no dropout) against a
plain formulation of BigBird, `baseline`, and against `dense`. All contenders run in one process, in
alternation; what counts is the ratio within a round. `baseline` runs as it is written, as the study
ran it, and compiled by XLA. A layer's backward pass ends at its input; `--gradients all` adds the
gradients of its weights.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is first imported

import pandas as pd
import recording
import tensorflow as tf
from bigbird_baseline import PlainBigBird, plain_block_sparse_attention
from rounds import time_in_turn

from senformer.attention_kinds import KINDS
from senformer.config import BIN_SIZE_BP, ModelConfig, expect_one_of
from senformer.model.attention.bigbird import block_sparse_attention
from senformer.model.attention.bigbird_relative import block_sparse_relative_attention
from senformer.model.attention.block_gather import window_blocks
from senformer.model.attention.dense import relative_attention
from senformer.model.attention.layer import make_attention
from senformer.model.attention.linear import linear_attention
from senformer.model.attention.performer import (
    NUM_FEATURES,
    orthogonal_directions,
    performer_attention,
)
from senformer.model.attention.random_blocks import random_blocks
from senformer.model.attention.reformer import NUM_ROUNDS, hashed_attention, random_rotations
from senformer.model.attention.relative_pattern import listed_relative_attention
from senformer.model.attention.tiled import tiled_relative_attention
from senformer.report.benchmark_tables import attention_ratios

BASELINE = "baseline"
CONFIG = ModelConfig()

Function = Callable[..., tf.Tensor]


def main() -> None:
    """Parse, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["alone", "layer"])
    parser.add_argument("--tokens", type=int, nargs="+", default=[1536])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--kinds", nargs="+", default=[BASELINE, *KINDS])
    parser.add_argument(
        "--gradients", default="input", choices=["all", "input"], help="of a layer: weights too?"
    )
    recording.add_option(parser)
    options = parser.parse_args()
    frames = [
        time_kinds(make_contenders(options, tokens), options.repeats).assign(
            tokens=tokens, sequence_length_bp=tokens * BIN_SIZE_BP
        )
        for tokens in options.tokens
    ]
    frame = pd.concat(frames).assign(part=options.part, gradients=options.gradients)
    weights = "_and_weights" if options.part == "layer" and options.gradients == "all" else ""
    recording.write(frame, f"attention_{options.part}{weights}", options, data="random arrays")
    print(attention_ratios({options.part: frame}).to_string(index=False))


def make_contenders(
    options: argparse.Namespace, tokens: int
) -> dict[tuple[str, str], Callable[[], object]]:
    """For each kind and way to run it, forward and backward once."""
    make = alone if options.part == "alone" else layer
    contenders = {}
    for kind in options.kinds:
        function, watched, inputs = make(kind, tokens, options.gradients)
        upstream = random([*function(*inputs).shape], seed=9)
        for mode in ("plain", "xla") if kind == BASELINE else ("plain",):
            step = forward_and_backward(function, watched, upstream, compiled=mode == "xla")
            contenders[kind, mode] = lambda step=step, inputs=inputs: step(*inputs)
    return contenders


def forward_and_backward(
    function: Function, variables: list[tf.Variable], upstream: tf.Tensor, *, compiled: bool
) -> Callable[..., list[tf.Tensor]]:
    """Gradients with respect to every argument and the variables."""

    @tf.function(jit_compile=compiled)
    def step(*inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*inputs, *variables])
            output = function(*inputs)
        return tape.gradient(output, [*inputs, *variables], output_gradients=upstream)

    return step


def alone(kind: str, tokens: int, gradients: str) -> tuple[Function, list, list[tf.Tensor]]:
    """Attention alone, from query, key and value (and what else a kind takes) to its output."""
    del gradients
    expect_one_of("kind", kind, ALONE)
    function, takes, drawn, key_size = ALONE[kind]
    heads = CONFIG.num_heads
    shapes = {
        "query": [1, heads, tokens, key_size],
        "key": [1, heads, tokens, key_size],
        "value": [1, heads, tokens, CONFIG.value_size],
        "relative_key": [heads, 2 * tokens - 1, key_size],
        "content_bias": [1, heads, 1, key_size],
        "position_bias": [1, heads, 1, key_size],
    }
    options = drawn(tokens)
    inputs = [random(shapes[name], seed) for seed, name in enumerate(takes)]
    inputs[0] *= CONFIG.key_size**-0.5
    return lambda *inputs: function(*inputs, **options), [], inputs


def random_blocks_drawn(tokens: int) -> dict[str, object]:
    drawn = random_blocks(tokens, num_heads=CONFIG.num_heads)
    return {"random_blocks": drawn, "block_size": CONFIG.block_size}


def window_drawn(tokens: int) -> dict[str, object]:
    listed = window_blocks(CONFIG.num_heads, tokens // CONFIG.block_size)
    return {"listed": listed, "block_size": CONFIG.block_size}


def directions_drawn(tokens: int) -> dict[str, object]:
    return {"directions": orthogonal_directions(NUM_FEATURES, CONFIG.key_size, seed=0)}


def rotations_drawn(tokens: int) -> dict[str, object]:
    chunks = tokens // CONFIG.block_size
    rotations = random_rotations(chunks, CONFIG.key_size, num_rounds=NUM_ROUNDS, seed=0)
    return {"rotations": rotations, "chunk_size": CONFIG.block_size}


class Alone(NamedTuple):
    """A kind without its projections.

    Attributes:
        function: Of arrays and of what is drawn once.
        takes: Names of the arrays.
        drawn: What is drawn once, by the function's names, for a number of tokens.
        key_size: Query and key size per head.
    """

    function: Function
    takes: tuple[str, ...]
    drawn: Callable[[int], dict[str, object]] = lambda tokens: {}
    key_size: int = CONFIG.key_size


CONTENT = ("query", "key", "value")
RELATIVE = (*CONTENT, "relative_key", "content_bias", "position_bias")
ALONE = {
    BASELINE: Alone(plain_block_sparse_attention, CONTENT, random_blocks_drawn, CONFIG.value_size),
    "bigbird": Alone(block_sparse_attention, CONTENT, random_blocks_drawn, CONFIG.value_size),
    "bigbird_relative": Alone(block_sparse_relative_attention, RELATIVE, random_blocks_drawn),
    "dense": Alone(relative_attention, RELATIVE),
    "linear": Alone(linear_attention, CONTENT),
    "local": Alone(listed_relative_attention, RELATIVE, window_drawn),
    "performer": Alone(performer_attention, (*CONTENT, "content_bias"), directions_drawn),
    "reformer": Alone(hashed_attention, ("query", "value"), rotations_drawn),
    "tiled": Alone(tiled_relative_attention, RELATIVE),
}


def layer(kind: str, tokens: int, gradients: str) -> tuple[Function, list, list[tf.Tensor]]:
    """A whole attention layer, projections included, from its input to its output."""
    config = CONFIG.replace(attention="bigbird" if kind == BASELINE else kind)
    make = PlainBigBird if kind == BASELINE else make_attention
    attention = make(config, 0, tf.random.Generator.from_seed(0), "attention")
    variables = list(attention.trainable_variables) if gradients == "all" else []

    def run(x: tf.Tensor) -> tf.Tensor:
        return attention(x, attention.position_features(tokens))

    return run, variables, [random([1, tokens, config.channels], seed=1)]


def time_kinds(
    contenders: dict[tuple[str, str], Callable[[], object]], repeats: int
) -> pd.DataFrame:
    """`round`, `attention`, `mode` and `seconds` of every kind and way to run it."""
    frame = time_in_turn(contenders, repeats)
    frame[["attention", "mode"]] = frame.pop("contender").tolist()
    return frame[["round", "attention", "mode", "seconds"]]


def random(shape: list[int], seed: int) -> tf.Tensor:
    """The same normal numbers for the same seed."""
    return tf.random.stateless_normal(shape, [seed, 0])


if __name__ == "__main__":
    main()
