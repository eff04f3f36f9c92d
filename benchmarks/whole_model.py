"""Whole model, timed: a training step and a prediction, against Enformer as published.

    python benchmarks/whole_model.py train   --length 131072 --repeats 3
    python benchmarks/whole_model.py predict --length 196608 --repeats 3

All contenders run in one process, in alternation; what counts is the ratio within a round. The
machine's matrix-product rate is measured in every round too. Memory is not measured here but by
`senformer measure`, in a process of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import tensorflow as tf
from published_enformer import flops_of_trunk, published_predict, published_train_step

from senformer import results, training
from senformer.config import BIN_SIZE_BP, preset
from senformer.enformer import Enformer

BASELINE = "dense, as published"
KINDS = ("dense", "tiled", "bigbird", "bigbird_relative")
HEAD = "human"
MATRIX_SIZE = 2048
RESULTS = Path(__file__).parent / "results"

Contender = Callable[[], object]


def main() -> None:
    """Parse, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "predict", "trunk"])
    parser.add_argument("--length", type=int, required=True, help="sequence length in bp")
    parser.add_argument("--layers", type=int, default=11)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    options = parser.parse_args()
    make = {"train": train_contenders, "predict": predict_contenders, "trunk": trunk_contenders}
    contenders = make[options.what](options)
    rows = time_in_turn(contenders, options.repeats)
    frame = pd.DataFrame(rows).assign(
        task=options.what,
        sequence_length_bp=options.length,
        num_transformer_layers=options.layers,
        device=results.device(),
    )
    print(summary(frame).to_string(index=False))
    path = RESULTS / f"whole_model_{options.what}_{options.length}bp_{options.layers}layers.csv"
    results.write(
        frame, path, results.provenance(parameters=vars(options), seed=0, data="random sequence")
    )
    print(path)


def train_contenders(options: argparse.Namespace) -> dict[str, Contender]:
    """One training step of each, attention trained, batch 1."""
    contenders = {}
    for name in (BASELINE, *options.kinds):
        model = make_model(name, options)
        if name == BASELINE:
            step = published_train_step(model, head=HEAD)
        else:
            optimizer = training.make_optimizer(model, "attention", 1e-4)
            step = training.make_train_step(model, optimizer, head=HEAD, trainable="attention")
        target = tf.random.Generator.from_seed(1).uniform(
            [1, model.config.target_length, model.config.tracks[HEAD]]
        )
        arguments = (random_sequence(options.length), target, tf.constant([0, 0]))
        contenders[name] = lambda step=step, arguments=arguments: step(*arguments).numpy()
    return contenders


def predict_contenders(options: argparse.Namespace) -> dict[str, Contender]:
    """A prediction of both heads by each, batch 1."""
    contenders = {}
    for name in (BASELINE, *options.kinds):
        model = make_model(name, options)
        predict = published_predict(model) if name == BASELINE else model.predict_on_batch
        sequence = random_sequence(options.length)
        contenders[name] = lambda predict=predict, x=sequence: predict(x)[HEAD].numpy()
    return contenders


def trunk_contenders(options: argparse.Namespace) -> dict[str, Contender]:
    """Stem and tower alone, for their share of the machine's rate."""
    model = make_model("dense", options)
    embed = tf.function(lambda sequence: model.embed(sequence))
    sequence = random_sequence(options.length)
    channels = (model.config.stem_channels, *model.config.tower_channels)
    print(f"stem and tower: {flops_of_trunk(channels, options.length) / 1e9:.0f} GFLOP")
    return {"stem and tower, in windows": lambda: embed(sequence).numpy()}


def time_in_turn(contenders: dict[str, Contender], repeats: int) -> list[dict]:
    """Rounds of every contender once, after a first round that compiles."""
    for contender in contenders.values():
        contender()
    rows = []
    for round_number in range(repeats):
        rate = matrix_rate_gflops()
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender()
            seconds = time.perf_counter() - start
            rows.append(
                {"round": round_number, "contender": name, "seconds": seconds, "gflops": rate}
            )
            print(f"round {round_number}: {name}: {seconds:.2f} s", flush=True)
    return rows


def matrix_rate_gflops() -> float:
    """What the machine does on a plain product of square matrices."""
    a = tf.random.Generator.from_seed(0).normal([MATRIX_SIZE, MATRIX_SIZE])
    product = tf.function(lambda a: a @ a)
    product(a)
    repeats = 8
    start = time.perf_counter()
    for _ in range(repeats):
        product(a)
    return repeats * 2 * MATRIX_SIZE**3 / (time.perf_counter() - start) / 1e9


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Median and range of each contender, and how many times as fast as the first one it is."""
    times = frame.pivot(index="round", columns="contender", values="seconds")
    reference = frame["contender"].iloc[0]
    speedup = times.rdiv(times[reference], axis=0)
    return pd.DataFrame(
        {
            "contender": times.columns,
            "median_seconds": times.median().round(2).to_numpy(),
            "times_as_fast": speedup.median().round(2).to_numpy(),
            "least": speedup.min().round(2).to_numpy(),
            "most": speedup.max().round(2).to_numpy(),
            "matrix_gflops": round(frame["gflops"].median(), 1),
        }
    )


def make_model(name: str, options: argparse.Namespace) -> Enformer:
    """A model of the study's size with one kind of attention."""
    kind = "dense" if name == BASELINE else name
    tokens = options.length // BIN_SIZE_BP
    config = preset("enformer", attention=kind, num_transformer_layers=options.layers)
    return Enformer(config.replace(target_length=min(config.target_length, tokens)))


def random_sequence(length_bp: int) -> tf.Tensor:
    """One random sequence, `[1, length, 4]`."""
    bases = tf.random.Generator.from_seed(0).uniform([1, length_bp], maxval=4, dtype=tf.int32)
    return tf.one_hot(bases, 4)


if __name__ == "__main__":
    main()
