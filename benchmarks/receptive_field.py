"""A scan of the receptive field, timed: full passes against spliced ones, and how they differ.

    python benchmarks/receptive_field.py --preset enformer --length 196608 --repeats 3

Both predict the same sequence and its mutations in turn. Compare the ratio within a round.
"""

from __future__ import annotations

import argparse

import numpy as np
import recording
from rounds import time_in_turn

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
FULL = "full passes"
SPLICED = "spliced passes"


def main() -> None:
    """Parse, compare, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="enformer")
    parser.add_argument("--length", type=int, required=True, help="sequence length in bp")
    parser.add_argument("--positions", type=int, default=9, help="mutations of the sequence")
    parser.add_argument("--repeats", type=int, default=3)
    recording.add_option(parser)
    options = parser.parse_args()
    model = make_model(options)
    variants = make_variants(options)
    ways: dict[str, PredictVariants] = {
        FULL: full_passes(predictor(model, HEAD)),
        SPLICED: spliced_passes(model, HEAD),
    }
    difference = relative_difference(*(predict(variants) for predict in ways.values()))
    contenders = {name: lambda p=predict: p(variants) for name, predict in ways.items()}
    frame = time_in_turn(contenders, options.repeats).assign(
        preset=options.preset,
        sequence_length_bp=options.length,
        num_positions=options.positions,
        relative_difference=difference,
    )
    print(f"largest difference over largest prediction: {difference:.1e}")
    name = f"receptive_field_{options.preset}_{options.length}bp"
    recording.write(frame, name, options, data="random sequence")
    print(contender_ratios({"scan": frame}).to_string(index=False))


def make_model(options: argparse.Namespace) -> Enformer:
    """A model with an attention that does something: its output starts at zero otherwise."""
    config = preset(options.preset)
    tokens = options.length // BIN_SIZE_BP
    model = Enformer(config.replace(target_length=min(config.target_length, tokens)))
    random = np.random.default_rng(0)
    for block in model.transformer:
        weights = block.attention.output.w
        weights.assign(random.normal(size=weights.shape, scale=weights.shape[0] ** -0.5))
    return model


def make_variants(options: argparse.Namespace) -> Variants:
    """A random sequence, mutated at even positions."""
    bases = np.random.default_rng(0).integers(4, size=options.length)
    sequence = np.eye(4, dtype=np.float32)[bases]
    positions = mutation_positions_bp(options.length, options.positions)
    return Variants(sequence, positions, np.roll(sequence[positions], 1, axis=-1))


def relative_difference(full: np.ndarray, spliced: np.ndarray) -> float:
    """The largest difference over the largest prediction."""
    return float(np.abs(full - spliced).max() / np.abs(full).max())


if __name__ == "__main__":
    main()
