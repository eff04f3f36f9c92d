"""Attention, timed: forward and backward of every kind, alone and as a whole layer.

    python benchmarks/attention.py alone --tokens 1536 6144 --repeats 9
    python benchmarks/attention.py layer --tokens 1536 6144 --repeats 9

The study's sizes (1,536 channels, 8 heads, blocks of 64, float32, batch 1, no dropout) against a
plain formulation of BigBird and against `dense`. All contenders run in one process, in alternation,
and so does a plain matrix product; what counts is the ratio within a round. Each kind runs twice:
plain, as the study ran its models, and compiled by XLA. A layer's backward pass ends at its input;
`--gradients all` adds the gradients of its weights. `--kernels` is explained in `xla.py`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is first imported

import kernels
import numpy as np
import pandas as pd
import recording
import tensorflow as tf
from bigbird_baseline import PlainBigBird, plain_block_sparse_attention
from rounds import time_in_turn

from senformer.attention_kinds import KINDS
from senformer.config import BIN_SIZE_BP, ModelConfig
from senformer.model.attention.bigbird import block_sparse_attention
from senformer.model.attention.bigbird_relative import block_sparse_relative_attention
from senformer.model.attention.dense import relative_attention
from senformer.model.attention.layer import make_attention
from senformer.model.attention.random_blocks import random_blocks
from senformer.model.attention.tiled import tiled_relative_attention
from senformer.report.benchmark_tables import attention_ratios, shares_of_matrix_rate

BASELINE = "baseline"
CONFIG = ModelConfig()

# The least that a kind should be times as fast as another: (kind, other, tokens) -> ratio.
BARS = {
    "alone": {("bigbird", BASELINE, 1536): 2.0, ("bigbird", BASELINE, 6144): 2.0},
    "layer": {
        ("bigbird", BASELINE, 1536): 1.4,
        ("bigbird", BASELINE, 6144): 1.4,
        ("bigbird_relative", "dense", 1536): 1.3,
        ("bigbird_relative", "dense", 6144): 3.5,
        ("tiled", "dense", 1536): 1 / 1.3,
        ("tiled", "dense", 6144): 1.0,
    },
}

Function = Callable[..., tf.Tensor]


def main() -> None:
    """Parse, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["alone", "layer"])
    parser.add_argument("--tokens", type=int, nargs="+", default=[1536])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--kinds", nargs="+", default=[BASELINE, *KINDS])
    parser.add_argument("--modes", nargs="+", default=["plain", "xla"], choices=["plain", "xla"])
    parser.add_argument(
        "--gradients", default="input", choices=["all", "input"], help="of a layer: weights too?"
    )
    kernels.add_option(parser)
    recording.add_option(parser)
    options = parser.parse_args()
    kernels.start_with(options.kernels)
    frames = []
    for tokens in options.tokens:
        print(f"\n{options.part}, {tokens} tokens")
        frame = time_kinds(make_contenders(options, tokens), options.repeats).assign(
            tokens=tokens, sequence_length_bp=tokens * BIN_SIZE_BP
        )
        print(summary(frame).to_string(index=False), flush=True)
        if options.part == "alone":
            frame["needed_gflop"] = [needed_gflop(kind, tokens) for kind in frame["attention"]]
            print(shares_of_matrix_rate(frame).to_string(index=False), flush=True)
        frames.append(frame)
    weights = "_and_weights" if options.part == "layer" and options.gradients == "all" else ""
    table = pd.concat(frames).assign(part=options.part, gradients=options.gradients)
    name = f"attention_{options.part}{weights}"
    table = recording.write(table, name, options, data="random arrays")
    print(beside_bars(attention_ratios(table), options.part).to_string(index=False))


def make_contenders(
    options: argparse.Namespace, tokens: int
) -> dict[tuple[str, str], Callable[[], object]]:
    """For each kind and mode, forward and backward once."""
    make = alone if options.part == "alone" else layer
    contenders = {}
    for kind in options.kinds:
        function, watched, inputs = make(kind, tokens, options.gradients)
        upstream = random([*function(*inputs).shape], seed=9)
        for mode in options.modes:
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
    """Attention alone, from query, key and value (and relative key and biases) to its output."""
    del gradients
    heads, size, key_size = CONFIG.num_heads, CONFIG.value_size, CONFIG.key_size
    drawn = random_blocks(tokens, num_heads=heads)
    if kind in (BASELINE, "bigbird"):
        function = plain_block_sparse_attention if kind == BASELINE else block_sparse_attention
        shapes = [[1, heads, tokens, size]] * 3
        options = {"random_blocks": drawn, "block_size": CONFIG.block_size}
    else:
        function = {
            "dense": relative_attention,
            "tiled": tiled_relative_attention,
            "bigbird_relative": block_sparse_relative_attention,
        }[kind]
        shapes = [[1, heads, tokens, n] for n in (key_size, key_size, size)]
        shapes += [[heads, 2 * tokens - 1, key_size], *[[1, heads, 1, key_size]] * 2]
        is_sparse = kind == "bigbird_relative"
        options = {"random_blocks": drawn, "block_size": CONFIG.block_size} if is_sparse else {}
    inputs = [random(shape, seed) for seed, shape in enumerate(shapes)]
    inputs[0] *= key_size**-0.5
    return lambda *inputs: function(*inputs, **options), [], inputs


def layer(kind: str, tokens: int, gradients: str) -> tuple[Function, list, list[tf.Tensor]]:
    """A whole attention layer, projections included, from its input to its output."""
    config = CONFIG.replace(attention="bigbird" if kind == BASELINE else kind)
    make = PlainBigBird if kind == BASELINE else make_attention
    attention = make(config, 0, tf.random.Generator.from_seed(0), "attention")
    variables = list(attention.trainable_variables) if gradients == "all" else []
    return attention, variables, [random([1, tokens, config.channels], seed=1)]


def time_kinds(
    contenders: dict[tuple[str, str], Callable[[], object]], repeats: int
) -> pd.DataFrame:
    """`round`, `attention`, `mode`, `seconds` and `matrix_gflops` of every kind and mode."""
    frame = time_in_turn(contenders, repeats)
    kinds, modes = zip(*frame.pop("contender"), strict=True)
    frame.insert(1, "attention", kinds)
    frame.insert(2, "mode", modes)
    return frame


def needed_gflop(kind: str, tokens: int) -> float:
    """Operations of attention alone that the pattern needs, forward and backward.

    Two products forward (logits, output) and four backward, each over the pairs of query and key
    that meet; relative positions are a third and two more. What is computed again is not counted.
    """
    blocks = tokens // CONFIG.block_size
    row = 2 + 3 + CONFIG.num_random_blocks
    met = 2 * blocks + (blocks - 2) * row - 2  # two rows' windows hold an end
    sparse = kind in (BASELINE, "bigbird", "bigbird_relative")
    pairs = CONFIG.num_heads * (met * CONFIG.block_size**2 if sparse else tokens**2)
    if kind in (BASELINE, "bigbird"):
        return 6 * 2 * pairs * CONFIG.value_size / 1e9
    return 3 * 2 * pairs * (2 * CONFIG.key_size + CONFIG.value_size) / 1e9


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Median milliseconds of each contender, quartiles, and the least."""
    rows = []
    for (kind, mode), group in frame.groupby(["attention", "mode"], sort=False):
        low, median, high = np.percentile(group["seconds"], [25, 50, 75])
        rows.append(
            {
                "attention": kind,
                "mode": mode,
                "median_ms": round(median * 1e3, 1),
                "quartiles_ms": f"{low * 1e3:.1f} to {high * 1e3:.1f}",
                "least_ms": round(group["seconds"].min() * 1e3, 1),
            }
        )
    return pd.DataFrame(rows)


def beside_bars(ratios: pd.DataFrame, part: str) -> pd.DataFrame:
    """Ratios of `attention_ratios`, each with its bar where there is one."""
    pairs = [(row.kind, row.as_fast_as, row.tokens) for row in ratios.itertuples()]
    return ratios.assign(bar=[round(BARS[part].get(pair, np.nan), 2) for pair in pairs])


def random(shape: list[int], seed: int) -> tf.Tensor:
    """The same normal numbers for the same seed."""
    return tf.random.stateless_normal(shape, [seed, 0])


if __name__ == "__main__":
    main()
