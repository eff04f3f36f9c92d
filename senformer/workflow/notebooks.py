"""Running a notebook: its parameters from a profile, its outputs in a folder under `runs/`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from senformer.storage import atomic_files
from senformer.storage.text_files import add_path_to_errors, read_text
from senformer.workflow import yaml_text
from senformer.workflow.parameters import expect_parameters

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
PROFILES = ROOT / "profiles"
RUNS = ROOT / "runs"

ORDER = ("memory", "runtime", "reproduction", "finetuning", "correlation", "receptive_field")
"""The notebooks, in the order in which the report asks its questions."""

MEASURING = ("memory", "runtime")
"""Those that measure steps, each in a process of its own; the others have models."""

SHARED = "shared"
"""The file of a profile with what several notebooks have in common."""

_FOLDERS = ("output_folder", "data")


def run(
    name: str,
    *,
    profile: str,
    data: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Path:
    """Execute a notebook with a profile's parameters.

    The executed notebook appears only when every cell has run. One that failed is kept beside it
    as `<name>.failed.ipynb`, with the error where it happened. One process at a time runs a
    notebook in a folder; what one that was killed left of it is written over.

    Args:
        name: A notebook of `notebooks/`, without its ending.
        profile: A folder of `profiles/`.
        data: Folder of real records; simulated data when absent.
        parameters: Values that go before the profile's.

    Returns:
        The executed notebook, in `run_folder(profile, data)`.

    Raises:
        ValueError: As `parameters_for`; before any work.
        FileNotFoundError: If `data` is no folder.
        papermill.exceptions.PapermillExecutionError: If a cell fails.
    """
    values = parameters_for(name, profile=profile, data=data, parameters=parameters)
    folder = run_folder(profile, data)
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / f"{name}.ipynb"
    unfinished = folder / f".{name}.unfinished.ipynb"
    failed = failed_notebook(name, profile=profile, data=data)
    with atomic_files.lock(finished):
        try:
            with add_path_to_errors(unfinished):
                _execute(NOTEBOOKS / f"{name}.py", unfinished, values)
        except BaseException:
            if unfinished.exists():
                unfinished.replace(failed)
            raise
        failed.unlink(missing_ok=True)
        return unfinished.replace(finished)


def parameters_for(
    name: str,
    *,
    profile: str,
    data: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All parameters of a run: defaults, then the profile's, then folders, then `parameters`.

    Paths are relative to `notebooks/`, where a notebook runs, so that what is published names no
    folder of the machine it was made on.

    Raises:
        ValueError: If the notebook, the profile or a parameter is unknown, or a parameter has a
            value that it cannot have.
        FileNotFoundError: If `data` is no folder.
    """
    known = default_parameters(name)
    from_profile = profile_parameters(profile, name)
    chosen = dict(parameters or {})
    _reject_what_no_notebook_has(profile)
    _reject_unknown(chosen, known, f"notebooks/{name}.py")
    folders = {"output_folder": _from_notebooks(run_folder(profile, data))}
    if data:
        if not Path(data).is_dir():
            raise FileNotFoundError(f"{data}: no such folder of records")
        folders["data"] = _from_notebooks(Path(data))
    folders = {name: path for name, path in folders.items() if name in known}
    values = {**known, **from_profile, **folders, **chosen}
    expect_parameters(values)
    return values


def parameters_of_profile(
    profile: str, data: str | Path | None = None
) -> dict[str, dict[str, Any]]:
    """`parameters_for` of every notebook, by name.

    Raises:
        ValueError: As `parameters_for`.
        FileNotFoundError: Likewise.
    """
    return {name: parameters_for(name, profile=profile, data=data) for name in names()}


def enter_folder() -> None:
    """Work in `notebooks/`, to which a notebook's paths are relative: each calls this first.

    Jupyter and nbconvert start a notebook in its own folder, papermill in the one that papermill
    was called in. So each writes to the same `runs/` of the project.

    Raises:
        FileNotFoundError: If the package is not the project's own, as `make setup` installs it.
    """
    os.chdir(NOTEBOOKS)


def command_for(name: str, parameters: Mapping[str, Any]) -> str:
    """Write the command that runs a notebook with given parameters again.

    Args:
        name: The notebook.
        parameters: Those of an earlier run, as the provenance of its results holds them. One that
            the notebook no longer has is left out.

    Returns:
        A line for a shell in the project's folder, with the profile that is nearest to
        `parameters`; then a line for each parameter in which they differ.

    Raises:
        ValueError: If there is no such notebook.
    """
    known = default_parameters(name)
    differing = {
        profile: _differing({**known, **_of_profile(profile, name, known)}, parameters)
        for profile in profiles()
    }
    profile = min(differing, key=lambda profile: len(differing[profile]))
    command = [".venv/bin/senformer", "run", name, "--profile", profile]
    if data := parameters.get("data"):
        command += ["--data", os.path.relpath(NOTEBOOKS / data, ROOT)]
    changes = [f"{key}={_as_yaml(value)}" for key, value in differing[profile].items()]
    return " \\\n  ".join([shlex.join(command), *(shlex.join(["-p", text]) for text in changes)])


def _differing(of_profile: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `parameters`, folders aside, that a run with the profile would not have."""
    return {
        key: value
        for key, value in parameters.items()
        if key not in _FOLDERS and key in of_profile and of_profile[key] != value
    }


def _as_yaml(value: Any) -> str:
    # A list's items are written as they are; a bare scalar would be followed by an end mark.
    return yaml_text.dump([value])[1:-1]


def run_folder(profile: str, data: str | Path | None = None) -> Path:
    """Where a profile's runs go: `runs/<profile>`, or `runs/<profile>-<data>` for real records."""
    return RUNS / (f"{profile}-{Path(data).resolve().name}" if data else profile)


def failed_notebook(name: str, *, profile: str, data: str | Path | None = None) -> Path:
    """Where a notebook is kept of which a cell failed, with the error."""
    return run_folder(profile, data) / f"{name}.failed.ipynb"


def names() -> list[str]:
    """The notebooks that exist, in the report's order."""
    found = {path.stem for path in NOTEBOOKS.glob("*.py")}
    return sorted(
        found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)
    )


def profiles() -> list[str]:
    """The profiles that exist, by name."""
    return sorted(path.name for path in PROFILES.iterdir() if path.is_dir())


def default_parameters(name: str) -> dict[str, Any]:
    """The parameters of a notebook and their defaults, as its cell tagged `parameters` sets them.

    Raises:
        ValueError: If there is no such notebook, or it has no such cell.
    """
    if name not in names():
        raise ValueError(f"unknown notebook {name!r}, expected one of {', '.join(names())}")
    cells = [cell for cell in _read(name).cells if "parameters" in cell.metadata.get("tags", ())]
    if len(cells) != 1:
        raise ValueError(
            f"notebooks/{name}.py has {len(cells)} cells tagged parameters, expected 1"
        )
    values: dict[str, Any] = {}
    exec(cells[0].source, values)
    del values["__builtins__"]
    return values


def profile_parameters(profile: str, name: str) -> dict[str, Any]:
    """What a profile says about a notebook.

    Of what the profile's notebooks share, in `shared.yaml`, a notebook takes the parameters that it
    has; what is its own, in `<name>.yaml`, goes before that.

    Raises:
        ValueError: If there is no such profile, if it says nothing about this notebook, or if the
            notebook's own file names a parameter that it does not have.
    """
    if profile not in profiles():
        raise ValueError(f"unknown profile {profile!r}, expected one of {', '.join(profiles())}")
    return _of_profile(profile, name, default_parameters(name))


def _of_profile(profile: str, name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """As `profile_parameters`, of a notebook whose parameters are known."""
    shared, own = _read_profile(profile, SHARED), _read_profile(profile, name)
    _reject_unknown(own, known, f"profiles/{profile}/{name}.yaml")
    values = {key: value for key, value in shared.items() if key in known} | own
    if not values:
        raise ValueError(f"profile {profile!r} says nothing about {name}")
    return values


def _read_profile(profile: str, stem: str) -> dict[str, Any]:
    """One file of a profile; a notebook that has nothing of its own has none."""
    path = PROFILES / profile / f"{stem}.yaml"
    if not path.exists():
        return {}
    expected = "lines `parameter: value`"
    values = yaml_text.load(read_text(path, expected), path)
    if not isinstance(values, dict | None):
        raise ValueError(f"{path}: expected {expected}")
    return values or {}


def _reject_what_no_notebook_has(profile: str) -> None:
    """Find what would be passed over in silence: a file or a shared name that is misspelt."""
    expected = [SHARED, *names()]
    for path in sorted((PROFILES / profile).glob("*.yaml")):
        if path.stem not in expected:
            raise ValueError(
                f"profiles/{profile}/{path.name}: no such notebook, "
                f"expected one of {', '.join(expected)}"
            )
    known = {key: value for name in names() for key, value in default_parameters(name).items()}
    _reject_unknown(_read_profile(profile, SHARED), known, f"profiles/{profile}/{SHARED}.yaml")


def _execute(source: Path, destination: Path, values: Mapping[str, Any]) -> None:
    import jupytext
    import nbformat
    import papermill

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # the kernel writes to our terminal
    unexecuted = destination.with_suffix(".unexecuted.ipynb")
    try:
        nbformat.write(jupytext.read(source), unexecuted)
        executed = papermill.execute_notebook(
            unexecuted,
            destination,
            parameters=dict(values),
            kernel_name="python3",
            language="python",
            cwd=NOTEBOOKS,
            stderr_file=sys.stderr,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
    finally:
        unexecuted.unlink(missing_ok=True)
    _tidy(executed)
    nbformat.write(executed, destination)


def _tidy(notebook: Any) -> None:
    """Drop what nobody wants to read in a published notebook: folders, progress bars."""
    for key in ("input_path", "output_path"):
        notebook.metadata.papermill.pop(key, None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]


def _read(name: str) -> Any:
    import jupytext

    return jupytext.read(NOTEBOOKS / f"{name}.py")


def _reject_unknown(values: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(
            f"{where}: unknown parameter {unknown[0]!r}, expected one of {', '.join(known)}"
        )


def _from_notebooks(path: Path) -> str:
    return Path(os.path.relpath(path, NOTEBOOKS)).as_posix()
