"""Memory, kernels and least time of a training step on a GPU that is not there, a row for each.

The compiler's account is not a run: its peak is what the program would allocate, its least time
what the card's data sheet allows.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from senformer.experiments import provenance
from senformer.experiments.compiling import cards, program_costs
from senformer.experiments.compiling.cards import LAUNCH_SECONDS, Card, product_tflops
from senformer.experiments.memory_and_time import rows
from senformer.experiments.memory_and_time.grid import Measurement, grid
from senformer.experiments.memory_and_time.measurements import BYTES_PER_GB
from senformer.experiments.memory_and_time.rows import Row

Export = Callable[[Measurement, Path], str]
"""Writes a step's program to a file; gives what went wrong, or nothing."""

COMPILER = "SENFORMER_GPU_COMPILER"
"""Variable that names the compiler's Python, where it is not the one of `make gpu-compiler`."""

_COMPILER_PYTHON = Path(__file__).resolve().parents[3] / ".gpu-compiler" / "bin" / "python"
_COMPILER_SCRIPT = Path(__file__).with_name("gpu_compiler.py")
_EXPORT_MODULE = "senformer.experiments.compiling.export"

NUMBERS = (
    *("peak_memory_gb", "argument_gb", "temporary_gb", "kernels", "loop_turns"),
    *("operations", "bytes_moved"),
)
"""What is counted of a program, by column."""

LEAST_TIMES = ("operations_seconds", "bytes_seconds", "launches_seconds", "least_seconds")
"""What a card's data sheet makes of the counts, by column; the last is the longest of the three."""

COLUMNS = (
    *(field.name for field in dataclasses.fields(Measurement)),
    *("device", "status", "message", *NUMBERS, *LEAST_TIMES, "libraries", "commit", "time_utc"),
)
"""Of a row, in order."""


def compile_grid(
    card_names: Sequence[str], asked: Mapping[str, Any], folder: str | Path
) -> pd.DataFrame:
    """`compile_all` of what a profile asks for; it may name no card, and then no grid either.

    Args:
        card_names: As of `cards.load`.
        asked: Arguments of `grid.grid`.
        folder: Where the rows are kept.

    Raises:
        ValueError: If a card is unknown or a step is not possible.
    """
    named = [cards.load(name) for name in card_names]
    return compile_all(grid(**asked) if named else [], named, folder)


def compile_all(
    measurements: Iterable[Measurement], cards: Sequence[Card], folder: str | Path
) -> pd.DataFrame:
    """Compile one step after the other for each card, and skip what `folder` already holds.

    Args:
        measurements: Which steps, for instance from `grid.grid`.
        cards: For which GPUs.
        folder: Where a JSON file per step and card is kept; made when missing.

    Returns:
        One row per step and card: the fields of `Measurement`, `device`, `status` (`compiled`,
        `out_of_memory` where the peak is more than the card has, or `failed`), the numbers of
        `NUMBERS` and `LEAST_TIMES`, `message`, `libraries`, and when and from which commit each was
        compiled.

    Raises:
        FileNotFoundError: If there is work to do and no compiler.
    """
    compiled = []
    progress = tqdm(list(measurements), desc="compiling", unit="step", disable=not cards)
    for measurement in progress:
        progress.set_postfix_str(measurement.name)
        compiled += compile_once(measurement, cards, folder)
    return describe_cards(pd.DataFrame(compiled, columns=None if compiled else COLUMNS), cards)


def describe_cards(compiled: pd.DataFrame, cards: Sequence[Card]) -> pd.DataFrame:
    """Rows with what a reader knows their card by: `device_label`, `device_memory_gb`.

    Args:
        compiled: Rows with the column `device`.
        cards: Those that the column names.
    """
    labels = {c.name: c.label for c in cards}
    memory_gb = {c.name: c.memory_gb for c in cards}
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
    """Compile for the cards of which `folder` holds no row; the rows of `compile_all`.

    Args:
        measurement: The step.
        cards: For which GPUs.
        folder: Where rows are kept, or none.
        export_step: Writes the program; by default this package's step.
    """
    asked = {c.name: _asked(measurement) | {"device": c.name} for c in cards}
    kept = {c.name: _kept(measurement, asked[c.name], folder) for c in cards}
    missing = [c for c in cards if kept[c.name] is None]
    if missing:
        compiler_python()  # before an export of half a minute
        with tempfile.TemporaryDirectory() as temporary:
            program = Path(temporary) / "step.mlir"
            failure = (export_step or _export_in_a_new_process)(measurement, program)
            for c in missing:
                numbers = _failed(failure) if failure else compile_program(program, c)
                row = kept[c.name] = asked[c.name] | numbers | provenance.origin()
                if folder is not None:
                    rows.write(row_file(measurement, c.name, folder), row)
    return [
        row | least_times(row, c)
        for c, row in zip(cards, kept.values(), strict=True)
        if row is not None
    ]


def least_times(row: Row, card: Card) -> Row:
    """What a step takes on a card at least, by the card's data sheet and what was counted of it.

    They are worked out when a row is read, so that a rate which is put right needs no compiler.

    Args:
        row: With `NUMBERS` and `compute_dtype`; of a step that failed the numbers are none.
        card: The GPU.

    Returns:
        `LEAST_TIMES`, in seconds.
    """
    if row["status"] == "failed":
        return dict.fromkeys(LEAST_TIMES)
    operations_per_second = product_tflops(card, row["compute_dtype"]) * 1e12
    bytes_per_second = card.bandwidth_gb_per_second * BYTES_PER_GB
    seconds = (
        row["operations"] / operations_per_second,
        row["bytes_moved"] / bytes_per_second,
        row["kernels"] * LAUNCH_SECONDS,
    )
    return dict(zip(LEAST_TIMES, (*seconds, max(seconds)), strict=True))


def export(measurement: Measurement, program: Path) -> None:
    """Write a step as the program that a GPU would run; it needs no compiler.

    Raises:
        ValueError: If it cannot be exported; the message says why.
    """
    if failure := _export_in_a_new_process(measurement, program):
        raise ValueError(f"{measurement.name}: {failure}")


def compile_program(program: Path, card: Card) -> Row:
    """Compile a program for a card, in a process of the compiler's own.

    Args:
        program: StableHLO, from `export`.
        card: The GPU.

    Returns:
        `status`, `message`, `NUMBERS` and `libraries`.

    Raises:
        FileNotFoundError: If there is no compiler; the message says how to get it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        target, output = Path(temporary) / "target.txt", Path(temporary) / "program.txt"
        target.write_text(card.target)
        child = subprocess.run(
            [compiler_python(), _COMPILER_SCRIPT, program, target, output],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if child.returncode:
            return _failed(rows.last_error_line(child.stderr, child.returncode))
        memory = json.loads(child.stdout.splitlines()[-1])
        return _numbers(memory, output.read_text(), card)


def compiler_python() -> Path:
    """The Python of the compiler's environment.

    Raises:
        FileNotFoundError: If it is not there; the message says how to get it.
    """
    python = Path(os.environ.get(COMPILER) or _COMPILER_PYTHON)
    if not python.is_file():
        raise FileNotFoundError(
            f"no compiler for GPUs at {python}: `make gpu-compiler` installs it (5.5 GB)"
        )
    return python


def _numbers(memory: Row, text: str, card: Card) -> Row:
    costs = program_costs.count_costs(text)
    # Constants lie on the device too, and the compiler's peak leaves them out.
    peak_gb = (memory["peak_bytes"] + program_costs.constant_bytes(text)) / BYTES_PER_GB
    fits = peak_gb <= card.memory_gb
    return {
        "status": "compiled" if fits else "out_of_memory",
        "message": "" if fits else f"{peak_gb:.1f} GB, {card.label} has {card.memory_gb:g}",
        "peak_memory_gb": peak_gb,
        "argument_gb": memory["argument_bytes"] / BYTES_PER_GB,
        "temporary_gb": memory["temporary_bytes"] / BYTES_PER_GB,
        **dataclasses.asdict(costs),
        "libraries": f"tensorflow {metadata.version('tensorflow')}, {memory['compiler']}",
    }


def _export_in_a_new_process(measurement: Measurement, program: Path) -> str:
    argument = json.dumps(dataclasses.asdict(measurement))
    return run_export([sys.executable, "-m", _EXPORT_MODULE, argument, str(program)])


def run_export(command: Sequence[str]) -> str:
    """Run a command that exports a step, for an `Export`."""
    child = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return rows.last_error_line(child.stderr, child.returncode) if child.returncode else ""


def _failed(message: str) -> Row:
    return {"status": "failed", "message": message} | dict.fromkeys(NUMBERS)


def _asked(measurement: Measurement) -> Row:
    """A compiled step is run neither once nor within a memory that is given to it."""
    return dataclasses.asdict(dataclasses.replace(measurement, steps=0, budget_gb=None))


def _kept(measurement: Measurement, asked: Row, folder: str | Path | None) -> Row | None:
    if folder is None:
        return None
    row = rows.read(row_file(measurement, asked["device"], folder), asked)
    return None if row is None or row["status"] == "failed" else row


def row_file(measurement: Measurement, device: str, folder: str | Path) -> Path:
    """Where the row of a step and a card is kept."""
    plain = dataclasses.replace(measurement, steps=0, budget_gb=None)
    return Path(folder) / f"{plain.name}_{device}.json"
