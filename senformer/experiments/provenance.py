"""What a result came from: the run's parameters, the code, the libraries, the device, the time."""

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
    """Describe a run so that its results can be traced and made again.

    Call it once at the end of a notebook and give the result to `results.write`.

    Args:
        parameters: the notebook's parameters, plain values that JSON can hold.
        seed: the seed that every random choice of the run came from.
        data: which data the run read, in words or as a path, for example `"simulated"`.

    Returns:
        A dictionary with the keys `results.PROVENANCE_KEYS`: the arguments, the package's version
        and git commit (`-dirty` after uncommitted changes, "unknown" outside a repository), the
        device, the versions of Python and the libraries, and the time in UTC.

    Raises:
        ValueError: if a parameter is not a value that JSON can hold.
    """
    return {
        "parameters": {name: _plain(name, value) for name, value in parameters.items()},
        "seed": int(seed),
        "data": str(data),
        "version": _version("senformer"),
        "commit": commit(),
        "device": device(),
        "libraries": _library_versions(),
        "time_utc": _now(),
    }


def origin() -> dict[str, str]:
    """From which commit and when: for a row of a batch, whose rows may differ in both."""
    return {"commit": commit(), "time_utc": _now()}


def device() -> str:
    """Name the device that TensorFlow computes on: the GPUs where there are any, else the CPU.

    A CPU is named with the kernels that TensorFlow chose for it: times depend on them as much.
    """
    import tensorflow as tf  # takes seconds, and asking for the commit needs none of it

    from senformer.model.compute import xla

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = [tf.config.experimental.get_device_details(gpu)["device_name"] for gpu in gpus]
        return " + ".join(names)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    of_cpu = ONEDNN if xla.are_onednn() else OWN_KERNELS
    return f"{_cpu_model()}, {cores} CPU core{'s' if cores > 1 else ''}, {of_cpu}"


def commit() -> str:
    """Give the git commit of the package's own files, wherever the caller's folder is.

    Returns:
        The full hash, with `-dirty` where tracked files differ from it (results aside: they are
        written by the code, not part of it), or "unknown" where the package does not come from a
        repository.
    """
    try:
        _git("ls-files", "--error-unmatch", "--", Path(__file__).name)
        revision = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", *_SOURCES)
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return f"{revision}-dirty" if changes else revision


def cpu_name(cpuinfo: str) -> str:
    """Name a processor so that it can be told from another: virtual machines often hide the model.

    Args:
        cpuinfo: what Linux says in `/proc/cpuinfo`.

    Returns:
        Its name, with the family and model numbers where there are any; empty if it has no name.
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


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    described = cpuinfo.read_text(encoding="utf-8") if cpuinfo.is_file() else ""
    return cpu_name(described) or platform.processor() or platform.machine()


def _library_versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: _version(name) for name in _LIBRARIES}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return UNKNOWN


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Path):
        value = str(value)
    try:
        return json.loads(json.dumps(value))
    except TypeError as error:
        raise ValueError(f"parameter {name}={value!r} cannot be written as JSON") from error
