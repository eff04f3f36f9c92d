"""Describe what a result came from: parameters, code, libraries, device and time."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from senformer.report.results import ONEDNN, OWN_KERNELS, UNKNOWN

_LIBRARIES = ("tensorflow", "dm-sonnet", "numpy", "pandas")

_PACKAGE_FOLDER = Path(__file__).resolve().parent

_SOURCES = (":/", ":!/book/results", ":!/benchmarks/results")


def describe_run(*, parameters: Mapping[str, Any], seed: int, data: str) -> dict[str, Any]:
    """Describe a run so that its results can be traced and reproduced.

    Call it once per run and pass the result to `results.write`.

    Args:
        parameters: The run's parameters, values that JSON can represent.
        seed: The seed of every random choice of the run.
        data: Name of the run's data, for example `"simulated"`.

    Returns:
        A dictionary with the keys `results.PROVENANCE_KEYS`: the arguments, the package's version
        and git commit (`-dirty` after uncommitted changes, "unknown" outside a repository), the
        device, the versions of Python and the libraries, and the time in UTC.

    Raises:
        ValueError: If JSON cannot represent a parameter.
    """
    return {
        "parameters": {name: _convert_to_json(name, v) for name, v in parameters.items()},
        "seed": int(seed),
        "data": str(data),
        "version": _version("senformer"),
        "commit": commit(),
        "device": device(),
        "libraries": {
            "python": platform.python_version(),
            **{name: _version(name) for name in _LIBRARIES},
        },
        "time_utc": _now(),
    }


def origin() -> dict[str, str]:
    """Return the commit and the time, for one row of a table whose rows may differ in both."""
    return {"commit": commit(), "time_utc": _now()}


def device() -> str:
    """Return the name of TensorFlow's device: the GPUs if there are any, otherwise the CPU.

    The name of a CPU includes TensorFlow's kernels, because times depend on them too.
    """
    import tensorflow as tf  # takes seconds, and `commit` does not need it

    from senformer.model.compute import xla

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = [tf.config.experimental.get_device_details(gpu)["device_name"] for gpu in gpus]
        return " + ".join(names)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    kernels = ONEDNN if xla.has_onednn() else OWN_KERNELS
    cpuinfo = Path("/proc/cpuinfo")
    name = cpu_name(cpuinfo.read_text(encoding="utf-8")) if cpuinfo.is_file() else ""
    name = name or platform.processor() or platform.machine()
    return f"{name}, {cores} CPU core{'s' if cores > 1 else ''}, {kernels}"


def commit() -> str:
    """Return the git commit of the package's own files, from any working directory.

    Returns:
        The full hash, with `-dirty` if tracked files other than results differ from it, or
        "unknown" if the package does not come from a repository.
    """
    try:
        _git("ls-files", "--error-unmatch", "--", Path(__file__).name)
        revision = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", *_SOURCES)
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return f"{revision}-dirty" if changes else revision


def cpu_name(cpuinfo: str) -> str:
    """Return a processor's name with its family and model, because virtual machines share names.

    Args:
        cpuinfo: Contents of Linux's `/proc/cpuinfo`.

    Returns:
        The name, with family and model numbers if they are known; empty if there is no name.
    """
    lines = (line.partition(":") for line in reversed(cpuinfo.splitlines()))
    first = {key.strip(): value.strip() for key, _, value in lines}
    name = first.get("model name", "")
    if name and "cpu family" in first:
        name += f" (family {first['cpu family']}, model {first['model']})"
    return name


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_PACKAGE_FOLDER), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return finished.stdout.strip()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return UNKNOWN


def _convert_to_json(name: str, value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Path):
        value = str(value)
    try:
        return json.loads(json.dumps(value))
    except TypeError as error:
        raise ValueError(f"{name}={value!r}, expected a value that JSON can represent") from error
