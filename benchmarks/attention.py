"""Time the forward and backward pass of every attention, alone and as a whole layer.

    python benchmarks/attention.py alone --tokens 1536 6144 --repeats 9
    python benchmarks/attention.py layer --tokens 1536 6144 --repeats 9

Sizes are those of the study (1,536 channels, 8 heads, blocks of 64, float32, batch 1, no dropout).
`baseline` is a plain formulation of BigBird; it runs operation by operation, as in the study, and
compiled by XLA. All contenders alternate in one process; the result is the ratio within a round. A
layer's backward pass ends at its input; `--gradients all` adds the gradients of its weights.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is first imported

import benchmark
import pandas as pd
import tensorflow as tf
from bigbird_baseline import PlainBigBird, plain_block_sparse_attention

from senformer.attention_kinds import KINDS
from senformer.config import BIN_SIZE_BP, ModelConfig, expect_one_of
from senformer.model.attention.bigbird import bigbird_pattern
from senformer.model.attention.block_sparse import block_sparse_attention
from senformer.model.attention.dense import dense_attention
from senformer.model.attention.heads import AttentionInputs
from senformer.model.attention.layer import make_attention
from senformer.model.attention.linear import linear_attention
from senformer.model.attention.local import local_pattern
from senformer.model.attention.performer import (
    NUM_FEATURES,
    orthogonal_directions,
    performer_attention,
)
from senformer.model.attention.random_blocks import random_blocks
from senformer.model.attention.reformer import NUM_ROUNDS, hashed_attention, random_rotations
from senformer.model.attention.tiled import tiled_attention
from senformer.report.benchmark_tables import attention_ratios

BASELINE = "baseline"
CONFIG = ModelConfig()

Function = Callable[..., tf.Tensor]
Attend = Callable[[AttentionInputs], tf.Tensor]


def main() -> None:
    """Parse the options, time all kinds, and write and print the result."""
    parser = benchmark.make_parser(__doc__, repeats=9)
    parser.add_argument("part", choices=["alone", "layer"])
    parser.add_argument("--tokens", type=int, nargs="+", default=[1536])
    parser.add_argument("--kinds", nargs="+", default=[BASELINE, *KINDS])
    parser.add_argument(
        "--gradients", default="input", choices=["all", "input"], help="gradients of a layer"
    )
    options = parser.parse_args()
    frames = [
        time_kinds(make_contenders(options, tokens), options.repeats).assign(
            tokens=tokens, sequence_length_bp=tokens * BIN_SIZE_BP
        )
        for tokens in options.tokens
    ]
    frame = pd.concat(frames).assign(part=options.part, gradients=options.gradients)
    weights = "_and_weights" if options.part == "layer" and options.gradients == "all" else ""
    benchmark.write(frame, f"attention_{options.part}{weights}", options, data="random arrays")
    print(attention_ratios({options.part: frame}).to_string(index=False))


def make_contenders(
    options: argparse.Namespace, tokens: int
) -> dict[tuple[str, str], Callable[[], object]]:
    """Make a function for each kind and mode that runs the forward and the backward pass once."""
    make = make_alone if options.part == "alone" else make_layer
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
    """Make a function that returns the gradients of all its arguments and of `variables`."""

    @tf.function(jit_compile=compiled)
    def step(*inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*inputs, *variables])
            output = function(*inputs)
        return tape.gradient(output, [*inputs, *variables], output_gradients=upstream)

    return step


def make_alone(kind: str, tokens: int, gradients: str) -> tuple[Function, list, list[tf.Tensor]]:
    """Make attention without projections, from its input tensors to its output."""
    del gradients
    expect_one_of("kind", kind, ALONE)
    fields, make, key_size = ALONE[kind]
    heads = CONFIG.num_heads
    shapes = {
        "query": [1, heads, tokens, key_size],
        "key": [1, heads, tokens, key_size],
        "value": [1, heads, tokens, CONFIG.value_size],
        "relative_key": [heads, 2 * tokens - 1, key_size],
        "content_bias": [heads, key_size],
        "position_bias": [heads, key_size],
    }
    attend = make(tokens)
    inputs = [random(shapes[name], seed) for seed, name in enumerate(fields)]
    inputs[0] *= CONFIG.key_size**-0.5
    return lambda *inputs: attend(_named_inputs(fields, inputs)), [], inputs


def _named_inputs(fields: tuple[str, ...], inputs: tuple[tf.Tensor, ...]) -> AttentionInputs:
    """Name the tensors; a kind without keys of its own attends to its queries."""
    by_name = dict(zip(fields, inputs, strict=True))
    return AttentionInputs(**{"key": inputs[0], **by_name})


def make_baseline(tokens: int) -> Attend:
    """Make the plain formulation of BigBird."""
    drawn = random_blocks(tokens, num_heads=CONFIG.num_heads)

    def attend(inputs: AttentionInputs) -> tf.Tensor:
        query, key, value = inputs[:3]
        return plain_block_sparse_attention(query, key, value, drawn, block_size=CONFIG.block_size)

    return attend


def make_bigbird(tokens: int, *, counts_repeats: bool) -> Attend:
    """Make block-sparse attention with BigBird's pattern."""
    drawn = random_blocks(tokens, num_heads=CONFIG.num_heads)
    pattern = bigbird_pattern(drawn, CONFIG.block_size, counts_repeats=counts_repeats)
    return functools.partial(block_sparse_attention, pattern=pattern)


def make_local(tokens: int) -> Attend:
    """Make block-sparse attention to the window."""
    blocks = tokens // CONFIG.block_size
    pattern = local_pattern(CONFIG.num_heads, blocks, CONFIG.block_size)
    return functools.partial(block_sparse_attention, pattern=pattern)


def make_performer(tokens: int) -> Attend:
    """Make Performer's attention."""
    del tokens
    directions = orthogonal_directions(NUM_FEATURES, CONFIG.key_size, seed=0)
    return functools.partial(performer_attention, directions=directions)


def make_reformer(tokens: int) -> Attend:
    """Make Reformer's attention."""
    chunks = tokens // CONFIG.block_size
    rotations = random_rotations(chunks, CONFIG.key_size, num_rounds=NUM_ROUNDS, seed=0)
    return functools.partial(hashed_attention, rotations=rotations, chunk_size=CONFIG.block_size)


class Alone(NamedTuple):
    """Describe a kind without its projections.

    Attributes:
        fields: Names of its inputs.
        make: Makes its function for a number of tokens.
        key_size: Query and key size per head.
    """

    fields: tuple[str, ...]
    make: Callable[[int], Attend]
    key_size: int = CONFIG.key_size


CONTENT = ("query", "key", "value")
RELATIVE = (*CONTENT, "relative_key", "content_bias", "position_bias")
ALONE = {
    BASELINE: Alone(CONTENT, make_baseline, CONFIG.value_size),
    "bigbird": Alone(
        CONTENT, functools.partial(make_bigbird, counts_repeats=True), CONFIG.value_size
    ),
    "bigbird_relative": Alone(RELATIVE, functools.partial(make_bigbird, counts_repeats=False)),
    "dense": Alone(RELATIVE, lambda tokens: dense_attention),
    "linear": Alone(CONTENT, lambda tokens: linear_attention),
    "local": Alone(RELATIVE, make_local),
    "performer": Alone((*CONTENT, "content_bias"), make_performer),
    "reformer": Alone(("query", "value"), make_reformer),
    "tiled": Alone(RELATIVE, lambda tokens: tiled_attention),
}


def make_layer(kind: str, tokens: int, gradients: str) -> tuple[Function, list, list[tf.Tensor]]:
    """Make a whole attention layer, including projections, from its input to its output."""
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
    """Time every kind and mode; columns `round`, `attention`, `mode` and `seconds`."""
    frame = benchmark.time_in_turn(contenders, repeats)
    frame[["attention", "mode"]] = frame.pop("contender").tolist()
    return frame[["round", "attention", "mode", "seconds"]]


def random(shape: list[int], seed: int) -> tf.Tensor:
    """Return normal numbers that depend only on shape and seed."""
    return tf.random.stateless_normal(shape, [seed, 0])


if __name__ == "__main__":
    main()
