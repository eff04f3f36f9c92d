"""Run an exported step where only jaxlib is, on a GPU if there is one, and say what it took.

    senformer compile --attention bigbird --layers 11 ... --export step.mlir
    python run_exported.py step.mlir --steps 10

The second line needs jax and this file alone. Arguments are made from a seed: weights are numbers
of no meaning, which takes as long. Prints one JSON object: seconds of each step after the first,
and the peak that the allocator reports beside the one that the compiler counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import jax
import numpy as np
from jax._src.interpreters import mlir
from jax._src.lib import xla_client
from jaxlib.mlir import ir

jax.config.update("jax_enable_x64", True)  # the optimiser counts its steps in 64 bits
DTYPES = {"f32": np.float32, "bf16": "bfloat16", "i32": np.int32, "i64": np.int64, "i1": bool}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    device = jax.devices()[0]
    executable, types = compile_program(options.program, device)
    made = made_arguments(types)
    arguments = [jax.device_put(x, device) for x in made]
    seconds = []
    for _ in range(options.steps + 1):
        # What a step updates in place is given anew.
        arguments = [
            jax.device_put(fresh, device) if x.is_deleted() else x
            for x, fresh in zip(arguments, made, strict=True)
        ]
        jax.block_until_ready(arguments)
        start = time.perf_counter()
        results = executable.execute_sharded(arguments)
        jax.block_until_ready(results.disassemble_into_single_device_arrays())
        seconds.append(time.perf_counter() - start)
    peak_bytes = (device.memory_stats() or {}).get("peak_bytes_in_use")  # a CPU counts none
    memory = executable.get_compiled_memory_stats()
    row = {
        "device": device.device_kind,
        "status": "ok",
        "step_seconds": statistics.median(seconds[1:]),
        "step_seconds_min": min(seconds[1:]),
        "step_seconds_max": max(seconds[1:]),
        "peak_memory_gb": peak_bytes and peak_bytes / 1e9,
        "compiled_peak_gb": memory.peak_memory_in_bytes / 1e9,
    }
    print(json.dumps(row))


def compile_program(path: Path, device: jax.Device) -> tuple[xla_client.LoadedExecutable, list]:
    """The program for a device that is there, and the types of its arguments."""
    with mlir.make_ir_context():
        module = ir.Module.parse(path.read_bytes())
        function = next(op for op in module.body.operations if op.name.value == "main")
        types = [ir.RankedTensorType(x) for x in function.type.inputs]
        shapes = [(list(x.shape), str(x.element_type)) for x in types]
        devices = xla_client.DeviceList((device,))
        options = xla_client.CompileOptions()
        return device.client.compile_and_load(module, devices, options), shapes


def made_arguments(types: list) -> list[np.ndarray]:
    """Small positive numbers, as variances and second moments must be; zeros for whole numbers."""
    generator = np.random.default_rng(0)
    made = []
    for shape, kind in types:
        dtype = np.dtype(DTYPES.get(kind, np.int32))
        if dtype.kind in "iub":
            made.append(np.zeros(shape, dtype))
        else:
            made.append((0.01 + 0.02 * generator.random(shape, np.float32)).astype(dtype))
    return made


if __name__ == "__main__":
    main()
