"""Compile a program for a GPU that need not be present; the compiler's own Python runs this file.

    python gpu_compiler.py PROGRAM TARGET OUTPUT

PROGRAM is StableHLO as text or bytecode; TARGET is XLA's description of the GPU as text. The script
writes the optimised program as text to OUTPUT, and prints its memory and the compiler's version as
JSON.
"""

import json
import os
import sys
from pathlib import Path


def main(program: Path, target: Path, output: Path) -> None:
    """Compile a program, write it and print its memory.

    Args:
        program: File of the StableHLO program.
        target: File of the description of the GPU.
        output: The file to write.
    """
    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"  # no driver is needed
    os.environ["XLA_FLAGS"] = "--xla_gpu_autotune_level=0"  # it would run kernels on the GPU
    import jaxlib  # after both variables; this package does not need jax
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jax.experimental import topologies
    from jaxlib.mlir import ir

    topology = topologies.get_topology_desc(
        platform="cuda", target_config=target.read_text(), topology="1x1x1"
    )
    options = xla_client.CompileOptions()
    for settings in (options, options.executable_build_options):
        settings.num_replicas = settings.num_partitions = 1
    devices = xla_client.DeviceList(tuple(topology.devices[:1]))
    with mlir.make_ir_context():
        module = ir.Module.parse(program.read_bytes())
        executable = topology.devices[0].client.compile(module, devices, options)
    memory = executable.get_compiled_memory_stats()
    output.write_text(executable.hlo_modules()[0].to_string())
    result = {
        "peak_bytes": memory.peak_memory_in_bytes,
        "argument_bytes": memory.argument_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "compiler": f"jaxlib {jaxlib.__version__}",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
