"""What it is worth to keep a frozen trunk's tokens: training steps per second, with and without.

    python benchmarks/cached_trunk.py --preset senformer_tiny --length 32768 --repeats 30

Both take turns in one process; what counts is the ratio within a round. A token that is kept is
read from memory here, from a file in training.
"""

from __future__ import annotations

import argparse

import recording
import tensorflow as tf
from rounds import time_in_turn

from senformer.config import BIN_SIZE_BP, preset
from senformer.model.enformer import Enformer
from senformer.report.benchmark_tables import contender_ratios
from senformer.training import train_step

HEAD = "human"


def main() -> None:
    """Parse, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="senformer_tiny")
    parser.add_argument("--length", type=int, default=32_768, help="sequence length in bp")
    parser.add_argument("--repeats", type=int, default=30)
    recording.add_option(parser)
    options = parser.parse_args()
    config = preset(options.preset, target_length=options.length // BIN_SIZE_BP)
    model = Enformer(config)
    optimizer = train_step.make_optimizer(model, "attention", 1e-4)
    random = tf.random.Generator.from_seed(0)
    bases = random.uniform([1, options.length], maxval=4, dtype=tf.int32)
    sequence = tf.one_hot(bases, 4)
    target = random.uniform([1, config.target_length, config.tracks[HEAD]])
    inputs = {"computed": sequence, "kept": tf.function(model.embed)(sequence)}
    steps = {
        name: train_step.make_train_step(
            model, optimizer, head=HEAD, trainable="attention", takes_tokens=name == "kept"
        )
        for name in inputs
    }
    contenders = {
        name: lambda step=step, x=inputs[name]: step(x, target, tf.constant([0, 0])).numpy()
        for name, step in steps.items()
    }
    frame = time_in_turn(contenders, options.repeats).assign(
        preset=options.preset, sequence_length_bp=options.length
    )
    recording.write(frame, f"cached_trunk_{options.preset}", options, data="random sequence")
    print(contender_ratios({"training step": frame}).to_string(index=False))


if __name__ == "__main__":
    main()
