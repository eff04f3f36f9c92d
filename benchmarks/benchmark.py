"""Share the options, the timing and the results of all benchmarks."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from senformer.experiments import provenance
from senformer.report import results

FOLDER = Path(__file__).parent / "results"


def make_parser(description: str, repeats: int | None = None) -> argparse.ArgumentParser:
    """Make a parser with `--folder`, and with `--repeats` if a default is given.

    Args:
        description: Docstring of the script; its first line becomes the description.
        repeats: Default number of rounds.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    add_folder(parser)
    if repeats:
        parser.add_argument("--repeats", type=int, default=repeats, help="number of rounds")
    return parser


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the option `--folder`, which `write` reads."""
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of the results")


def time_in_turn(contenders: Mapping[Any, Callable[[], object]], repeats: int) -> pd.DataFrame:
    """Time all contenders in each of several rounds, after one call of each to compile it.

    The speed of a machine drifts; the ratio of two times in one round does not.

    Args:
        contenders: Functions to time, by name. A call returns when its work is complete.
        repeats: Number of rounds.

    Returns:
        One row per round and contender, with the columns `round`, `contender` and `seconds`.
    """
    for contender in contenders.values():
        contender()
    rows = []
    for number in tqdm(range(repeats), desc="timing", unit="round"):
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender()
            rows.append((number, name, time.perf_counter() - start))
    return pd.DataFrame(rows, columns=["round", "contender", "seconds"])


def write(frame: pd.DataFrame, name: str, options: argparse.Namespace, data: str) -> None:
    """Write rows with their device and provenance to `<folder>/<name>.csv`, and print the path.

    Args:
        frame: One row per measurement.
        name: Name of the benchmark and its sizes.
        options: Options of the script.
        data: Description of the input data.
    """
    parameters = {name: value for name, value in vars(options).items() if name != "folder"}
    if "pytorch" in parameters:  # the path of another environment has no meaning elsewhere
        parameters["pytorch"] = bool(parameters["pytorch"])
    described = provenance.describe_run(parameters=parameters, seed=0, data=data)
    if "device" not in frame:  # compiled rows name the device that they were compiled for
        frame = frame.assign(device=provenance.device())
    print(results.write(frame, options.folder / f"{name}.csv", described))


def random_sequence(length_bp: int) -> Any:
    """Return a random one-hot sequence as a tensor, `[1, length, 4]`."""
    import tensorflow as tf  # slow to load, and not needed by scripts that only export programs

    bases = tf.random.Generator.from_seed(0).uniform([1, length_bp], maxval=4, dtype=tf.int32)
    return tf.one_hot(bases, 4)
