"""Where a benchmark's rows go, and what they say of themselves."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from senformer.experiments import provenance
from senformer.report import results

FOLDER = Path(__file__).parent / "results"

_OF_THIS_MACHINE = ("folder", "only")


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option `--folder`, for `write`."""
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the results go")


def write(frame: pd.DataFrame, name: str, options: argparse.Namespace, data: str) -> pd.DataFrame:
    """Write the rows as `<name>_<kernels>.csv`, print where.

    Args:
        frame: One row for each measurement.
        name: Of the benchmark and its sizes.
        options: What the script was called with, `kernels` and `folder` among it.
        data: What was computed on, in words.

    Returns:
        The rows with `kernels` and `device`.
    """
    rows = frame.assign(kernels=options.kernels, device=provenance.device())
    parameters = {k: v for k, v in vars(options).items() if k not in _OF_THIS_MACHINE}
    if "pytorch" in parameters:  # where another environment is kept means nothing elsewhere
        parameters["pytorch"] = bool(parameters["pytorch"])
    path = options.folder / f"{name}_{options.kernels}.csv"
    results.write(rows, path, provenance.describe_run(parameters=parameters, seed=0, data=data))
    print(path)
    return rows
