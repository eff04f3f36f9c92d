"""Run exported training steps with jax alone, on a GPU if present, and measure them.

    senformer compile --attention bigbird --layers 11 ... --export step.mlir
    python run_exported.py step.mlir --rows rows.jsonl

The second line needs only jax and this file. It takes several programs, as text or compressed by
xz, and appends one line of JSON for each program that has no line yet. Each program runs in its own
process: some are compiled in parallel, then timed one after the other while nothing else runs.
Arguments are random numbers from a seed, which take as long as real weights. Each step receives the
variables that the previous step updated, as in training. `steps_on_gpu.py` exports many programs
and builds a table of the lines.
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
"""Precision of float32 products, and its name in the text of a program.

With `DEFAULT`, a GPU uses its units for TensorFloat-32, as TensorFlow does by default; factors then
keep 10 bits after the point.
"""

LONGEST_SECONDS = 6.0
NUM_BASES = 4
DTYPES = {"f32": "float32", "bf16": "bfloat16", "i32": "int32", "i64": "int64", "i1": "bool"}


def main() -> None:
    """Parse the options, and compile and time the programs in batches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=Path, nargs="+")
    parser.add_argument(
        "--float32-products",
        default="tensorfloat32",
        choices=FLOAT32_PRODUCTS,
        help="precision of float32 products",
    )
    parser.add_argument("--rows", type=Path, default=Path("rows.jsonl"))
    parser.add_argument(
        "--steps", type=int, default=20, help="largest number; the time limit is 6 s"
    )
    parser.add_argument("--at-once", type=int, default=4, help="programs compiled in parallel")
    options = parser.parse_args()
    start_time = time.monotonic()
    for batch in batches(options):
        waiting = {
            program: start(program, options.float32_products, options.steps) for program in batch
        }
        for process in waiting.values():
            assert process.stdout is not None
            process.stdout.readline()  # the process has compiled its program
        print(f"{len(batch)} compiled after {time.monotonic() - start_time:.0f} s", flush=True)
        for program, process in waiting.items():
            row = identify(program, options) | run(process)
            with options.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def batches(options: argparse.Namespace) -> Iterator[list[Path]]:
    """Yield the programs that have no row yet, in batches."""
    rows = options.rows.read_text().splitlines() if options.rows.exists() else []
    finished = list(map(json.loads, rows))
    waiting = [
        program
        for program in options.programs
        if not any(identify(program, options).items() <= row.items() for row in finished)
    ]
    for first in range(0, len(waiting), options.at_once):
        yield waiting[first : first + options.at_once]


def identify(program: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the columns that identify a program's row."""
    return {
        "program": program.name.split(".")[0],
        "float32_products": options.float32_products,
    }


def start(program: Path, float32_products: str, steps: int) -> subprocess.Popen[str]:
    """Start the process of one program, which compiles it and waits for a line of input."""
    return subprocess.Popen(
        [sys.executable, __file__, "--only", str(program), float32_products, str(steps)],
        env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Let a compiled program run, and return its row, also if it fails."""
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
    """Compile a program, wait for a line of input, run the program, and print its row."""
    import jax

    jax.config.update("jax_enable_x64", True)  # the optimiser counts its steps in 64 bits
    device = jax.devices()[0]
    text = with_precision(read(program), FLOAT32_PRODUCTS[float32_products])
    start = time.perf_counter()
    executable, types = compile_program(text, device)
    compile_seconds = time.perf_counter() - start
    host_arguments = make_arguments(types)
    print("compiled", flush=True)
    sys.stdin.readline()
    arguments = [jax.device_put(x, device) for x in host_arguments]
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
    """Read the text of a program."""
    if program.suffix == ".xz":
        return lzma.decompress(program.read_bytes()).decode()
    return program.read_text()


def with_precision(text: str, precision: str) -> str:
    """Set the precision of all products and convolutions in a program's text."""
    text = text.replace("precision = [DEFAULT, DEFAULT]", f"precision = [{precision}, {precision}]")
    return text.replace("#stablehlo<precision DEFAULT>", f"#stablehlo<precision {precision}>")


def compile_program(text: str, device: Any) -> tuple[Any, list[tuple[list[int], str]]]:
    """Compile a program for a device; return it with the shapes and types of its arguments."""
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
    """Map each updated result of a step to its argument, from the program's first lines."""
    head = text[: text.index("func.func")]
    aliases = re.findall(
        r"parameter_number = (\d+) : i64\}, output_index = array<i64: (\d+)>", head
    )
    return {int(output): int(argument) for argument, output in aliases}


def make_arguments(types: list[tuple[list[int], str]]) -> list[Any]:
    """Make arguments that keep activations near 1.

    All numbers are positive, as variances and second moments must be. Matrices and kernels sum to
    about 1 for each output. Integers are 0.
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
    """Return the allocator's peak in GB, or None on a CPU, which does not count it."""
    peak_bytes = (device.memory_stats() or {}).get("peak_bytes_in_use")
    return peak_bytes and peak_bytes / 1e9


if __name__ == "__main__":
    if sys.argv[1] == "--only":
        run_one(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        main()
