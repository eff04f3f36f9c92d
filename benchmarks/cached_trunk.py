"""What it is worth to keep a frozen trunk's tokens: training steps per second, with and without.

    python benchmarks/cached_trunk.py --preset senformer_tiny --length 32768 --repeats 30

Both take turns in one process; what counts is the ratio within a round. A token that is kept is
read from memory here, from a file in training.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd
import tensorflow as tf

from senformer import results, training
from senformer.benchmark_tables import spread
from senformer.config import BIN_SIZE_BP, preset
from senformer.enformer import Enformer

HEAD = "human"
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Parse, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="senformer_tiny")
    parser.add_argument("--length", type=int, default=32_768, help="sequence length in bp")
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    config = preset(options.preset, target_length=options.length // BIN_SIZE_BP)
    model = Enformer(config)
    optimizer = training.make_optimizer(model, "attention", 1e-4)
    random = tf.random.Generator.from_seed(0)
    bases = random.uniform([1, options.length], maxval=4, dtype=tf.int32)
    sequence = tf.one_hot(bases, 4)
    target = random.uniform([1, config.target_length, config.tracks[HEAD]])
    inputs = {"computed": sequence, "kept": tf.function(model.embed)(sequence)}
    steps = {
        name: training.make_train_step(
            model, optimizer, head=HEAD, trainable="attention", takes_tokens=name == "kept"
        )
        for name in inputs
    }
    rows = []
    for number in range(-1, options.repeats):  # a first round traces
        for name, step in steps.items():
            start = time.perf_counter()
            step(inputs[name], target, tf.constant([0, 0])).numpy()
            if number >= 0:
                seconds = time.perf_counter() - start
                rows.append({"round": number, "contender": name, "seconds": seconds})
    frame = pd.DataFrame(rows).assign(preset=options.preset, sequence_length_bp=options.length)
    times = frame.pivot(index="round", columns="contender", values="seconds")
    print(f"steps per second, kept over computed: {spread(times['computed'] / times['kept'])}")
    provenance = results.provenance(parameters=vars(options), seed=0, data="random sequence")
    print(results.write(frame, RESULTS / f"cached_trunk_{options.preset}.csv", provenance))


if __name__ == "__main__":
    main()
