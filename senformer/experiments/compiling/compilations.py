"""Compile training steps for GPUs: their memory, kernels and least time, one row per GPU.

Nothing runs: the peak is the memory that the compiler plans, and the least time follows from the
card's data sheet.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Self

import pandas as pd
from pydantic import Field, model_validator
from tqdm import tqdm

from senformer.config import PositiveNumber, accept_only
from senformer.experiments import provenance
from senformer.experiments.compiling import program_costs
from senformer.experiments.compiling.cards import LAUNCH_SECONDS, Card, load_card, product_tflops
from senformer.experiments.memory_and_time import rows
from senformer.experiments.memory_and_time.grid import Measurement
from senformer.experiments.memory_and_time.measurements import BYTES_PER_GB
from senformer.experiments.memory_and_time.rows import Row, StepRow

Export = Callable[[Measurement, Path], str]
"""Write a step's program to a file; return an error message, or an empty string."""

COMPILER = "SENFORMER_GPU_COMPILER"
"""Environment variable with the path of the compiler's Python; default: `make gpu-compiler`."""

_COMPILER_PYTHON = Path(__file__).resolve().parents[3] / ".gpu-compiler" / "bin" / "python"
_COMPILER_SCRIPT = Path(__file__).with_name("gpu_compiler.py")
_EXPORT_MODULE = "senformer.experiments.compiling.export"

LEAST_TIMES = ("operations_seconds", "bytes_seconds", "launches_seconds", "least_seconds")
"""Columns with the least times by a card's data sheet; the last is the longest of the others."""

_Gigabytes = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
_Count = Annotated[int, Field(ge=0, strict=True)]


class CompiledRow(StepRow):
    """A training step that was compiled for a card; its counts describe the program.

    Attributes:
        device: Name of the card, a part of the row's file name.
        status: `compiled`, `out_of_memory` if the peak exceeds the card's memory, or `failed`.
            Only `failed` has no numbers.
        peak_memory_gb: Memory that the compiler plans, with the program's constants.
        argument_gb: Memory of the program's arguments.
        temporary_gb: Memory of arrays that exist only within a step.
        kernels: Kernels that a step starts.
        loop_turns: Turns of all loops.
        operations: Multiplications and additions of products and convolutions.
        bytes_moved: Bytes that the kernels read and write.
        libraries: Versions of TensorFlow and the compiler.
    """

    device: Annotated[str, Field(pattern=r"^[^/]+$")]
    status: Annotated[str, accept_only(["compiled", "out_of_memory", "failed"])]
    peak_memory_gb: PositiveNumber | None = None
    argument_gb: _Gigabytes | None = None
    temporary_gb: _Gigabytes | None = None
    kernels: _Count | None = None
    loop_turns: _Count | None = None
    operations: _Count | None = None
    bytes_moved: _Count | None = None
    libraries: str | None = None

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        self.check_numbers(NUMBERS, ("compiled", "out_of_memory"))
        return self


NUMBERS = tuple(
    name for name in CompiledRow.model_fields if name not in {*StepRow.model_fields, "libraries"}
)
"""Columns with the counts of a program."""

COLUMNS = (*CompiledRow.model_fields, *LEAST_TIMES)
"""Columns of a row with its least times, in order."""


def compile_all(
    measurements: Iterable[Measurement], card_names: Sequence[str], folder: str | Path
) -> pd.DataFrame:
    """Compile training steps for each card, except those that `folder` already has.

    Args:
        measurements: The steps, for instance from `grid.grid`.
        card_names: Names of the GPUs for `cards.load_card`.
        folder: Folder of one JSON file per step and card, which this function creates if needed.

    Returns:
        One row per step and card, with the columns of `CompiledRow`, `LEAST_TIMES` and
        `describe_cards`.

    Raises:
        ValueError: If a card is unknown.
        FileNotFoundError: If a step has to be compiled and there is no compiler.
    """
    cards = [load_card(name) for name in card_names]
    compiled = []
    progress = tqdm(list(measurements), desc="compiling", unit="step", disable=not cards)
    for measurement in progress:
        progress.set_postfix_str(measurement.name)
        compiled += compile_once(measurement, cards, folder)
    return describe_cards(pd.DataFrame(compiled, columns=None if compiled else COLUMNS), cards)


def describe_cards(compiled: pd.DataFrame, cards: Sequence[Card]) -> pd.DataFrame:
    """Add the columns `device_label` and `device_memory_gb` to rows.

    Args:
        compiled: Rows with the column `device`.
        cards: The cards in that column.
    """
    labels = {card.name: card.label for card in cards}
    memory_gb = {card.name: card.memory_gb for card in cards}
    return compiled.assign(
        device_label=compiled["device"].map(labels),
        device_memory_gb=compiled["device"].map(memory_gb),
    )


def compile_once(
    measurement: Measurement,
    cards: Sequence[Card],
    folder: str | Path | None,
    *,
    export_step: Export | None = None,
) -> list[Row]:
    """Return the rows of a step from `folder`, or compile it and write them.

    Args:
        measurement: The step; its number of timed steps and its memory limit are ignored.
        cards: The GPUs.
        folder: Folder of the rows, or None to write no rows.
        export_step: Writes the program; by default the step of this package.
    """
    step = dict(_compiled_step(measurement))
    compiled: dict[str, Row] = {}
    if folder is not None:
        for card in cards:
            path = row_file(measurement, card.name, folder)
            row = rows.read(path, CompiledRow, step | {"device": card.name})
            if row is not None:
                compiled[card.name] = row
    missing = [card for card in cards if card.name not in compiled]
    if missing:
        compiler_python()  # fail before an export of half a minute
        with tempfile.TemporaryDirectory() as temporary:
            program = Path(temporary) / "step.mlir"
            failure = (export_step or _export_in_child)(measurement, program)
            for card in missing:
                numbers = _failed_row(failure) if failure else compile_program(program, card)
                named = step | {"device": card.name} | provenance.origin()
                row = CompiledRow(**named, **numbers).model_dump()
                compiled[card.name] = row
                if folder is not None:
                    rows.write(row_file(measurement, card.name, folder), row)
    return [compiled[card.name] | least_times(compiled[card.name], card) for card in cards]


def row_file(measurement: Measurement, device: str, folder: str | Path) -> Path:
    """Return the path of the row of a step and a card."""
    return Path(folder) / f"{_compiled_step(measurement).name}_{device}.json"


def _compiled_step(measurement: Measurement) -> Measurement:
    return measurement.replace(steps=0, budget_gb=None)


def least_times(row: Row, card: Card) -> Row:
    """Compute the least time of a step on a card from its counts and the card's data sheet.

    Rows on disk do not contain these times, so a corrected rate needs no compiler.

    Args:
        row: A row with `status`, `compute_dtype` and `NUMBERS`.
        card: The GPU.

    Returns:
        `LEAST_TIMES` in seconds; None for a step that failed.
    """
    if row["status"] == "failed":
        return dict.fromkeys(LEAST_TIMES)
    seconds = (
        row["operations"] / (product_tflops(card, row["compute_dtype"]) * 1e12),
        row["bytes_moved"] / (card.bandwidth_gb_per_second * BYTES_PER_GB),
        row["kernels"] * LAUNCH_SECONDS,
    )
    return dict(zip(LEAST_TIMES, (*seconds, max(seconds)), strict=True))


def export(measurement: Measurement, program: Path) -> None:
    """Write a step's program for a GPU to a file; this needs no compiler.

    Raises:
        ValueError: If the export fails; the message says why.
    """
    if failure := _export_in_child(measurement, program):
        raise ValueError(f"{measurement.name}: {failure}")


def _export_in_child(measurement: Measurement, program: Path) -> str:
    argument = measurement.model_dump_json()
    return run_export([sys.executable, "-m", _EXPORT_MODULE, argument, str(program)])


def run_export(command: Sequence[str | Path]) -> str:
    """Run a command that exports a step; return an error message, or an empty string."""
    child = _run(command)
    return rows.last_error_line(child.stderr, child.returncode) if child.returncode else ""


def _run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def compile_program(program: Path, card: Card) -> Row:
    """Compile a program for a card in a process with the compiler's own Python.

    Args:
        program: StableHLO, from `export`.
        card: The GPU.

    Returns:
        `status`, `message`, `NUMBERS` and `libraries`.

    Raises:
        FileNotFoundError: If there is no compiler; the message says how to install it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        target, output = Path(temporary) / "target.txt", Path(temporary) / "program.txt"
        target.write_text(card.target)
        child = _run([compiler_python(), _COMPILER_SCRIPT, program, target, output])
        if child.returncode:
            return _failed_row(rows.last_error_line(child.stderr, child.returncode))
        memory, text = json.loads(child.stdout.splitlines()[-1]), output.read_text()
    # Constants are on the device too, but not in the compiler's peak.
    peak_gb = (memory["peak_bytes"] + program_costs.constant_bytes(text)) / BYTES_PER_GB
    fits = peak_gb <= card.memory_gb
    return {
        "status": "compiled" if fits else "out_of_memory",
        "message": "" if fits else f"{peak_gb:.1f} GB, {card.label} has {card.memory_gb:g}",
        "peak_memory_gb": peak_gb,
        "argument_gb": memory["argument_bytes"] / BYTES_PER_GB,
        "temporary_gb": memory["temporary_bytes"] / BYTES_PER_GB,
        **dataclasses.asdict(program_costs.count_costs(text)),
        "libraries": f"tensorflow {metadata.version('tensorflow')}, {memory['compiler']}",
    }


def _failed_row(message: str) -> Row:
    return {"status": "failed", "message": message}


def compiler_python() -> Path:
    """Return the Python of the compiler's environment.

    Raises:
        FileNotFoundError: If it is missing; the message says how to install it.
    """
    python = Path(os.environ.get(COMPILER) or _COMPILER_PYTHON)
    if not python.is_file():
        raise FileNotFoundError(
            f"no compiler for GPUs at {python}: `make gpu-compiler` installs it (5.5 GB)"
        )
    return python
