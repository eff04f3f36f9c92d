"""Run exported steps where only jaxlib is, on a GPU if there is one, and say what each took.

    senformer compile --attention bigbird --layers 11 ... --export step.mlir
    python run_exported.py step.mlir --rows rows.jsonl

The second line needs jax and this file alone. It takes several programs, as text or packed by xz,
and writes a line of JSON for each, which it does not make again. Each has a process of its own:
some are compiled side by side, then one after the other is timed, and nothing else runs. Arguments
are made from a seed: weights are numbers of no meaning, which takes as long. What a step updates is
what the next one is given, as in training. `steps_on_gpu.py` makes many programs, and a table of
the lines.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLOAT32_PRODUCTS = {"tensorfloat32": "DEFAULT", "float32": "HIGHEST"}
"""How products of float32 are computed, and what a program's text calls it.

Where the text says `DEFAULT`, a GPU that has units for TensorFloat-32 takes them, as it does for
TensorFlow unless that is told otherwise: factors then keep 10 bits behind the point.
"""

LONGEST_SECONDS = 6.0
NUM_BASES = 4
DTYPES = {"f32": "float32", "bf16": "bfloat16", "i32": "int32", "i64": "int64", "i1": "bool"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=Path, nargs="+")
    parser.add_argument(
        "--float32-products", default="tensorfloat32", choices=FLOAT32_PRODUCTS, help="computed as"
    )
    parser.add_argument("--rows", type=Path, default=Path("rows.jsonl"))
    parser.add_argument("--steps", type=int, default=20, help="at most; as many as 6 s allow")
    parser.add_argument("--at-once", type=int, default=4, help="compiled side by side")
    options = parser.parse_args()
    begun = time.monotonic()
    for batch in batches(options):
        waiting = {
            program: start(program, options.float32_products, options.steps) for program in batch
        }
        for process in waiting.values():
            wait_for_its_compiler(process)
        print(f"{len(batch)} compiled after {time.monotonic() - begun:.0f} s", flush=True)
        for program, process in waiting.items():
            row = named(program, options) | run(process)
            with options.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def batches(options: argparse.Namespace) -> Iterator[list[Path]]:
    """What has no row yet, in the order asked for."""
    rows = options.rows.read_text().splitlines() if options.rows.exists() else []
    made = list(map(json.loads, rows))
    wanted = [
        program
        for program in options.programs
        if not any(named(program, options).items() <= row.items() for row in made)
    ]
    for first in range(0, len(wanted), options.at_once):
        yield wanted[first : first + options.at_once]


def named(program: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What a row says first: which it is."""
    return {
        "program": program.name.split(".")[0],
        "float32_products": options.float32_products,
    }


def start(program: Path, float32_products: str, steps: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, "--only", str(program), float32_products, str(steps)],
        env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_its_compiler(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.stdout.readline()


def run(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Let a compiled program run; its row, whatever becomes of it."""
    output, errors = process.communicate("run\n")
    if process.returncode == 0:
        row: dict[str, Any] = json.loads(output.splitlines()[-1])
        return row
    is_out_of_memory = "RESOURCE_EXHAUSTED" in errors
    return {
        "status": "out_of_memory" if is_out_of_memory else "failed",
        "message": "\n".join(errors.strip().splitlines()[-3:])[-500:],
    }


def run_one(program: Path, float32_products: str, steps: int) -> None:
    """Compile, say so, wait until it may run, run, and print a row."""
    import jax

    jax.config.update("jax_enable_x64", True)  # the optimiser counts its steps in 64 bits
    device = jax.devices()[0]
    text = with_precision(read(program), FLOAT32_PRODUCTS[float32_products])
    start = time.perf_counter()
    executable, types = compile_program(text, device)
    compile_seconds = time.perf_counter() - start
    made = made_arguments(types)
    print("compiled", flush=True)
    sys.stdin.readline()
    arguments = [jax.device_put(x, device) for x in made]
    updated = updated_arguments(text)
    seconds, losses = [], []
    while len(seconds) <= steps and sum(seconds[1:]) < LONGEST_SECONDS:
        jax.block_until_ready(arguments)
        start = time.perf_counter()
        results = executable.execute_sharded(arguments).disassemble_into_single_device_arrays()
        results = [shards[0] for shards in results]
        jax.block_until_ready(results)
        seconds.append(time.perf_counter() - start)
        losses.append(float(results[0]))
        for output, argument in updated.items():
            arguments[argument] = results[output]
    memory = executable.get_compiled_memory_stats()
    row = {
        "status": "ok",
        "message": "",
        "device": device.device_kind,
        "step_seconds": statistics.median(seconds[1:]),
        "step_seconds_min": min(seconds[1:]),
        "step_seconds_max": max(seconds[1:]),
        "steps": len(seconds) - 1,
        "peak_memory_gb": peak_gb(device),
        "compiled_where_run_gb": memory.peak_memory_in_bytes / 1e9,
        "compile_seconds": compile_seconds,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "libraries": f"jax {jax.__version__}",
    }
    print(json.dumps(row))


def read(program: Path) -> str:
    if program.suffix == ".xz":
        return lzma.decompress(program.read_bytes()).decode()
    return program.read_text()


def with_precision(text: str, precision: str) -> str:
    """The program with all of its products and convolutions computed so."""
    text = text.replace("precision = [DEFAULT, DEFAULT]", f"precision = [{precision}, {precision}]")
    return text.replace("#stablehlo<precision DEFAULT>", f"#stablehlo<precision {precision}>")


def compile_program(text: str, device: Any) -> tuple[Any, list[tuple[list[int], str]]]:
    """The program for a device that is there, and shapes and types of its arguments."""
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jaxlib.mlir import ir

    with mlir.make_ir_context():
        module = ir.Module.parse(text)
        function = next(op for op in module.body.operations if op.name.value == "main")
        types = [ir.RankedTensorType(x) for x in function.type.inputs]
        shapes = [(list(x.shape), str(x.element_type)) for x in types]
        devices = xla_client.DeviceList((device,))
        options = xla_client.CompileOptions()
        return device.client.compile_and_load(module, devices, options), shapes


def updated_arguments(text: str) -> dict[int, int]:
    """Which result of a step takes the place of which argument, by the program's first lines."""
    head = text[: text.index("func.func")]
    aliases = re.findall(
        r"parameter_number = (\d+) : i64\}, output_index = array<i64: (\d+)>", head
    )
    return {int(output): int(argument) for argument, output in aliases}


def made_arguments(types: list[tuple[list[int], str]]) -> list[Any]:
    """Arguments with which activations stay of the order of 1, whatever each of them is.

    All are positive, as variances and second moments must be; a matrix or a kernel sums to about 1
    for each of its outputs; whole numbers are 0.
    """
    import ml_dtypes  # noqa: F401 (lets NumPy know bfloat16)
    import numpy as np

    generator = np.random.default_rng(0)
    made = []
    for shape, kind in types:
        dtype = np.dtype(DTYPES[kind])
        if dtype.kind in "iub":
            made.append(np.zeros(shape, dtype))
            continue
        is_weight = len(shape) > 1 and shape[-1] != NUM_BASES
        fan_in = np.prod(shape[:-1]) if is_weight else 1.0
        numbers = (0.5 + generator.random(shape, np.float32)) / np.float32(fan_in)
        made.append(numbers.astype(dtype))
    return made


def peak_gb(device: Any) -> float | None:
    """What the allocator has given out at most; a CPU does not count it."""
    peak_bytes = (device.memory_stats() or {}).get("peak_bytes_in_use")
    return peak_bytes and peak_bytes / 1e9


if __name__ == "__main__":
    if sys.argv[1] == "--only":
        run_one(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        main()
