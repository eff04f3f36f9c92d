"""Time a scan of the receptive field with full and with spliced passes, and compare their results.

    python benchmarks/receptive_field.py --preset enformer --length 196608 --repeats 3

Both predict the same sequence and its mutations, in alternation; the result is their ratio within a
round.
"""

from __future__ import annotations

import argparse

import benchmark
import numpy as np

from senformer.config import BIN_SIZE_BP, preset
from senformer.evaluation.predictions import predictor
from senformer.experiments.receptive_field.passes import (
    PredictVariants,
    Variants,
    full_passes,
    spliced_passes,
)
from senformer.experiments.receptive_field.scan import mutation_positions_bp
from senformer.model.enformer import Enformer
from senformer.report.benchmark_tables import contender_ratios

HEAD = "human"


def main() -> None:
    """Parse the options, compare and time both passes, and write and print the result."""
    parser = benchmark.make_parser(__doc__, repeats=3)
    parser.add_argument("--preset", default="enformer")
    parser.add_argument("--length", type=int, required=True, help="sequence length in bp")
    parser.add_argument("--positions", type=int, default=9, help="number of mutations")
    options = parser.parse_args()
    model = make_model(options)
    variants = make_variants(options)
    passes: dict[str, PredictVariants] = {
        "full passes": full_passes(predictor(model, HEAD)),
        "spliced passes": spliced_passes(model, HEAD),
    }
    full, spliced = (predict(variants) for predict in passes.values())
    difference = float(np.abs(full - spliced).max() / np.abs(full).max())
    print(f"largest difference over largest prediction: {difference:.1e}")
    contenders = {name: lambda p=predict: p(variants) for name, predict in passes.items()}
    frame = benchmark.time_in_turn(contenders, options.repeats).assign(
        preset=options.preset,
        sequence_length_bp=options.length,
        num_positions=options.positions,
        relative_difference=difference,
    )
    name = f"receptive_field_{options.preset}_{options.length}bp"
    benchmark.write(frame, name, options, data="random sequence")
    print(contender_ratios({"scan": frame}).to_string(index=False))


def make_model(options: argparse.Namespace) -> Enformer:
    """Make a model whose attention has an effect; its output layer is zero initially."""
    config = preset(options.preset)
    tokens = options.length // BIN_SIZE_BP
    model = Enformer(config.replace(target_length=min(config.target_length, tokens)))
    random = np.random.default_rng(0)
    for block in model.transformer:
        weights = block.attention.output.w
        weights.assign(random.normal(size=weights.shape, scale=weights.shape[0] ** -0.5))
    return model


def make_variants(options: argparse.Namespace) -> Variants:
    """Make a random sequence with mutations at evenly spaced positions."""
    bases = np.random.default_rng(0).integers(4, size=options.length)
    sequence = np.eye(4, dtype=np.float32)[bases]
    positions = mutation_positions_bp(options.length, options.positions)
    return Variants(sequence, positions, np.roll(sequence[positions], 1, axis=-1))


if __name__ == "__main__":
    main()
