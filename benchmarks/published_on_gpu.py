"""The study's own step on GPUs that are not there: its plain formulations, compiled whole.

    python benchmarks/published_on_gpu.py --device rtx6000 --lengths 196608 589824 --layers 1 11

Both models as the study's code ran them: the whole sequence at once, every activation kept, batch
norms by the batch, gradients left to TensorFlow. Rows are kept in a folder and not made again; all
of them are written to `benchmarks/results/published_on_gpu.csv`. That code started its operations
one by one. Compiled as a whole, operations are joined and arrays freed sooner: the study's runs
took at least as much.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import recording

from senformer.experiments.compiling import cards, compilations
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.study import claims

KINDS = ("dense", "bigbird")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", nargs="+", required=True, help="cards, as of senformer compile")
    parser.add_argument("--lengths", type=int, nargs="+", default=list(claims.SEQUENCE_LENGTHS_BP))
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 11])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--channels", type=int, default=1536)
    parser.add_argument("--rows", type=Path, default=Path("runs/published_on_gpu"))
    recording.add_option(parser)
    options = parser.parse_args()
    wanted = [cards.load(name) for name in options.device]
    compiled = []
    for measurement in measurements(options):
        compiled += compilations.compile_once(
            measurement, wanted, options.rows, export_step=export_in_a_new_process
        )
    frame = compilations.describe_cards(pd.DataFrame(compiled), wanted)
    recording.write(frame, "published_on_gpu", options, data="none: compiled, not run")
    print(frame[["attention", "sequence_length_bp", "device", "peak_memory_gb", "kernels"]])


def measurements(options: argparse.Namespace) -> Iterator[Measurement]:
    for layers, length, kind in itertools.product(options.layers, options.lengths, options.kinds):
        yield Measurement(
            attention=kind,
            num_transformer_layers=layers,
            channels=options.channels,
            sequence_length_bp=length,
            steps=0,
        )


def export_in_a_new_process(measurement: Measurement, program: Path) -> str:
    argument = json.dumps(dataclasses.asdict(measurement))
    return compilations.run_export([sys.executable, __file__, "--export", argument, str(program)])


def export(measurement: Measurement) -> str:
    """The step's program; TensorFlow is loaded where this runs, and nowhere else."""
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
