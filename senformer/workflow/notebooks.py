"""Run notebooks: with the parameters of a profile, into a folder under `runs/`."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import sys
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from senformer import tf_environment
from senformer.experiments.parameters import (
    PARAMETERS,
    TABLES_FOLDER,
    MeasuringParameters,
    NotebookParameters,
)
from senformer.storage import atomic_files
from senformer.storage.text_files import add_path_to_errors, read_text
from senformer.workflow import failures
from senformer.workflow.plain_yaml import LARGEST, parse_yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
PROFILES = ROOT / "profiles"
RUNS = ROOT / "runs"

ORDER = tuple(PARAMETERS)
"""The notebooks, in the order in which the report asks its questions."""

MEASURING = tuple(name for name in ORDER if PARAMETERS[name] is MeasuringParameters)
"""Notebooks that measure training steps, each in a process of its own."""

SHARED = "shared"
"""Name of a profile's file with the parameters that several notebooks have in common."""

_FOLDERS = ("output_folder", "data")
_LONGEST_NAME = 100
_SECONDS_TO_START = 600  # of a kernel; a busy machine takes more than papermill's 60


def run(
    name: str,
    *,
    profile: str,
    data: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Path:
    """Execute a notebook with a profile's parameters.

    The executed notebook and its tables replace the earlier ones together, when every cell has run.
    If a cell fails, the earlier ones stay, and the notebook is kept as `<name>.failed.ipynb`, with
    the error below the cell. Only one process at a time runs a notebook in a folder; it overwrites
    what a killed process left behind.

    Args:
        name: A notebook of `notebooks/`, without its ending.
        profile: A folder of `profiles/`.
        data: Folder of real records; None for simulated data.
        parameters: Values that override the profile's.

    Returns:
        The executed notebook, in the folder `output_folder` of the parameters, by default
        `run_folder(profile, data)`.

    Raises:
        ValueError: If a name or a value is not accepted; see `parameters_for`.
        FileNotFoundError: If `data` is no folder.
        failures.NotebookError: If a cell fails, or the kernel dies.
    """
    checked = parameters_for(name, profile=profile, data=data, parameters=parameters)
    folder = Path(os.path.normpath(NOTEBOOKS / checked.output_folder))
    folder.mkdir(parents=True, exist_ok=True)
    finished, failed = folder / f"{name}.ipynb", folder / f"{name}.failed.ipynb"
    unfinished, complete = folder / f".{name}.unfinished", folder / f".{name}.complete"
    with atomic_files.lock(finished):
        _replace_results(finished, complete)  # a killed process may have left them
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        executed = unfinished / finished.name
        try:
            with add_path_to_errors(executed):
                _execute(NOTEBOOKS / f"{name}.py", executed, checked)
        except BaseException as error:
            if executed.exists():
                executed.replace(failed)
            if (line := failures.line_of_notebook(error, failed)) is not None:
                raise failures.NotebookError(line) from error
            raise
        else:
            unfinished.replace(complete)
            _replace_results(finished, complete)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    failed.unlink(missing_ok=True)
    return finished


def _replace_results(finished: Path, complete: Path) -> None:
    """Replace a notebook and its tables by a complete run; a killed call can be repeated.

    Args:
        finished: The notebook. It is absent while tables change, so that it never belongs to
            tables of another run.
        complete: Folder with the new notebook and tables, which is removed.
    """
    if not complete.is_dir():
        return
    from senformer.workflow import executed_notebooks

    finished.unlink(missing_ok=True)
    new_tables = [path.name for path in complete.glob("*.csv")]
    for table in executed_notebooks.tables_of(finished):
        if table.name not in new_tables:
            table.unlink()
    for file_name in (*new_tables, finished.name):
        with atomic_files.replace_file(finished.with_name(file_name)) as unfinished:
            shutil.copyfile(complete / file_name, unfinished)
    shutil.rmtree(complete)


def _execute(source: Path, destination: Path, parameters: NotebookParameters) -> None:
    """Execute and seal a notebook; drop its progress bars and the machine's folders.

    The notebook writes its tables to the folder of `destination`.
    """
    import jupytext
    import nbformat
    import papermill

    from senformer.workflow import executed_notebooks
    from senformer.workflow.own_kernel import kernel_manager

    os.environ[TABLES_FOLDER] = str(destination.parent)
    try:
        with tf_environment.filtered_stderr() as stderr:
            executed = papermill.execute_notebook(
                jupytext.read(source),
                str(destination).replace("{", "{{").replace("}", "}}"),  # papermill formats it
                parameters={"parameters": parameters.model_dump()},
                kernel_name="python3",
                language="python",
                cwd=NOTEBOOKS,
                start_timeout=_SECONDS_TO_START,
                stderr_file=sys.stderr,
                kernel_manager_class=kernel_manager(stderr),
                extra_arguments=[
                    "--IPKernelApp.log_level=ERROR",
                    "--IPKernelApp.capture_fd_output=False",  # it would show each line twice
                ],
            )
    finally:
        del os.environ[TABLES_FOLDER]
    for key in ("input_path", "output_path"):
        executed.metadata.papermill.pop(key, None)
    for cell in executed.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    tables = executed_notebooks.find_tables(executed, source.stem, destination.parent)
    executed_notebooks.seal(executed, source.stem, tables)
    nbformat.write(executed, destination)


def parameters_for(
    name: str,
    *,
    profile: str,
    data: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> NotebookParameters:
    """Return the parameters of a run, checked.

    `parameters` override the folders of the run, these override the profile, and the profile
    overrides the defaults. Paths are relative to `notebooks/`, where a notebook runs, so that
    published results name no folder of the machine.

    Raises:
        ValueError: If the notebook, the profile or a parameter is unknown, or a value is not
            accepted.
        FileNotFoundError: If `data` is no folder.
    """
    if name not in PARAMETERS:
        raise ValueError(f"unknown notebook {name!r}, expected one of {', '.join(PARAMETERS)}")
    known = PARAMETERS[name].model_fields
    from_profile = profile_parameters(profile, name)
    chosen = dict(parameters or {})
    _reject_unknown(chosen, known, f"notebooks/{name}.py")
    folders = {"output_folder": os.path.relpath(run_folder(profile, data), NOTEBOOKS)}
    if data:
        if not Path(data).is_dir():
            raise FileNotFoundError(f"{data}: no such folder of records")
        if "data" in known:
            folders["data"] = os.path.relpath(data, NOTEBOOKS)
    try:
        return PARAMETERS[name](**{**from_profile, **folders, **chosen})
    except ValueError as error:
        raise ValueError(f"{name} with profile {profile!r}: {error}") from None


def parameters_of_profile(
    profile: str, data: str | Path | None = None
) -> dict[str, NotebookParameters]:
    """Return the parameters of every notebook by name; see `parameters_for`."""
    return {name: parameters_for(name, profile=profile, data=data) for name in ORDER}


def profile_parameters(profile: str, name: str) -> dict[str, Any]:
    """Read the parameters that a profile sets for a notebook.

    The notebook takes the parameters that it has from `shared.yaml`. Its own file, `<name>.yaml`,
    overrides them.

    Raises:
        ValueError: If there is no such profile, if it sets no parameter of this notebook, or if a
            file of the profile names a notebook or a parameter that does not exist.
    """
    if profile not in profiles():
        raise ValueError(f"unknown profile {profile!r}, expected one of {', '.join(profiles())}")
    for path in sorted((PROFILES / profile).glob("*.yaml")):
        if path.stem not in (SHARED, *PARAMETERS):
            raise ValueError(
                f"profiles/{profile}/{path.name}: no such notebook, "
                f"expected one of {', '.join((SHARED, *PARAMETERS))}"
            )
    shared, own = _read_profile(profile, SHARED), _read_profile(profile, name)
    known = PARAMETERS[name].model_fields
    of_any = {field for kind in PARAMETERS.values() for field in kind.model_fields}
    _reject_unknown(shared, of_any, f"profiles/{profile}/{SHARED}.yaml")
    _reject_unknown(own, known, f"profiles/{profile}/{name}.yaml")
    values = {key: value for key, value in shared.items() if key in known} | own
    if not values:
        raise ValueError(f"profile {profile!r} sets no parameter of {name}")
    return values


def _read_profile(profile: str, stem: str) -> dict[str, Any]:
    """Read a profile's file; return nothing if the profile has no such file."""
    path = PROFILES / profile / f"{stem}.yaml"
    if not path.exists():
        return {}
    expected = "lines `parameter: value`"
    if path.is_file() and path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: {path.stat().st_size:,} bytes, expected {expected}")
    values = parse_yaml(read_text(path, expected), str(path))
    if not isinstance(values, dict | None):
        raise ValueError(f"{path}: expected {expected}")
    return values or {}


def _reject_unknown(values: Mapping[str, Any], known: Collection[str], source: str) -> None:
    unknown = sorted(set(values) - set(known), key=str)
    if unknown:
        raise ValueError(
            f"{source}: unknown parameter {unknown[0]!r}, expected one of {', '.join(known)}"
        )


def enter_folder() -> None:
    """Change to `notebooks/`, to which a notebook's paths are relative; call it first.

    Jupyter and nbconvert start a notebook in its own folder, papermill in the caller's. With this
    call each of them writes to the project's `runs/`.

    Raises:
        FileNotFoundError: If the package is not the project's own, as `make setup` installs it.
    """
    os.chdir(NOTEBOOKS)


def command_for(name: str, parameters: Mapping[str, Any]) -> str:
    """Return the command that runs a notebook again with the parameters of an earlier run.

    Args:
        name: The notebook.
        parameters: Parameters in the provenance of the earlier results. The command leaves out
            those that the notebook no longer has.

    Returns:
        A shell command for the project's folder. It names the profile that is nearest to
        `parameters`, and on a further line each parameter that differs from it.

    Raises:
        ValueError: If there is no such notebook.
    """
    differing = {}
    for profile in profiles():
        values = parameters_for(name, profile=profile).model_dump(exclude=set(_FOLDERS))
        differing[profile] = {
            key: value
            for key, value in parameters.items()
            if key in values and values[key] != value
        }
    profile = min(differing, key=lambda profile: len(differing[profile]))
    command = [".venv/bin/senformer", "run", name, "--profile", profile]
    if data := parameters.get("data"):
        command += ["--data", os.path.relpath(NOTEBOOKS / data, ROOT)]
    lines = [shlex.join(command)]
    for key, value in differing[profile].items():
        # A list is dumped without the end mark of a bare scalar.
        text = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, width=math.inf)
        lines.append(shlex.join(["-p", f"{key}={text.strip()[1:-1]}"]))
    return " \\\n  ".join(lines)


def run_folder(profile: str, data: str | Path | None = None) -> Path:
    """Return a profile's folder: `runs/<profile>`, or `runs/<profile>-<data>` for real records.

    Snakemake, the shell and pages take its name as it is. Therefore other characters than letters,
    digits and `._+@=,-` become `_`, and a checksum keeps the names of two folders different.

    Raises:
        ValueError: If the path of the data is not UTF-8.
    """
    try:
        str(data).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{str(data)!a}: not UTF-8, expected the name of a folder") from None
    name = f"{profile}-{Path(os.path.realpath(data)).name}" if data else profile
    plain = re.sub(r"[^\w.+@=,-]", "_", name)[:_LONGEST_NAME]
    return RUNS / (plain if plain == name else f"{plain}-{zlib.crc32(name.encode()):08x}")


def profiles() -> list[str]:
    """Return the names of the profiles."""
    return sorted(path.name for path in PROFILES.iterdir() if path.is_dir())
