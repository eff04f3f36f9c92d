"""Compare training steps that ran on a GPU with the same steps compiled for this GPU.

    python benchmarks/steps_on_gpu.py export --programs runs/on_gpu
    python run_exported.py runs/on_gpu/*.xz --rows runs/on_gpu/rows.jsonl
    python benchmarks/steps_on_gpu.py collect --programs runs/on_gpu --card h200

The first line exports programs of this package's steps and of the study's formulations; it needs no
GPU and no compiler. The second line runs on the machine with the GPU and needs only jax. The third
line compiles the same programs for the card from its description, and writes measured and compiled
values, one row per step, to `benchmarks/results/steps_on_gpu.csv`. Existing files stay.
"""

from __future__ import annotations

import argparse
import itertools
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import benchmark
import pandas as pd
import published_on_gpu

from senformer.attention_kinds import KINDS
from senformer.experiments.compiling import cards, compilations
from senformer.experiments.memory_and_time.grid import Measurement

COMPILED = ("peak_memory_gb", "kernels", "operations", "bytes_moved", *compilations.LEAST_TIMES)
"""Columns of a compiled row that the table contains; its peak is named `compiled_peak_gb`."""


def main() -> None:
    """Parse the options, and export programs or collect their results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    exporting, collecting = (commands.add_parser(name) for name in ("export", "collect"))
    for command in (exporting, collecting):
        command.add_argument("--programs", type=Path, default=Path("runs/on_gpu"))
    exporting.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    exporting.add_argument("--lengths", type=int, nargs="+", default=[196_608, 393_216, 786_432])
    exporting.add_argument("--layers", type=int, default=11)
    exporting.add_argument("--channels", type=int, default=1536)
    collecting.add_argument("--card", required=True, help="card on which the programs ran")
    benchmark.add_folder(collecting)
    options = parser.parse_args()
    if options.command == "export":
        for code, step in steps(options):
            export(code, step, options.programs)
    else:
        frame = collect(options.programs, cards.load_card(options.card))
        benchmark.write(frame, "steps_on_gpu", options, data="numbers from a seed")
        print(frame[["code", "attention", "sequence_length_bp", "step_seconds", "peak_memory_gb"]])


def steps(options: argparse.Namespace) -> Iterator[tuple[str, Measurement]]:
    """Yield this package's steps in both number types, and the study's steps in float32."""
    for kind, length in itertools.product(options.kinds, options.lengths):
        step = Measurement(
            attention=kind,
            num_transformer_layers=options.layers,
            channels=options.channels,
            sequence_length_bp=length,
            steps=0,
        )
        yield "this package", step
        yield "this package", step.replace(compute_dtype="bfloat16")
        if kind in published_on_gpu.KINDS:
            yield "published", step


def export(code: str, step: Measurement, programs: Path) -> None:
    """Write a compressed program and a JSON file that describes it."""
    programs.mkdir(parents=True, exist_ok=True)
    kind = step.attention if code == "this package" else f"{code}-{step.attention}"
    packed = programs / f"{kind}_{step.sequence_length_bp}_{step.compute_dtype}.mlir.xz"
    described = {"code": code, "step": dict(step)}
    (programs / f"{name_of(packed)}.json").write_text(json.dumps(described))
    if packed.exists():
        return
    plain = packed.with_suffix("")
    if code == "this package":
        compilations.export(step, plain)
    elif failure := published_on_gpu.export_in_a_new_process(step, plain):
        raise ValueError(f"{packed.name}: {failure}")
    packed.write_bytes(lzma.compress(plain.read_bytes(), preset=3))
    plain.unlink()
    print(packed, flush=True)


def collect(programs: Path, card: cards.Card) -> pd.DataFrame:
    """Build one row for each step that ran, in the order of the runs."""
    rows = []
    for ran in map(json.loads, (programs / "rows.jsonl").read_text().splitlines()):
        program = programs / f"{ran.pop('program')}.mlir.xz"
        described = json.loads((programs / f"{name_of(program)}.json").read_text())
        step = Measurement(**described["step"])
        compiled = compiled_row(described["code"], step, program, card)
        expected = {name: compiled[name] for name in COMPILED}
        expected["compiled_peak_gb"] = expected.pop("peak_memory_gb")
        identity = {"code": described["code"], **dict(step)}
        named = {"device": card.name, "device_label": card.label, "ran_on": ran.pop("device")}
        rows.append({**identity, **named, "device_memory_gb": card.memory_gb, **ran, **expected})
    return pd.DataFrame(rows)


def compiled_row(code: str, step: Measurement, program: Path, card: cards.Card) -> dict[str, Any]:
    """Compile a program for the card and return the compiler's row."""

    def unpack(_step: Measurement, plain: Path) -> str:
        plain.write_bytes(lzma.decompress(program.read_bytes()))
        return ""

    folder = program.parent / ("compiled_published" if code == "published" else "compiled")
    [row] = compilations.compile_once(step, [card], folder, export_step=unpack)
    return row


def name_of(program: Path) -> str:
    """Return a program's name without its two suffixes."""
    return program.name.split(".")[0]


if __name__ == "__main__":
    main()
