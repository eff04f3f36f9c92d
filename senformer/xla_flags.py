"""A setting of TensorFlow's compiler without which a process may die of a segmentation fault.

XLA, TensorFlow's compiler, hands sums and maxima on a CPU to a library, YNNPACK, and prepares the
library's part when a compiled function runs, not when it is compiled. Two threads that run the
same function for the first time then append to one list without a lock (TensorFlow 2.21,
`DefineConstant` in `xla/backends/cpu/ynn_emitter.cc`). Attention does that: its heads run two at a
time. So XLA compiles these reductions itself, at the same speed.
"""

from __future__ import annotations

from collections.abc import MutableMapping

_FUSION_FLAG = "--xla_cpu_experimental_ynn_fusion_type"


def keep_reductions_in_xla(environment: MutableMapping[str, str]) -> None:
    """Add the setting to `XLA_FLAGS`, unless they speak of it already.

    `import senformer` does this for the process. XLA reads its flags once, when it first compiles:
    a program that compiles something of its own before must set the flag itself.

    Args:
        environment: Changed: `os.environ`, or what a process is started with.
    """
    flags = environment.get("XLA_FLAGS", "")
    if _FUSION_FLAG not in flags:
        environment["XLA_FLAGS"] = f"{flags} {_FUSION_FLAG}=-reduce".strip()
