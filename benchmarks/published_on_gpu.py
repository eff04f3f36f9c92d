"""Compile the study's own training step for GPUs that are not present.

    python benchmarks/published_on_gpu.py --device rtx6000 --lengths 196608 589824 --layers 1 11

Both models are computed as in the study's code: the whole sequence at once, all residuals kept,
batch norms with the statistics of the batch, gradients by TensorFlow. Finished rows stay in a
folder and are not computed again; all rows go to `benchmarks/results/published_on_gpu.csv`. The
study started its operations one by one. Compilation as a whole merges operations and frees arrays
sooner, so the study's runs took at least as much memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import benchmark
import pandas as pd

from senformer.experiments.compiling import cards, compilations
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.study import claims

KINDS = ("dense", "bigbird")


def main() -> None:
    """Parse the options, compile all steps for all cards, and write and print the result."""
    parser = benchmark.make_parser(__doc__)
    parser.add_argument("--device", nargs="+", required=True, help="cards of senformer compile")
    parser.add_argument("--lengths", type=int, nargs="+", default=list(claims.SEQUENCE_LENGTHS_BP))
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 11])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--channels", type=int, default=1536)
    parser.add_argument("--rows", type=Path, default=Path("runs/published_on_gpu"))
    options = parser.parse_args()
    wanted = [cards.load_card(name) for name in options.device]
    compiled = []
    for measurement in measurements(options):
        compiled += compilations.compile_once(
            measurement, wanted, options.rows, export_step=export_in_a_new_process
        )
    frame = compilations.describe_cards(pd.DataFrame(compiled), wanted)
    benchmark.write(frame, "published_on_gpu", options, data="none: compiled, not run")
    print(frame[["attention", "sequence_length_bp", "device", "peak_memory_gb", "kernels"]])


def measurements(options: argparse.Namespace) -> Iterator[Measurement]:
    """Yield a measurement for each number of layers, length and kind."""
    for layers, length, kind in itertools.product(options.layers, options.lengths, options.kinds):
        yield Measurement(
            attention=kind,
            num_transformer_layers=layers,
            channels=options.channels,
            sequence_length_bp=length,
            steps=0,
        )


def export_in_a_new_process(measurement: Measurement, program: Path) -> str:
    """Export a step in a new process; return an error message, or an empty string."""
    argument = measurement.model_dump_json()
    return compilations.run_export([sys.executable, __file__, "--export", argument, str(program)])


def export(measurement: Measurement) -> str:
    """Return the step's program as text; only this function loads TensorFlow."""
    from bigbird_baseline import PlainBigBird
    from published_enformer import published_train_step

    from senformer.experiments.compiling.export import program_of, step_arguments
    from senformer.experiments.memory_and_time.measurements import HEAD
    from senformer.model.compute import device
    from senformer.model.enformer import Enformer

    with device.traced_for("gpu"):
        model = Enformer(measurement.config)
        if measurement.attention == "bigbird":
            for block in model.transformer:
                block.attention.__class__ = PlainBigBird  # the same variables, the plain function
        step = published_train_step(model, head=HEAD)
        return program_of(step, step_arguments(measurement))


if __name__ == "__main__":
    if sys.argv[1] == "--export":
        Path(sys.argv[3]).write_text(export(Measurement(**json.loads(sys.argv[2]))))
    else:
        main()
