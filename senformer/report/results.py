"""Result files: one tidy CSV per table, with what produced it in its first line."""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PROVENANCE_KEYS = (
    "parameters",
    "seed",
    "data",
    "version",
    "commit",
    "device",
    "libraries",
    "time_utc",
)
"""What every provenance holds, in the order in which it is written."""

UNKNOWN = "unknown"

_LIBRARIES = ("tensorflow", "dm-sonnet", "numpy", "pandas")
_PREFIX = "# "
_ONEDNN = "oneDNN"
_OWN_KERNELS = "TensorFlow's own kernels"
_PACKAGE_FOLDER = Path(__file__).resolve().parent
_SHORT_COMMIT = 7
_SOURCES = (":/", ":!/book/results", ":!/benchmarks/results")


def provenance(*, parameters: Mapping[str, Any], seed: int, data: str) -> dict[str, Any]:
    """Describe a run so that its results can be traced and made again.

    Call it once at the end of a notebook and give the result to `write`.

    Args:
        parameters: the notebook's parameters, plain values that JSON can hold.
        seed: the seed that every random choice of the run came from.
        data: which data the run read, in words or as a path, for example `"simulated"`.

    Returns:
        A dictionary with the keys `PROVENANCE_KEYS`: the arguments, the package's version and git
        commit (`-dirty` after uncommitted changes, "unknown" outside a repository), the device, the
        versions of Python and the libraries, and the time in UTC.

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
        "time_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write(frame: pd.DataFrame, path: str | Path, provenance: Mapping[str, Any]) -> Path:
    """Write a table with its provenance, whole or not at all.

    Args:
        frame: a tidy table, one row per observation, units in the column names. Its index is not
            written, so it must not carry a name.
        path: where to write; folders are made. A file that is there is replaced.
        provenance: as `provenance` gives it.

    Returns:
        The path written.

    Raises:
        ValueError: if the index has a name, or `provenance` lacks a key.
    """
    path = Path(path)
    missing = [key for key in PROVENANCE_KEYS if key not in provenance]
    if missing:
        raise ValueError(f"{path}: provenance lacks {', '.join(missing)}")
    if any(name is not None for name in frame.index.names):
        raise ValueError(f"{path}: the index {frame.index.names} would be lost; make it a column")
    text = io.StringIO()
    text.write(_PREFIX + json.dumps(dict(provenance)) + "\n")
    frame.to_csv(text, index=False, lineterminator="\n")
    _replace(path, text.getvalue())
    return path


def read(path: str | Path) -> pd.DataFrame:
    """Read a table that `write` wrote; its provenance is in `.attrs["provenance"]`.

    Numbers come back bit for bit; an empty string comes back as a missing value.

    Args:
        path: a CSV written by `write`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file's first line is not a provenance, as in a CSV from elsewhere.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such result file; run the notebook that writes it")
    header, _, table = path.read_text(encoding="utf-8").partition("\n")
    described = _parse_provenance(path, header)
    frame = pd.read_csv(io.StringIO(table), keep_default_na=False, na_values=[""])
    frame.attrs["provenance"] = described
    return frame


def caption(provenance: Mapping[str, Any]) -> str:
    """Give the line that stands under a figure: device, data, commit, date.

    Args:
        provenance: as `provenance` gives it.
    """
    return _caption(
        [provenance["device"]],
        provenance["data"],
        [provenance["commit"]],
        [provenance["time_utc"]],
    )


def caption_of(frame: pd.DataFrame) -> str:
    """Give the line that stands under a figure of this table.

    Where each row says on which device, at which commit and when it was measured, that is what the
    line says, and not where and when the rows were put together.

    Args:
        frame: as `read` gives it, or rows of it, with its provenance in `attrs`. Rows without a
            commit, such as published ones, count for nothing.
    """
    provenance = frame.attrs["provenance"]
    if not {"device", "commit", "time_utc"} <= set(frame) or frame["commit"].isna().all():
        return caption(provenance)
    measured = frame.dropna(subset="commit").sort_values("time_utc")
    return _caption(
        list(measured["device"].unique()),
        provenance["data"],
        list(measured["commit"].unique()),
        [measured["time_utc"].min(), measured["time_utc"].max()],
    )


def device() -> str:
    """Name the device that TensorFlow computes on: the GPUs where there are any, else the CPU.

    A CPU is named with the kernels that TensorFlow chose for it: times depend on them as much.
    """
    import tensorflow as tf  # takes seconds, and reading results needs none of it

    from senformer.model.speed import xla

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = [tf.config.experimental.get_device_details(gpu)["device_name"] for gpu in gpus]
        return " + ".join(names)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    of_cpu = _ONEDNN if xla.are_onednn() else _OWN_KERNELS
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


def _caption(
    devices: Sequence[str], data: str, commits: Sequence[str], times_utc: Sequence[str]
) -> str:
    named = "commit" if len(commits) == 1 else "commits"
    days = dict.fromkeys(str(time)[: len("2000-01-01")] for time in times_utc)
    parts = [
        " and ".join(devices),
        data,
        f"{named} {', '.join(map(_short, commits))}",
        " to ".join(days),
    ]
    return " · ".join(parts)


def _short(commit: str) -> str:
    revision, dirty, _ = str(commit).partition("-dirty")
    return revision if revision == UNKNOWN else revision[:_SHORT_COMMIT] + dirty


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_PACKAGE_FOLDER), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return finished.stdout.strip()


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    described = cpuinfo.read_text(encoding="utf-8") if cpuinfo.is_file() else ""
    return cpu_name(described) or platform.processor() or platform.machine()


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


def _library_versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: _version(name) for name in _LIBRARIES}


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


def _parse_provenance(path: Path, header: str) -> dict[str, Any]:
    try:
        described = json.loads(header.removeprefix(_PREFIX))
    except json.JSONDecodeError:
        described = None
    if not header.startswith(_PREFIX) or not isinstance(described, dict):
        raise ValueError(
            f"{path}: no provenance in its first line; expected a file of `results.write`"
        )
    return described


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
