"""Where a benchmark's rows go, and what they say of themselves."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from senformer.experiments import provenance
from senformer.report import results

FOLDER = Path(__file__).parent / "results"


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option `--folder`, for `write`."""
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the results go")


def write(frame: pd.DataFrame, name: str, options: argparse.Namespace, data: str) -> None:
    """Write the rows, each with its device, as `<name>.csv`, and print where.

    Args:
        frame: One row for each measurement.
        name: Of the benchmark and its sizes.
        options: What the script was called with, `folder` among it.
        data: What was computed on, in words.
    """
    parameters = {name: value for name, value in vars(options).items() if name != "folder"}
    if "pytorch" in parameters:  # where another environment is kept means nothing elsewhere
        parameters["pytorch"] = bool(parameters["pytorch"])
    described = provenance.describe_run(parameters=parameters, seed=0, data=data)
    path = options.folder / f"{name}.csv"
    if "device" not in frame:  # what was compiled for another says so itself
        frame = frame.assign(device=provenance.device())
    print(results.write(frame, path, described))
