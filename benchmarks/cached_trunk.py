"""Time training steps with tokens that a frozen trunk computes, and with kept tokens.

    python benchmarks/cached_trunk.py --preset senformer_tiny --length 32768 --repeats 30

Both alternate in one process; the result is their ratio within a round. This benchmark reads kept
tokens from memory; training reads them from a file.
"""

from __future__ import annotations

import benchmark
import tensorflow as tf

from senformer.config import BIN_SIZE_BP, preset
from senformer.model.enformer import Enformer
from senformer.report.benchmark_tables import contender_ratios
from senformer.training import train_step

HEAD = "human"


def main() -> None:
    """Parse the options, time both kinds of steps, and write and print the result."""
    parser = benchmark.make_parser(__doc__, repeats=30)
    parser.add_argument("--preset", default="senformer_tiny")
    parser.add_argument("--length", type=int, default=32_768, help="sequence length in bp")
    options = parser.parse_args()
    config = preset(options.preset, target_length=options.length // BIN_SIZE_BP)
    model = Enformer(config)
    optimizer = train_step.make_optimizer(model, "attention", 1e-4)
    sequence = benchmark.random_sequence(options.length)
    target = tf.random.Generator.from_seed(1).uniform(
        [1, config.target_length, config.tracks[HEAD]]
    )
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
    frame = benchmark.time_in_turn(contenders, options.repeats).assign(
        preset=options.preset, sequence_length_bp=options.length
    )
    benchmark.write(frame, f"cached_trunk_{options.preset}", options, data="random sequence")
    print(contender_ratios({"training step": frame}).to_string(index=False))


if __name__ == "__main__":
    main()
